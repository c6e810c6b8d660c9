/// Where bad rows end: named on the console, sent to the dead-letter topic, counted; under `--strict` they end the replay.
final class BadRowDesk {
  private(set) var count = 0
  private let options: ReplayOptions
  private let topics: ReplayTopics
  private let console: ReplayConsole
  private let sink: KafkaReplaySink
  private let shouldStop: () -> Bool
  private var encoder = EventEncoder(profiles: [:])

  init(
    options: ReplayOptions, topics: ReplayTopics, console: ReplayConsole, sink: KafkaReplaySink,
    shouldStop: @escaping () -> Bool
  ) {
    self.options = options
    self.topics = topics
    self.console = console
    self.sink = sink
    self.shouldStop = shouldStop
  }

  /// Waits until the broker has confirmed every dead letter.
  /// - Returns: The number of bad rows.
  func finish() throws -> Int {
    while try !sink.flush(timeoutMs: 100) {
      if shouldStop() { throw ReplayError(code: "interrupted", message: "interrupted while sending bad rows") }
    }
    return count
  }

  func report(_ row: BadRow) throws {
    count += 1
    if options.isStrict {
      throw ReplayError(code: BadRow.reasonCode, message: "\(row.location): \(row.reason)")
    }
    console.badRow(row)
    encoder.encode(row, topic: topics.name(destination(of: row.file)))
    while try !sink.send(.deadLetter, key: encoder.key, payload: encoder.payload) {
      if shouldStop() { throw ReplayError(code: "interrupted", message: "interrupted while reading \(row.file)") }
    }
  }

  /// The topic that the rows of a file become records of.
  private func destination(of file: String) -> ReplayTopic {
    if file == options.actionsFile { return .actions }
    if file == options.itemsFile { return .items }
    switch file.split(separator: "/").last {
    case "ratings.dat", "ratings.csv": return options.dataDirectory == nil ? .features : .actions
    case "movies.dat", "movies.csv": return options.dataDirectory == nil ? .features : .items
    default: return .features
    }
  }
}

import FreshetCore
import FreshetKafka

/// What a replay did.
public struct ReplaySummary: Sendable, Equatable {
  /// Records that the broker confirmed in `features` and `actions`.
  public var events = 0
  /// Ratings (or records of the user's own) among them.
  public var units = 0
  public var items = 0
  public var badRows = 0
  public var seconds = 0.0
  /// A signal ended it before the end.
  public var isInterrupted = false

  public var eventsPerSecond: Double { seconds > 0 ? Double(events) / seconds : 0 }
}

/// `freshet replay`: sends recorded data through the cluster as if it happened now.
public enum Replay {
  /// Runs to the end of the data, or until `shouldStop`; blocks its thread.
  ///
  /// - Parameter lead: Bounds how far the replay may be ahead of joiner and trainers; nil for no bound.
  ///
  /// An unreachable broker is named on standard error and waited for, unless `failsFast`.
  /// - Throws: `ReplayError` or `KafkaError`. What the broker had confirmed by then is in the progress file.
  public static func run(
    _ options: ReplayOptions, topics: ReplayTopics, lead: ReplayLead?, kafka: KafkaConfiguration,
    shouldStop: @escaping () -> Bool
  ) throws -> ReplaySummary {
    try options.validate()
    let console = ReplayConsole()
    defer { console.clearBar() }
    try checkTopics(options, topics, kafka, console, shouldStop)
    if shouldStop() { return interrupted() }
    let connect = {
      try KafkaReplaySink(
        kafka, topics: topics, isPaced: options.isPaced, deliveryTimeoutMs: options.failsFast ? 30_000 : 0,
        onError: { console.trouble("\($0)", now: Instant.now()) })
    }
    let gauge = try lead.map { try ReplayLeadGauge($0, topics: topics, kafka: kafka) }
    var summary = ReplaySummary()
    let badRows = BadRowDesk(
      options: options, topics: topics, console: console, sink: try connect(), shouldStop: shouldStop)
    if let directory = options.dataDirectory {
      let data = try MovieLensReader(directory: directory).read(report: badRows.report)
      let source = MovieLensSource(data: data, settings: options.planning)
      summary.badRows = try badRows.finish()
      try send(source, "ratings", options, connect, gauge, console, shouldStop, &summary)
    } else {
      let file = { (path: String?, key: String, hasEventTime: Bool) in
        try path.map { try RecordFile(path: $0, keyMember: key, hasEventTime: hasEventTime, report: badRows.report) }
      }
      let source = RecordSource(
        features: try file(options.featuresFile, options.keyMember, true),
        actions: try file(options.actionsFile, options.keyMember, true),
        items: try file(options.itemsFile, options.itemKeyMember, false), start: options.start, limit: options.limit)
      summary.badRows = try badRows.finish()
      try send(source, "records", options, connect, gauge, console, shouldStop, &summary)
    }
    return summary
  }

  private static func interrupted() -> ReplaySummary {
    var summary = ReplaySummary()
    summary.isInterrupted = true
    return summary
  }

  /// Waits for a broker, then wants every topic that will be written: brokers need not create topics by themselves,
  /// and where they do, with a partition count of their own.
  private static func checkTopics(
    _ options: ReplayOptions, _ topics: ReplayTopics, _ kafka: KafkaConfiguration, _ console: ReplayConsole,
    _ shouldStop: () -> Bool
  ) throws {
    let admin = try KafkaAdmin(kafka)
    let backoff = Backoff(baseMs: 200, capMs: 5000, seed: Instant.now().nanoseconds)
    do {
      try admin.waitUntilReachable(attemptMs: 2000, backoff: backoff) { failure in
        let goesOn = !options.failsFast && !shouldStop()
        console.say("\(failure.error.message)" + (goesOn ? "; trying again in \(failure.retryInMs) ms" : ""))
        return goesOn
      }
    } catch {
      if shouldStop() { return }
      throw error
    }
    let counts = try admin.partitionCounts(timeoutMs: 10_000)
    var needed = [topics.deadLetter]
    if options.dataDirectory != nil || options.featuresFile != nil { needed.append(topics.features) }
    if options.dataDirectory != nil || options.actionsFile != nil { needed.append(topics.actions) }
    if options.dataDirectory != nil || options.itemsFile != nil { needed.append(topics.items) }
    let missing = needed.filter { counts[$0] == nil }
    guard missing.isEmpty else {
      throw ReplayError(
        code: "missing-topic",
        message: "no topic \(missing.joined(separator: ", ")) on \(kafka.bootstrapServers); "
          + "create it with `freshet ctl topics -c FILE create`")
    }
    if let features = counts[topics.features], let actions = counts[topics.actions], features != actions {
      throw ReplayError(
        code: "partition-count-mismatch",
        message: "\(topics.features) has \(features) partitions and \(topics.actions) has \(actions); "
          + "they must agree, or no action meets its feature")
    }
  }

  private static func send<Source: ReplaySource>(
    _ source: Source, _ unitName: String, _ options: ReplayOptions, _ connect: () throws -> KafkaReplaySink,
    _ lead: ReplayLeadGauge?, _ console: ReplayConsole, _ shouldStop: () -> Bool, _ summary: inout ReplaySummary
  ) throws {
    if let path = options.statePath, let state = try ReplayState.load(path) {
      source.skip(to: try state.position(in: source, path: path))
      console.say("resuming at event \(ReplayProgress.grouped(source.position)), as \(path) says")
    }
    var loop = ReplayLoop(source: source, unitName: unitName, options: options)
    try loop.run(connect, lead, console, shouldStop)
    summary.events = loop.eventsConfirmed
    summary.units = loop.unitsConfirmed
    summary.items = loop.itemsConfirmed
    summary.seconds = loop.seconds
    summary.isInterrupted = loop.isInterrupted
    let grouped = ReplayProgress.grouped
    console.say(
      "\(summary.isInterrupted ? "interrupted after" : "sent") \(grouped(summary.events)) events "
        + "(\(grouped(summary.units)) \(unitName)) and \(grouped(summary.items)) items in "
        + "\(tenths(summary.seconds)) s, \(grouped(Int(summary.eventsPerSecond))) events/s; "
        + "\(grouped(summary.badRows)) bad rows")
  }

  private static func tenths(_ seconds: Double) -> String {
    let tenths = Int((seconds * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}

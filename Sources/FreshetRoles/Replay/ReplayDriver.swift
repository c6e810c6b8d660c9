import FreshetCore

/// Takes records for Kafka.
protocol ReplaySink: AnyObject {
  /// - Returns: False when the queue is full; the record is then to be sent again later.
  func send(_ topic: ReplayTopic, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) throws -> Bool
}

/// Moves a source's records into a sink: items first, then events as the pacer lets them go. Does no waiting of its own.
struct ReplayDriver<Source: ReplaySource> {
  enum Step: Equatable {
    /// The budget is used up; there is more.
    case more
    case wait(until: Instant)
    case queueFull
    case finished
  }

  let source: Source
  private(set) var itemsSent: Int
  private var pacer: ReplayPacer

  init(source: Source, itemsSent: Int, pacer: ReplayPacer) {
    self.source = source
    self.itemsSent = itemsSent
    self.pacer = pacer
  }

  /// Sends up to `budget` records.
  mutating func run(budget: Int, now: Instant, sink: some ReplaySink) throws -> Step {
    var left = budget
    while itemsSent < source.itemCount {
      guard left > 0 else { return .more }
      source.encodeItem(itemsSent)
      guard try sink.send(.items, key: source.key, payload: source.payload) else { return .queueFull }
      itemsSent += 1
      left -= 1
    }
    while let event = source.peek() {
      guard left > 0 else { return .more }
      let due = pacer.due(unit: source.unitsDone, eventTime: event.eventTime, now: now)
      if due > now { return .wait(until: due) }
      source.encode()
      guard try sink.send(event.topic, key: source.key, payload: source.payload) else { return .queueFull }
      source.advance()
      if event.completesUnit { pacer.unitSent(now: now) }
      left -= 1
    }
    return .finished
  }
}

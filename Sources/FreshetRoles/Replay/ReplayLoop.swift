import FreshetCore
import FreshetKafka

/// The shell's loop: sends what the driver lets go, waits, shows progress, saves what is confirmed.
///
/// A broker that comes back without its memory of producers (data lost, or a broker that keeps none) makes a producer
/// useless. The loop then goes back to the last confirmed event with a new one; request ids mark the repeats.
struct ReplayLoop<Source: ReplaySource> {
  private(set) var eventsConfirmed = 0
  private(set) var unitsConfirmed = 0
  private(set) var itemsConfirmed = 0
  private(set) var seconds = 0.0
  private(set) var isInterrupted = false

  private var driver: ReplayDriver<Source>
  private let progress: ReplayProgress
  private let options: ReplayOptions
  private let firstEvent: Int
  private let firstUnit: Int
  private let started = Instant.now()

  /// Records between two looks at clock and signals.
  private static var budget: Int { 256 }
  /// Waiting for confirmation empties the queue, which costs a fast replay some of its speed and a paced one nothing.
  private var confirmIntervalMs: Int { options.isPaced ? 1000 : 5000 }
  /// Producers that may fail one after the other without a record confirmed between them.
  private static var maxFailures: Int { 5 }
  /// How long a stopped replay waits for the broker to confirm what was sent.
  private static var stopTimeoutMs: Int { 10_000 }

  init(source: Source, unitName: String, options: ReplayOptions) {
    driver = ReplayDriver(
      source: source, itemsSent: 0, pacer: ReplayPacer(options.pacing(unitCount: source.unitCount)))
    progress = ReplayProgress(total: source.unitCount, resumedAt: source.unitsDone, unitName: unitName)
    self.options = options
    firstEvent = source.position
    firstUnit = source.unitsDone
  }

  mutating func run(
    _ connect: () throws -> KafkaReplaySink, _ lead: ReplayLeadGauge?, _ console: ReplayConsole,
    _ shouldStop: () -> Bool
  ) throws {
    var failures = 0
    while true {
      let sink = try connect()
      let confirmed = eventsConfirmed
      do {
        return try run(sink, lead, console, shouldStop)
      } catch {
        failures = eventsConfirmed > confirmed ? 1 : failures + 1
        guard let fatal = sink.fatalError, !options.failsFast, failures <= Self.maxFailures else { throw error }
        sink.abandon()
        driver.source.rewind()
        driver.source.skip(to: firstEvent + eventsConfirmed)
        driver = ReplayDriver(
          source: driver.source, itemsSent: itemsConfirmed,
          pacer: ReplayPacer(options.pacing(unitCount: driver.source.unitCount)))
        console.say(
          "\(fatal); going on with a new producer from event \(ReplayProgress.grouped(driver.source.position)), "
            + "the last that is known to be written")
      }
    }
  }

  private mutating func run(
    _ sink: KafkaReplaySink, _ lead: ReplayLeadGauge?, _ console: ReplayConsole, _ shouldStop: () -> Bool
  ) throws {
    var nextConfirmation = Instant.now().advanced(byMs: confirmIntervalMs)
    var isFinished = false
    while !isFinished && !shouldStop() {
      let now = Instant.now()
      if let lead, try lead.isTooFarAhead(now: now) {
        sink.wait(ms: 10)
        console.progress(
          progress, done: driver.source.unitsDone, elapsedSeconds: now.milliseconds(since: started) / 1000, now: now)
        continue
      }
      switch try driver.run(budget: Self.budget, now: now, sink: sink) {
      case .more, .queueFull: break
      case .wait(let until): sink.wait(ms: max(1, min(100, Int(until.milliseconds(since: now)))))
      case .finished: isFinished = true
      }
      console.progress(
        progress, done: driver.source.unitsDone, elapsedSeconds: now.milliseconds(since: started) / 1000, now: now)
      if now >= nextConfirmation {
        // Confirmations come in any order between partitions, so only an empty queue tells a position.
        if try sink.flush(timeoutMs: 2000) { try confirm() }
        nextConfirmation = Instant.now().advanced(byMs: confirmIntervalMs)
      }
    }
    isInterrupted = !isFinished
    try finish(sink, console, shouldStop)
  }

  private mutating func finish(
    _ sink: KafkaReplaySink, _ console: ReplayConsole, _ shouldStop: () -> Bool
  ) throws {
    var deadline: Instant?
    while try !sink.flush(timeoutMs: 100) {
      let now = Instant.now()
      console.progress(
        progress, done: driver.source.unitsDone, elapsedSeconds: now.milliseconds(since: started) / 1000, now: now)
      guard shouldStop() else { continue }
      isInterrupted = true
      let limit = deadline ?? now.advanced(byMs: Self.stopTimeoutMs)
      deadline = limit
      if now >= limit {
        throw ReplayError(
          code: "unconfirmed",
          message: "stopped, and the broker has not confirmed \(sink.recordsInFlight) of the records sent; "
            + "sending them again makes no duplicates")
      }
    }
    try confirm()
    seconds = Instant.now().milliseconds(since: started) / 1000
  }

  /// Call when everything sent is confirmed.
  private mutating func confirm() throws {
    eventsConfirmed = driver.source.position - firstEvent
    unitsConfirmed = driver.source.unitsDone - firstUnit
    itemsConfirmed = driver.itemsSent
    if let statePath = options.statePath {
      try ReplayState(fingerprint: driver.source.fingerprint, events: driver.source.position).save(statePath)
    }
  }
}

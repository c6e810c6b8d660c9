import FreshetCore
import FreshetKafka

/// The shell's loop: sends what the driver lets go, waits, shows progress, saves what is confirmed.
struct ReplayLoop<Source: ReplaySource> {
  private(set) var eventsConfirmed = 0
  private(set) var unitsConfirmed = 0
  private(set) var itemsConfirmed = 0
  private(set) var seconds = 0.0
  private(set) var isInterrupted = false

  private var driver: ReplayDriver<Source>
  private let progress: ReplayProgress
  private let statePath: String?
  private let firstEvent: Int
  private let firstUnit: Int
  private let started = Instant.now()

  /// Records between two looks at clock and signals.
  private static var budget: Int { 256 }
  private static var saveIntervalMs: Int { 5000 }
  /// How long a stopped replay waits for the broker to confirm what was sent.
  private static var stopTimeoutMs: Int { 10_000 }

  init(source: Source, unitName: String, options: ReplayOptions) {
    driver = ReplayDriver(source: source, pacer: ReplayPacer(options.pacing(unitCount: source.unitCount)))
    progress = ReplayProgress(total: source.unitCount, resumedAt: source.unitsDone, unitName: unitName)
    statePath = options.statePath
    firstEvent = source.position
    firstUnit = source.unitsDone
  }

  mutating func run(_ sink: KafkaReplaySink, _ console: ReplayConsole, _ shouldStop: () -> Bool) throws {
    var nextSave = started.advanced(byMs: Self.saveIntervalMs)
    var isFinished = false
    while !isFinished && !shouldStop() {
      let now = Instant.now()
      switch try driver.run(budget: Self.budget, now: now, sink: sink) {
      case .more, .queueFull: break
      case .wait(let until): sink.wait(ms: max(1, min(100, Int(until.milliseconds(since: now)))))
      case .finished: isFinished = true
      }
      console.progress(
        progress, done: driver.source.unitsDone, elapsedSeconds: now.milliseconds(since: started) / 1000, now: now)
      if statePath != nil && now >= nextSave {
        // Confirmations come in any order between partitions, so only an empty queue tells a position.
        if try sink.flush(timeoutMs: 2000) { try confirm() }
        nextSave = Instant.now().advanced(byMs: Self.saveIntervalMs)
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
    if let statePath {
      try ReplayState(fingerprint: driver.source.fingerprint, events: driver.source.position).save(statePath)
    }
  }
}

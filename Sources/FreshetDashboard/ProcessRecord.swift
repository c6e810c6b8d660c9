import FreshetCluster
import FreshetCore

/// What is known of one process.
struct ProcessRecord: Sendable {
  /// For as long nothing is made of a process that has not answered yet.
  static let patienceMs = 10_000.0
  /// A process that does not answer in time is stale, and after so long down.
  static let downAfterMs = 10_000.0

  let process: MonitoredProcess
  private(set) var info = InfoValues([:])
  /// Of a parameter server.
  private(set) var validation: ValidationReport?
  private(set) var answeredAt: Instant?
  private(set) var failure: (reason: String, isLate: Bool, at: Instant)?
  private var meters: [String: RateMeter] = [:]

  init(_ process: MonitoredProcess) { self.process = process }

  /// Counters whose rates are shown, by role.
  private var counters: [String] {
    switch process.role {
    case .joiner: ["features", "actions", "joined", "negatives", "corrections", "dead_lettered"]
    case .trainer: ["examples", "dead_letters"]
    case .ps: ["pushes", "rows_pushed", "pulls", "rows_pulled"] + info.tables.map { $0 + "_inserts" }
    case .serve: ["rows_received", "requests", "candidates"]
    case .archive: ["records"]
    }
  }

  mutating func answered(_ values: [String: String], _ validation: ValidationReport?, at now: Instant) {
    let before = info["process_id"]
    info = InfoValues(values)
    // Another process has counters of its own, even if they are already larger.
    if let before, before != info["process_id"] { meters = [:] }
    // A server that restores its shards has none: that of its last life is not shown as if it were of now.
    self.validation = validation
    answeredAt = now
    failure = nil
    for counter in counters {
      if let value = info.number(counter) { meters[counter, default: RateMeter()].note(value, at: now) }
    }
  }

  /// - Parameter isLate: Whether it may only be slow: nothing was refused.
  mutating func failed(_ reason: String, isLate: Bool, at now: Instant) {
    failure = (reason, isLate, now)
    if !isLate { meters = [:] }
  }

  func perSecond(_ counter: String, now: Instant) -> Double? {
    isReachable ? meters[counter]?.perSecond(now: now) : nil
  }

  /// Whether the last question was answered.
  var isReachable: Bool { answeredAt != nil && failure == nil }

  /// - Parameter since: When the dashboard began to ask.
  func health(intervalMs: Int, since start: Instant, now: Instant) -> HealthFinding {
    let silentMs = answeredAt.map { now.milliseconds(since: $0) }
    guard let failure else {
      guard let silentMs else {
        return now.milliseconds(since: start) < Self.patienceMs
          ? HealthFinding(.waiting, "not asked yet") : HealthFinding(.down, "no answer")
      }
      if silentMs > Double(intervalMs) + Self.downAfterMs { return HealthFinding(.stale, Self.silence(silentMs)) }
      return HealthFinding(process, info)
    }
    guard let silentMs else {
      return now.milliseconds(since: start) < Self.patienceMs
        ? HealthFinding(.waiting, "not up yet") : HealthFinding(.down, failure.reason)
    }
    if failure.isLate, silentMs < Self.downAfterMs { return HealthFinding(.stale, Self.silence(silentMs)) }
    return HealthFinding(.down, failure.reason)
  }

  private static func silence(_ ms: Double) -> String { "no answer for \(Int((ms / 1000).rounded())) s" }
}

import Foundation
import FreshetCluster
import FreshetCore

/// `freshet bench join`: one partition's joiner from JSON to example records, without a broker.
public struct JoinBenchmark {
  public enum Case: String, Sendable, CaseIterable {
    /// Both topics in the order of event time, in memory.
    case inOrder = "in-order"
    /// Records come up to 10 minutes late, in memory.
    case outOfOrder = "out-of-order"
    /// No impression stays in memory beyond a commit: every lookup is on disk.
    case spilled
    /// A life ends with many impressions waiting; the next one has its disk, and one more has not.
    case restart
    /// Lives end at random moments; the result is compared with an oracle's.
    case kills
  }

  public struct Settings: Sendable {
    public var cases: [Case]
    public var impressions: Int
    public var actions: Int
    /// Of the restart case.
    public var pending: Int
    /// Of the case with kills.
    public var kills: Int
    /// Memory for impressions where there is a disk and it is not meant to be used for everything.
    public var stateBytes: Int
    /// Records between two commits.
    public var commitEvery: Int
    public var directory: String
    public var seed: UInt64

    public init(
      cases: [Case], impressions: Int, actions: Int, pending: Int, kills: Int, stateBytes: Int, commitEvery: Int,
      directory: String, seed: UInt64
    ) {
      self.cases = cases
      self.impressions = impressions
      self.actions = actions
      self.pending = pending
      self.kills = kills
      self.stateBytes = stateBytes
      self.commitEvery = commitEvery
      self.directory = directory
      self.seed = seed
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    /// Of the first case.
    public var events_per_second: Int
    /// Of all cases.
    public var peak_rss_mb: Int
    public var commit_every: Int
    public var cases: [CaseReport]
  }

  let settings: Settings

  public init(_ settings: Settings) { self.settings = settings }

  /// - Parameter onStep: Told what is being done.
  public func run(_ onStep: (String) -> Void) throws -> Report {
    try FileManager.default.createDirectory(atPath: settings.directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: settings.directory) }
    var reports: [CaseReport] = []
    for kind in settings.cases {
      onStep("\(kind.rawValue)")
      reports.append(try measure(kind, onStep))
    }
    return Report(
      events_per_second: reports.first?.events_per_second ?? 0, peak_rss_mb: reports.map(\.peak_rss_mb).max() ?? 0,
      commit_every: settings.commitEvery, cases: reports)
  }

  private func measure(_ kind: Case, _ onStep: (String) -> Void) throws -> CaseReport {
    var config = JoinerConfig()
    config.windowMs = 3_600_000
    config.graceMs = 600_000
    config.maxWaitingFeatureBytes = 4 << 30
    config.maxWaitingFeatures = 1 << 30
    config.maxWaitingActions = 1 << 30
    config.maxWaitingActionBytes = 4 << 30
    // The shape that the peers are measured with (Benchmarks/Join).
    var shape = JoinWorkload.Shape(
      impressions: settings.impressions, actions: settings.actions, matched: 0.6, spacing_ms: 10,
      max_delay_ms: 3_600_000, disorder_ms: 0, seed: settings.seed)
    switch kind {
    case .inOrder: break
    case .outOfOrder: shape.disorder_ms = 600_000
    case .spilled: config.maxWaitingFeatureBytes = 1
    case .restart:
      shape = JoinWorkload.Shape(
        impressions: settings.pending, actions: settings.pending / 50, matched: 0.02, spacing_ms: 10,
        max_delay_ms: 3 * 86_400_000, disorder_ms: 0, seed: settings.seed)
      config.windowMs = 3 * 86_400_000
      config.maxWaitingFeatureBytes = settings.stateBytes
    case .kills:
      // All impressions of the run wait at its end, and windows close an hour after the last action of an impression can come,
      // so that what is late does not depend on the order of arrival.
      shape.spacing_ms = max(1, 3 * 86_400_000 / max(1, settings.impressions))
      shape.matched = Double(settings.actions) / Double(settings.impressions)
      shape.max_delay_ms = 3 * 86_400_000
      shape.disorder_ms = 3_600_000
      config.windowMs = 3 * 86_400_000 + 3_600_000
      config.graceMs = 3_600_000
      config.negativeRate = 0.1
      // As an operator has it: more wait for no impression, but a rebuild sees more whose impressions are over.
      config.maxWaitingActions = JoinerConfig().maxWaitingActions
      config.maxWaitingActionBytes = JoinerConfig().maxWaitingActionBytes
      config.maxWaitingFeatureBytes = settings.stateBytes
    }
    onStep("\(kind.rawValue): writing the topics")
    var report = CaseReport(kind.rawValue, shape, config)
    let features: JoinLog
    let actions: JoinLog
    do {
      var workload = JoinWorkload(shape)
      if kind == .kills {
        workload.appendEnd(afterMs: 10 * 86_400_000)
        report.expected = JoinDigest.expected(workload, config: config)
      }
      features = try JoinLog(path: settings.directory + "/features", workload.features)
      actions = try JoinLog(path: settings.directory + "/actions", workload.actions)
    }
    Self.forgetMemory()
    onStep("\(kind.rawValue): joining \(features.count + actions.count) records")
    let run = try JoinRun(features: features, actions: actions, config: config, commitEvery: settings.commitEvery)
    switch kind {
    case .inOrder, .outOfOrder: try runThrough(run, nil, &report)
    case .spilled: try runThrough(run, disk("state"), &report)
    case .restart: try restart(run, &report)
    case .kills: try kill(run, records: features.count + actions.count, &report, onStep)
    }
    report.peak_rss_mb = max(ProcessMemory.peakResidentBytes >> 20, report.lives?.map(\.peak_rss_mb).max() ?? 0)
    return report
  }

  func disk(_ name: String) -> JoinRun.Disk {
    JoinRun.Disk(
      path: settings.directory + "/" + name,
      settings: RocksJoinerState.Settings(diskBytes: 1 << 40, memoryBytes: settings.stateBytes))
  }

  private func runThrough(_ run: JoinRun, _ disk: JoinRun.Disk?, _ report: inout CaseReport) throws {
    let start = Instant.now()
    try run.begin(disk)
    while try run.step() {}
    report.add(run, seconds: Instant.now().milliseconds(since: start) / 1000)
    run.kill()
    report.add(run.lookups)
  }

  /// The peak of resident memory counts from here, without what was freed: as a joiner that loses a partition, and as a new
  /// process.
  static func forgetMemory() {
    ProcessMemory.returnFreed()
    ProcessMemory.forgetPeak()
  }
}

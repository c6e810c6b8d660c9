import Foundation
import FreshetCluster
import FreshetCore

extension JoinBenchmark {
  /// Lets many impressions wait, ends the life, and takes the time until the next one makes an example.
  func restart(_ run: JoinRun, _ report: inout CaseReport) throws {
    let disk = disk("state")
    let start = Instant.now()
    try run.begin(disk)
    while !run.hasAllImpressions, try run.step() {}
    try run.commit()
    report.add(run, seconds: Instant.now().milliseconds(since: start) / 1000)
    report.pending = run.machine?.waitingFeatureCount
    report.disk_mb = run.machine.map { $0.stateReport.diskBytes >> 20 }
    run.kill()

    report.restart_seconds = try firstExample(run, disk)
    report.restart_from_disk = run.startedFromDisk
    report.restart_records_read = run.machine?.restoredCount
    run.kill()

    try FileManager.default.removeItem(atPath: disk.path)
    let rebuild = Instant.now()
    try run.begin(disk)
    while run.machine?.isRestored == false, try run.step() {}
    let seconds = Instant.now().milliseconds(since: rebuild) / 1000
    report.rebuild_seconds = seconds
    report.rebuild_records_per_second = Int(Double(run.machine?.restoredCount ?? 0) / max(seconds, 0.001))
    run.kill()
    report.add(run.lookups)
  }

  private func firstExample(_ run: JoinRun, _ disk: JoinRun.Disk) throws -> Double {
    let start = Instant.now()
    let before = run.exampleCount
    try run.begin(disk)
    while run.exampleCount == before, try run.step() {}
    guard run.exampleCount > before else { throw JoinerStateError(.failed, "no example came after the restart") }
    return Instant.now().milliseconds(since: start) / 1000
  }

  /// Ends lives at random moments. The next one is on the same machine; every fifth is on the other one, which has an older
  /// state or none; every ninth finds a new disk.
  func kill(_ run: JoinRun, records: Int64, _ report: inout CaseReport, _ onStep: (String) -> Void) throws {
    var generator = SeededGenerator(seed: settings.seed)
    var moments = (0..<settings.kills).map { _ in Int64(generator.next() % UInt64(max(1, records))) }.sorted()[...]
    var host = 0
    var (moves, losses) = (0, 0)
    let start = Instant.now()
    var lives = JoinLives()
    try lives.begin(run, isFirst: true, disk("host-0"))
    while try run.step() {
      lives.stepped(run)
      guard let moment = moments.first, run.position >= moment else { continue }
      moments.removeFirst()
      lives.look(at: run)
      run.kill()
      let ended = lives.all.count
      if ended % 5 == 0 {
        host = 1 - host
        moves += 1
      } else if ended % 9 == 0 {
        try FileManager.default.removeItem(atPath: disk("host-\(host)").path)
        losses += 1
      }
      onStep("kills: life \(ended) ended at record \(moment): \(lives.all[ended - 1])")
      try lives.begin(run, isFirst: false, disk("host-\(host)"))
    }
    lives.look(at: run)
    report.add(run, seconds: Instant.now().milliseconds(since: start) / 1000)
    report.disk_mb = run.machine.map { $0.stateReport.diskBytes >> 20 }
    run.kill()
    report.add(run.lookups)
    report.kills = lives.all.count - 1
    report.lives = lives.all
    report.moves = moves
    report.lost_disks = losses
    report.is_as_expected = run.digest == report.expected
  }
}

extension JoinRun {
  /// Whether every impression has been processed.
  var hasAllImpressions: Bool { machine?.commitPoint.map { $0.featureNext == featureCount } ?? false }
  /// Records that have been processed, restored ones included.
  var position: Int64 { machine?.commitPoint.map { $0.featureNext + $0.actionNext } ?? 0 }
}

/// What one case gave; fields as `--json` prints them.
public struct CaseReport: Codable, Sendable {
  var name: String
  var shape: JoinWorkload.Shape
  var window_ms: Int64
  var grace_ms: Int64
  var negative_rate: Float
  var state_bytes: Int
  /// Records read, those that were read again included.
  var events = 0
  var examples = 0
  var dead_letters = 0
  var commits = 0
  var seconds = 0.0
  public internal(set) var events_per_second = 0
  public internal(set) var peak_rss_mb = 0
  var memory_hits = 0
  var disk_lookups = 0
  var disk_hits = 0
  var disk_mb: Int?
  /// From opening the state to the first example.
  var restart_seconds: Double?
  var restart_from_disk: Bool?
  var restart_records_read: Int?
  var pending: Int?
  var rebuild_seconds: Double?
  var rebuild_records_per_second: Int?
  var kills: Int?
  var moves: Int?
  var lost_disks: Int?
  var is_as_expected: Bool?
  var expected: JoinDigest?
  /// Of the case with kills.
  public internal(set) var lives: [JoinLife]?

  /// Whether the result is not what it has to be.
  public var isWrong: Bool { is_as_expected == false }

  init(_ name: String, _ shape: JoinWorkload.Shape, _ config: JoinerConfig) {
    self.name = name
    self.shape = shape
    window_ms = config.windowMs
    grace_ms = config.graceMs
    negative_rate = config.negativeRate
    state_bytes = config.maxWaitingFeatureBytes
  }

  mutating func add(_ run: JoinRun, seconds: Double) {
    events = run.events
    examples = run.exampleCount
    dead_letters = run.deadLetters
    commits = run.commits
    self.seconds = seconds
    events_per_second = Int(Double(run.events) / max(seconds, 0.001))
  }

  mutating func add(_ lookups: JoinerLookups) {
    memory_hits = lookups.inMemory
    disk_lookups = lookups.onDisk
    disk_hits = lookups.found
  }
}

import FreshetCluster
import FreshetCore

/// What one life of the case with kills took of memory; fields as `--json` prints them.
public struct JoinLife: Codable, Sendable {
  enum Origin: String, Codable {
    case start, disk, log
  }

  var from: Origin
  /// Resident when it began, before it had anything.
  let start_rss_mb: Int
  /// The most that was resident.
  var peak_rss_mb = 0
  /// Records below the commit that it read again, and whether it lived until it had read all of them.
  var restored = 0
  var is_restored = false
  /// The most that was seen of `state_memory_bytes`, of RocksDB's write buffers and blocks, and of actions that wait.
  var state_mb = 0
  var rocksdb_mb = 0
  var waiting_actions = 0

  init(_ from: Origin) {
    self.from = from
    start_rss_mb = ProcessMemory.residentBytes >> 20
  }

  mutating func look(at run: JoinRun) {
    guard let machine = run.machine else { return }
    restored = machine.restoredCount
    is_restored = machine.isRestored
    state_mb = max(state_mb, machine.stateReport.memoryBytes >> 20)
    rocksdb_mb = max(rocksdb_mb, run.rocksBytes >> 20)
    waiting_actions = max(waiting_actions, machine.waitingActionCount)
    peak_rss_mb = ProcessMemory.peakResidentBytes >> 20
  }
}

extension JoinLife: CustomStringConvertible {
  public var description: String {
    let origin =
      switch from {
      case .start: "began with nothing"
      case .disk: "went on from its disk"
      case .log: "was rebuilt from the log\(is_restored ? "" : ", not to the end")"
      }
    return "\(origin), \(restored) records read again; peak \(peak_rss_mb) MB, \(start_rss_mb) at its start "
      + "(state \(state_mb), RocksDB \(rocksdb_mb)); \(waiting_actions) actions waiting"
  }
}

/// Lives one after the other, each as if it had a process to itself.
struct JoinLives {
  private static let stepsBetweenLooks = 64
  private(set) var all: [JoinLife] = []
  private var steps = 0

  /// Begins a life with what `body` opens.
  mutating func begin(_ run: JoinRun, isFirst: Bool, _ disk: JoinRun.Disk) throws {
    JoinBenchmark.forgetMemory()
    var life = JoinLife(.start)
    try run.begin(disk)
    if !isFirst { life.from = run.startedFromDisk ? .disk : .log }
    all.append(life)
  }

  /// After each step.
  mutating func stepped(_ run: JoinRun) {
    steps += 1
    if steps % Self.stepsBetweenLooks == 0 { look(at: run) }
  }

  /// To be called before the life ends.
  mutating func look(at run: JoinRun) { all[all.count - 1].look(at: run) }
}

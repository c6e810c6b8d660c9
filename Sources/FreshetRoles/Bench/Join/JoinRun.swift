import Foundation
import FreshetCluster
import FreshetCore
import FreshetModel

/// Drives one partition's joiner over two logs as `JoinerLoop` does, with commits, and with lives that end at any moment.
///
/// What a life has made since its last commit goes with it, as an aborted transaction does.
final class JoinRun {
  static let itemCount = 3706
  private static let recordsPerPoll = 2000

  /// Where the state is; nil for memory alone.
  struct Disk {
    var path: String
    var settings: RocksJoinerState.Settings
  }

  let config: JoinerConfig
  private let features: JoinLog
  private let actions: JoinLog
  private let commitEvery: Int
  private let extractor: FeatureExtractor
  private let catalog: ItemCatalog
  private let output = JoinerOutput()
  private var now = Instant.now()

  private(set) var machine: JoinerPartition?
  private var state: RocksJoinerState?
  private(set) var committed = JoinerCommitPoint.start
  private(set) var digest = JoinDigest()
  private var uncommitted = JoinDigest()
  private var sinceCommit = 0
  private(set) var events = 0
  private(set) var deadLetters = 0
  private(set) var lookups = JoinerLookups()
  /// What the last life began with: a position on disk, or the log.
  private(set) var startedFromDisk = false
  private(set) var commits = 0

  init(features: JoinLog, actions: JoinLog, config: JoinerConfig, commitEvery: Int) throws {
    self.features = features
    self.actions = actions
    self.config = config
    self.commitEvery = commitEvery
    extractor = try FeatureExtractor(.movieLens)
    catalog = ItemCatalog(capacity: 10_000)
    let reader = JSONRecordReader(maxBytes: 10_000, maxDepth: 8)
    let scratch = extractor.makeScratch()
    for item in 1...Self.itemCount {
      let text = #"{"item_id":\#(item),"title":"Title \#(item) (1995)","year":1995,"genres":["Drama","Comedy"]}"#
      try Array(text.utf8).withUnsafeBytes { try catalog.upsert($0, extractor, reader, scratch) }
    }
  }

  // MARK: - Lives

  /// Begins a life where the last commit was.
  func begin(_ disk: Disk?) throws {
    precondition(machine == nil)
    var stateAt: JoinerCommitPoint?
    if let disk {
      (state, stateAt) = try open(disk)
    }
    startedFromDisk = stateAt != nil
    let machine = try JoinerPartition(
      config: config, extractor: extractor, from: committed, state: state, stateAt: stateAt,
      itemsAsOf: UnixTime(milliseconds: 0), now: now)
    self.machine = machine
    features.seek(machine.readFrom.features)
    actions.seek(machine.readFrom.actions)
  }

  private func open(_ disk: Disk) throws -> (RocksJoinerState, JoinerCommitPoint?) {
    try FileManager.default.createDirectory(atPath: disk.path, withIntermediateDirectories: true)
    let identity = config.stateIdentity(schema: extractor.layout.fingerprint, place: "bench")
    do {
      let state = try RocksJoinerState(path: disk.path, settings: disk.settings)
      switch try JoinerStateCheck.run(state, identity: identity, committed: committed, logStarts: (0, 0)) {
      case .empty: return (state, nil)
      case .usable(let point): return (state, point)
      case .useless: break
      }
    }
    try FileManager.default.removeItem(atPath: disk.path)
    return try open(disk)
  }

  /// Ends the life with everything that it has not committed.
  func kill() {
    if let machine { lookups.add(machine.stateReport.lookups) }
    machine = nil
    state = nil
    uncommitted = JoinDigest()
    sinceCommit = 0
  }

  // MARK: - Steps

  var isAtEnd: Bool { features.next == features.count && actions.next == actions.count }

  /// Reads a few records and joins what can be joined.
  /// - Returns: False when nothing is left.
  func step() throws -> Bool {
    guard let machine else { return false }
    for topic in JoinerTopic.allCases where !machine.isPaused(topic) {
      let log = topic == .features ? features : actions
      for _ in 0..<Self.recordsPerPoll {
        guard log.step({ machine.receive(topic, $0, now: now) }) else {
          machine.reachedEnd(topic, now: now)
          break
        }
        events += 1
        sinceCommit += 1
      }
    }
    try join(machine)
    if sinceCommit >= commitEvery || isAtEnd { try commit() }
    return !isAtEnd || machine.queuedRecordCount > 0
  }

  private func join(_ machine: JoinerPartition) throws {
    while true {
      output.removeAll()
      let progress = machine.run(catalog: catalog, now: now, output: output)
      for example in output.examples { uncommitted.add(record: output.value(example)) }
      deadLetters += output.deadLetters.count
      switch progress {
      case .drained:
        if let topic = output.needsEnd, (topic == .features ? features : actions).isAtEnd {
          machine.confirmedEnd(topic, now: now)
          continue
        }
        // Time passes only when one topic is over and the other one waits for it.
        if machine.queuedRecordCount > 0, features.isAtEnd || actions.isAtEnd { now = now.advanced(byMs: 5_000) }
        return
      case .outputFull: continue
      case .commitNeeded: try commit()
      case .waitingForItems:
        machine.itemsRefreshed(asOf: UnixTime(milliseconds: .max / 2))
      case .diskFull, .stateFailed:
        throw machine.stateProblem ?? JoinerStateError(.failed, "the state on disk gives no reason")
      }
    }
  }

  func commit() throws {
    guard let machine, let point = machine.commitPoint else { return }
    committed = point
    digest.add(uncommitted)
    uncommitted = JoinDigest()
    sinceCommit = 0
    commits += 1
    machine.committed(point, now: now)
    if let problem = machine.stateProblem { throw problem }
  }

  var featureCount: Int64 { features.count }
  /// What RocksDB has in memory.
  var rocksBytes: Int { state?.memoryBytes ?? 0 }

  /// Examples made so far, those that are not committed included.
  var exampleCount: Int { digest.count + uncommitted.count }

  /// Merges the files of the state, so that what is measured next does not depend on when RocksDB last did.
  func settleDisk() throws { try state?.settle() }
}

extension JoinLog {
  var isAtEnd: Bool { next == count }
}

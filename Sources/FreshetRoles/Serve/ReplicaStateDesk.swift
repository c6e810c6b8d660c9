import FreshetCluster
import FreshetCore
import FreshetStore
import Logging
import NIOCore
import Synchronization

/// `serve.state`: the directory in which a replica saves its copy, and from which it starts.
///
/// Opened and read before the replica is made; from then on it belongs to the replica's event loop.
final class ReplicaStateDesk {
  /// Rows that change before they are written are copied aside; a replica is to stay small.
  private static let sideBytes = 64 << 20
  /// Readers wait while a slice is copied: some microseconds.
  private static let sliceBytes = 8 << 10
  /// Chains of one base and a few deltas: a start reads all of a chain.
  private static let baseEvery = 10

  let directory: String
  private let store: DirectoryStore
  private let lock: DirectoryLock
  private let intervalMs: Int
  private let logger: Logger
  /// nil once the replica has it.
  private var restored: RestoredReplica?
  private let histories: [ShardID: SnapshotHistory]
  private var desk: SnapshotDesk?
  private var publishing: RepeatedTask?
  /// What INFO says, for any thread.
  let status: ReplicaStateStatus

  /// Reads what was saved. What cannot be used is logged, and copied from the servers.
  /// - Throws: `FileStoreError` or `SnapshotError` if the directory cannot be used at all.
  init(
    directory: StateDirectory, intervalMs: Int, tables: ModelTables, shardCount: Int, settings: ServingSettings,
    logger: Logger
  ) throws {
    self.directory = directory.path
    lock = directory.lock
    self.intervalMs = intervalMs
    self.logger = logger
    store = try DirectoryStore(writing: directory.path)
    let startedAt = Instant.now()
    let restored = try ReplicaState.read(
      from: store, compressor: ZstdCompressor.forSnapshots, tables: tables, shardCount: shardCount,
      weightFormat: settings.weights, now: .now(), time: .now())
    self.restored = restored
    histories = restored.histories
    for (shard, snapshot) in restored.skipped {
      logger.warning(
        "a saved copy cannot be used",
        metadata: ["shard": "\(shard)", "file": "\(snapshot.name)", "reason": "\(snapshot.reason)"])
    }
    status = ReplicaStateStatus(
      ReplicaStateStatus.Value(
        directory: directory.path, restoredShards: restored.shardCount, restoredRows: restored.rowCount,
        restoredSkipped: restored.skipped.count, restoredAt: restored.takenAt,
        restoreMs: Instant.now().milliseconds(since: startedAt)))
    logger.info(
      restored.shardCount > 0 ? "answering from the saved copy until the servers can be reached" : "no copy is saved",
      metadata: [
        "directory": "\(directory.path)", "shards": "\(restored.shardCount) of \(shardCount)",
        "rows": "\(restored.rowCount)",
        "age_ms": "\(restored.takenAt.map { UnixTime.now().milliseconds - $0.milliseconds } ?? 0)",
      ])
  }

  /// For `Replica.init`, once.
  func takeRestored() -> RestoredReplica? {
    defer { restored = nil }
    return restored
  }

  /// Begins to save.
  func start(_ replica: Replica, on loop: any EventLoop) {
    let keeper = SnapshotKeeper(
      settings: SnapshotSettings(
        intervalMs: intervalMs, baseEvery: Self.baseEvery, keep: 1, seed: UInt64.random(in: 0 ... .max),
        sideBytes: Self.sideBytes, sliceBytes: Self.sliceBytes),
      life: UInt64.random(in: 1 ... .max), histories: histories)
    let desk = SnapshotDesk(
      shards: replica, access: { body in replica.write { body() } }, keeper: keeper, store: store,
      compressor: ZstdCompressor.forSnapshots, loop: loop,
      logger: logger)
    self.desk = desk
    let status = status
    let bound = NIOLoopBound(desk, eventLoop: loop)
    publishing = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(250)) { _ in
      status.publish(bound.value.keeper.statistics)
    }
  }

  /// Saves what has changed, and ends.
  /// - Parameter completion: Called on the loop when that is done or the time is over.
  func stop(withinMs: Int, _ completion: @escaping () -> Void) {
    publishing?.cancel()
    guard let desk else { return completion() }
    desk.stop(withinMs: withinMs) { [self] in
      status.publish(desk.keeper.statistics)
      let ended = desk.end()
      // Held until then: nobody else may begin to write before the writer is done.
      ended.whenComplete { [lock] _ in _ = lock }
      // The writer ends on this loop, which must live so long; a store that does not answer may not hold it for ever.
      var isCompleted = false
      func complete() {
        if !isCompleted { completion() }
        isCompleted = true
      }
      ended.assumeIsolated().whenComplete { _ in complete() }
      ended.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(withinMs))) { complete() }
    }
  }
}

/// What INFO says about the saved copy.
final class ReplicaStateStatus: Sendable {
  struct Value: Sendable {
    var directory: String
    var restoredShards: Int
    var restoredRows: Int
    var restoredSkipped: Int
    /// When the shard that was behind most was last up to date; nil if nothing was restored.
    var restoredAt: UnixTime?
    var restoreMs: Double
    var saved = SnapshotStatistics()
  }

  private let value: Mutex<Value>

  init(_ value: Value) { self.value = Mutex(value) }

  func publish(_ statistics: SnapshotStatistics) { value.withLock { $0.saved = statistics } }

  func add(to info: inout InfoText) {
    let value = value.withLock { $0 }
    info.section("state")
    info.add("directory", value.directory)
    info.add("restored_shards", value.restoredShards)
    info.add("restored_rows", value.restoredRows)
    info.add("restored_skipped", value.restoredSkipped)
    if let at = value.restoredAt { info.add("restored_age_ms", UnixTime.now().milliseconds - at.milliseconds) }
    info.add("restore_ms", Int(value.restoreMs))
    info.add("bases", value.saved.bases)
    info.add("deltas", value.saved.deltas)
    info.add("saved_rows", value.saved.rows)
    info.add("bytes_written", value.saved.bytesWritten)
    info.add("failures", value.saved.failures)
    info.add("abandoned", value.saved.abandoned)
    info.add("last_duration_ms", rounded: value.saved.lastDurationMs)
    if let failure = value.saved.lastFailure {
      info.add("last_failure", failure.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
  }
}

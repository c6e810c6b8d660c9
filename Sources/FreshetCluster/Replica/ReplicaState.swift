import FreshetCore
import FreshetTable

/// A replica's copy in a store of its own (`serve.state`): snapshots of its shards, as parameter servers take them, of weights
/// alone and with the position of each copy. docs/serving.md says when they are written and read.
public enum ReplicaState {
  /// Reads what a replica saved last, shard by shard. Blocks.
  ///
  /// A shard of which nothing can be used starts without rows, to be copied from its server; its report has the reason.
  /// - Parameters:
  ///   - now, time: The same instant by both clocks.
  /// - Throws: `store` if the store cannot list its files.
  public static func read(
    from store: any FileStore, compressor: any BlockCompressor, tables: ModelTables, shardCount: Int,
    weightFormat: WeightFormat, now: Instant, time: UnixTime
  ) throws(SnapshotError) -> RestoredReplica {
    let catalog = try SnapshotCatalog(store: store)
    let layouts = tables.servingLayouts(weightFormat: weightFormat)
    let restored = RestoredReplica()
    for shard in (0..<shardCount).map({ ShardID($0) }) {
      let entries = catalog.entries(of: shard)
      var skipped = entries.unreadable
      var copy: RestoredReplica.Shard?
      var newest = entries.manifests.endIndex
      while copy == nil, newest > 0 {
        newest -= 1
        do throws(SnapshotError) {
          var chain = SnapshotChainReader(
            store: store, compressor: compressor, shardCount: shardCount, storeKey: "serve.state"
          ) { ShardState(id: $0, layouts: layouts, feeds: 0, isSnapshotted: true) }
          let state = try chain.read(entries.manifests[newest])
          guard let header = chain.header, let position = header.copied else {
            throw SnapshotError(.mismatch, "it is not a replica's")
          }
          copy = RestoredReplica.Shard(
            state: state, position: position, takenAt: header.takenAt,
            lastCurrent: now.earlier(byMs: time.milliseconds - header.takenAt.milliseconds))
        } catch {
          skipped.append(SkippedSnapshot(name: entries.manifests[newest].id.manifestName, reason: error.message))
        }
      }
      let whole = copy == nil ? entries.manifests.prefix(0) : entries.manifests[...newest]
      restored.add(
        shard, copy,
        SnapshotHistory(
          lastNumber: entries.lastNumber, snapshots: whole.map { StoredSnapshot(id: $0.id, chain: $0.chain) },
          leftovers: entries.leftovers(whole: whole)), skipped)
    }
    return restored
  }
}

/// What a store had of a replica's copy, for `Replica.init`.
///
/// `@unchecked Sendable`: made on one thread and handed whole to one other, which takes the shards out once and for all;
/// nobody else has a reference to them.
public final class RestoredReplica: @unchecked Sendable {
  struct Shard {
    let state: ShardState
    let position: CopiedPosition
    let takenAt: UnixTime
    /// The same instant; not before the clock began.
    let lastCurrent: Instant
  }

  private var shards: [ShardID: Shard] = [:]
  /// What a `SnapshotKeeper` goes on from.
  public private(set) var histories: [ShardID: SnapshotHistory] = [:]
  /// What could not be used, by shard, ascending.
  public private(set) var skipped: [(shard: ShardID, snapshot: SkippedSnapshot)] = []
  /// Of the shard that is behind most; nil if nothing could be used.
  public private(set) var takenAt: UnixTime?
  public private(set) var rowCount = 0
  public private(set) var shardCount = 0

  init() {}

  func add(_ shard: ShardID, _ copy: Shard?, _ history: SnapshotHistory, _ skipped: [SkippedSnapshot]) {
    histories[shard] = history
    self.skipped += skipped.map { (shard, $0) }
    guard let copy else { return }
    shards[shard] = copy
    shardCount += 1
    rowCount += copy.state.tables.reduce(0) { $0 + $1.rowCount }
    takenAt = takenAt.map { min($0, copy.takenAt) } ?? copy.takenAt
  }

  func take(_ shard: ShardID) -> Shard? { shards.removeValue(forKey: shard) }
}

extension Replica: SnapshotSource {
  public var shardCount: Int { shards.count }
  /// A copy that has never been whole is not worth saving.
  public func changes(of shard: ShardID) -> UInt64 { shards[Int(shard.value)].changes }
  public func rawBytes(of shard: ShardID) -> Int { shards[Int(shard.value)].tables.rawBytes }
  public func tables(of shard: ShardID) -> [EmbeddingTable] { shards[Int(shard.value)].tables }
  public func beginCut(of shard: ShardID, isFull: Bool, now: Instant) -> ShardCut {
    shards[Int(shard.value)].beginCut(isFull: isFull, now: now)
  }
}

extension Instant {
  /// Not before the clock began: whatever is older counts from there.
  fileprivate func earlier(byMs milliseconds: Int64) -> Instant {
    let age = UInt64(max(0, milliseconds)).multipliedReportingOverflow(by: 1_000_000)
    return Instant(nanoseconds: age.overflow || age.partialValue > nanoseconds ? 0 : nanoseconds - age.partialValue)
  }
}

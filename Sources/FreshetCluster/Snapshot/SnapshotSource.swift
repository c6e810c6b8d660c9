import FreshetCore
import FreshetTable

/// What a `SnapshotKeeper` copies: the shards of one process, on the thread that owns them.
public protocol SnapshotSource: AnyObject {
  /// Of the cluster.
  var shardCount: Int { get }
  /// Of a shard: equal numbers mean that nothing that is worth a snapshot has happened in between. 0 at the beginning, or for what
  /// was restored.
  func changes(of shard: ShardID) -> UInt64
  /// What a base of the shard holds before compression, about.
  func rawBytes(of shard: ShardID) -> Int
  func tables(of shard: ShardID) -> [EmbeddingTable]
  /// Fixes this instant: the tables deliver the rows of it from now on, whatever happens to them.
  func beginCut(of shard: ShardID, isFull: Bool, now: Instant) -> ShardCut
}

extension ShardServer: SnapshotSource {
  public var shardCount: Int { configuration.map.shardCount }
  public func changes(of shard: ShardID) -> UInt64 { state(shard).changes }
  public func rawBytes(of shard: ShardID) -> Int { state(shard).rawBytes }
  public func tables(of shard: ShardID) -> [EmbeddingTable] { state(shard).tables }
  public func beginCut(of shard: ShardID, isFull: Bool, now: Instant) -> ShardCut {
    state(shard).beginCut(isFull: isFull)
  }
}

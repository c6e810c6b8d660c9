import FreshetCore
import FreshetTable
import Synchronization

/// What a replica's writer and its readers share: the rows, behind a gate, and what the writer has published.
// Sendable holds because the tables and versions are changed inside `gate.write` only, and read there, inside a reader's
// `read`, or by the thread that writes; the rest is constant or atomic.
final class ReplicaContent: @unchecked Sendable {
  let tables: ModelTables
  let shardCount: Int
  let gate = ReplicaGate()
  /// Of all shards in turn, each in the order of the cluster's tables.
  let embeddings: [EmbeddingTable]
  /// Rises whenever a dense row changes.
  var denseVersion: UInt64 = 0
  /// Rises whenever any row of an embedding changes.
  var rowsVersion: UInt64 = 0
  let isReady = Atomic<Bool>(false)
  let status: Mutex<ReplicaStatus>

  init(tables: ModelTables, shards: [ReplicaShard]) {
    self.tables = tables
    shardCount = shards.count
    embeddings = shards.flatMap(\.tables)
    status = Mutex(ReplicaStatus())
  }

  @inline(__always)
  func embedding(_ table: Int, of fid: Fid) -> EmbeddingTable {
    embeddings[ShardMap.shardIndex(of: fid, shardCount: shardCount) &* tables.layouts.count &+ table]
  }
}

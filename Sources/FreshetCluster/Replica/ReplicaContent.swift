import FreshetCore
import FreshetTable
import Synchronization

/// What a replica's writer and its readers share: the rows, behind a gate, and what the writer has published.
// Sendable holds because the tables and versions are changed inside `gate.write` only, and read there, inside a reader's
// `read`, or by the thread that writes; the rest is constant or atomic.
final class ReplicaContent: @unchecked Sendable {
  let tables: ModelTables
  let shardCount: Int
  /// A reader that has lost its core gets it back within some milliseconds.
  let gate = ReplicaGate(insistAfterMilliseconds: 20)
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

  // MARK: - Writing

  /// Rows that are changed without a pause for readers: some microseconds' work.
  private static let rowsPerSlice = 64
  /// Of wide rows fewer.
  private static let bytesPerSlice = 16 << 10
  /// Rows that are looked at for removal at once, which readers do not notice.
  private static let rowsPerLook = 4096

  /// Applies one table's part of a frame, in slices. The dense tensors are announced as changed when all of them are, so
  /// that readers take them over together.
  func apply(_ delta: SyncFrame.Table, to table: EmbeddingTable, minutes: UInt32) {
    let rows = max(1, min(Self.rowsPerSlice, Self.bytesPerSlice / max(1, delta.width * 4)))
    delta.fids.withUnsafeBufferPointer { fids in
      delta.weights.withUnsafeBufferPointer { weights in
        guard let start = weights.baseAddress else { return }
        for first in stride(from: 0, to: fids.count, by: rows) {
          let slice = UnsafeBufferPointer(rebasing: fids[first..<min(first + rows, fids.count)])
          write { table.assign(slice, weights: start + first * delta.width, minutes: minutes) }
        }
      }
    }
    remove(delta.tombstones, from: table)
    if delta.table == tables.denseTable { gate.write { denseVersion += 1 } }
  }

  /// Removes the rows that were last changed before `minutes`, in slices.
  func removeRows(of table: EmbeddingTable, updatedBefore minutes: UInt32) {
    var cursor: Int? = 0
    var fids: [Fid] = []
    while let start = cursor {
      fids.removeAll(keepingCapacity: true)
      // Looking changes nothing, so it takes place outside of the gate.
      cursor = table.findRows(updatedBefore: minutes, from: start, limit: Self.rowsPerLook, into: &fids)
      remove(fids, from: table)
    }
  }

  private func remove(_ fids: [Fid], from table: EmbeddingTable) {
    fids.withUnsafeBufferPointer { fids in
      for first in stride(from: 0, to: fids.count, by: Self.rowsPerSlice) {
        let slice = UnsafeBufferPointer(rebasing: fids[first..<min(first + Self.rowsPerSlice, fids.count)])
        write { _ = table.remove(slice) }
      }
    }
  }

  @inline(__always)
  private func write(_ slice: () -> Void) {
    gate.write {
      slice()
      rowsVersion += 1
    }
  }
}

import FreshetCore

/// Chunks of bases as they were sent last, for other replicas that copy at the same time: each is read and compressed once.
///
/// A chunk may be sent again as long as its shard has sealed no further delta and its table has removed no row. Rows that have
/// changed since come with the next delta then, and so do new ones; and since no row has moved, chunks that were encoded at
/// different times still hold every row.
struct BaseChunkCache {
  struct Key: Hashable {
    let shard: ShardID
    let table: Int
    let cursor: UInt64
    /// Of the last delta of the shard.
    let sequence: UInt64
    /// `TableStatistics.removals`.
    let removals: UInt64
  }

  private var chunks: [Key: [UInt8]] = [:]
  /// In the order of their encoding.
  private var order: [Key] = []
  private(set) var sizeBytes = 0
  private let maximumBytes: Int

  init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

  func chunk(_ key: Key) -> [UInt8]? { chunks[key] }

  mutating func add(_ chunk: [UInt8], for key: Key) {
    guard chunk.count <= maximumBytes, chunks.updateValue(chunk, forKey: key) == nil else { return }
    order.append(key)
    sizeBytes += chunk.count
    var removed = 0
    while sizeBytes > maximumBytes {
      sizeBytes -= chunks.removeValue(forKey: order[removed])!.count
      removed += 1
    }
    order.removeFirst(removed)
  }

  /// A delta of the shard has been sealed: its chunks are of no use any more.
  mutating func forget(_ shard: ShardID) {
    guard !order.isEmpty else { return }
    order.removeAll { key in
      guard key.shard == shard else { return false }
      sizeBytes -= chunks.removeValue(forKey: key)!.count
      return true
    }
  }
}

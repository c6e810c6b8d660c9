import FreshetCore

/// The last snapshots of a server that stops: those that fit into its time.
struct SnapshotStop {
  /// What is assumed before anything has been measured: slower than every disk that one would use.
  private static let initialBytesPerMs = 50_000.0

  private(set) var deadline = Instant(nanoseconds: .max)
  private(set) var hasBegun = false
  private(set) var isOver = false
  private var bytesPerMs = Self.initialBytesPerMs

  /// Takes note of how fast a snapshot went. Small ones say nothing about a base.
  mutating func measure(rawBytes: UInt64, milliseconds: Double) {
    guard rawBytes > 1 << 20, milliseconds > 0 else { return }
    bytesPerMs = Double(rawBytes) / milliseconds
  }

  mutating func begin(deadline: Instant) {
    hasBegun = true
    self.deadline = deadline
  }

  mutating func finish() { isOver = true }

  /// Deltas first, then small bases: as many shards as possible are saved.
  func order(_ shards: [(shard: ShardID, kind: SnapshotKind, rawBytes: Int)]) -> [ShardID] {
    shards.sorted { a, b in
      let (left, right) = (a.kind == .delta ? 0 : a.rawBytes + 1, b.kind == .delta ? 0 : b.rawBytes + 1)
      return (left, a.shard) < (right, b.shard)
    }.map(\.shard)
  }

  /// Takes those out of the queue that would not be complete in time: a base that is given up halfway saves nothing and
  /// takes the time of others.
  /// - Parameter rawBytes: What is to be written of a shard at the least.
  /// - Returns: What was taken out.
  func skip(_ queue: inout [ShardID], now: Instant, rawBytes: (ShardID) -> Int) -> [ShardID] {
    let left = deadline.milliseconds(since: now)
    let skipped = queue.filter { left <= 0 || Double(rawBytes($0)) / bytesPerMs > left }
    queue.removeAll { skipped.contains($0) }
    return skipped
  }
}

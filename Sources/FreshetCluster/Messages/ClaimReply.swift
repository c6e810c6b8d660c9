import FreshetCore

/// What a server answers to `CLAIM partition`: the partition's new epoch, and how far each of its shards is.
///
/// On the wire an array of integers: epoch, then shard and watermark in turn.
public struct ClaimReply: Sendable, Equatable {
  public let epoch: Epoch
  public let watermarks: [ShardWatermark]

  public struct ShardWatermark: Sendable, Equatable {
    public let shard: ShardID
    public let watermark: Offset

    public init(shard: ShardID, watermark: Offset) {
      self.shard = shard
      self.watermark = watermark
    }
  }

  public init(epoch: Epoch, watermarks: [ShardWatermark]) {
    self.epoch = epoch
    self.watermarks = watermarks
  }

  public var integers: [Int64] {
    [Int64(epoch.value)] + watermarks.flatMap { [Int64($0.shard.value), $0.watermark.value] }
  }

  /// nil if the integers are not a claim's reply.
  public init?(integers: [Int64]) {
    guard integers.count % 2 == 1, integers[0] >= 0 else { return nil }
    epoch = Epoch(UInt64(integers[0]))
    var watermarks: [ShardWatermark] = []
    for index in stride(from: 1, to: integers.count, by: 2) {
      guard let shard = UInt16(exactly: integers[index]), integers[index + 1] >= -1 else { return nil }
      watermarks.append(ShardWatermark(shard: ShardID(shard), watermark: Offset(integers[index + 1])))
    }
    self.watermarks = watermarks
  }
}

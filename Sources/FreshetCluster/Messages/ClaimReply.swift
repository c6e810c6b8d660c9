import FreshetCore

/// What a server answers to `CLAIM partition`: the partition's new epoch, and how far each of its shards is.
///
/// On the wire an array of integers: version, epoch, then shard, watermark and origin in turn.
public struct ClaimReply: Sendable, Equatable {
  /// Version 1, an odd number of integers, had neither version nor origins.
  static let version: Int64 = 2

  public let epoch: Epoch
  public let watermarks: [ShardWatermark]

  public struct ShardWatermark: Sendable, Equatable {
    public let shard: ShardID
    public let watermark: Offset
    /// Where the log began when the shard took its first batch: it has every example from there to the watermark. `none`
    /// as long as the watermark is.
    public let origin: Offset

    public init(shard: ShardID, watermark: Offset, origin: Offset) {
      self.shard = shard
      self.watermark = watermark
      self.origin = origin
    }
  }

  public init(epoch: Epoch, watermarks: [ShardWatermark]) {
    self.epoch = epoch
    self.watermarks = watermarks
  }

  public var integers: [Int64] {
    [Self.version, Int64(bitPattern: epoch.value)]
      + watermarks.flatMap { [Int64($0.shard.value), $0.watermark.value, $0.origin.value] }
  }

  /// nil if the integers are not a claim's reply of this version.
  public init?(integers: [Int64]) {
    guard integers.count % 3 == 2, integers[0] == Self.version else { return nil }
    epoch = Epoch(UInt64(bitPattern: integers[1]))
    var watermarks: [ShardWatermark] = []
    for index in stride(from: 2, to: integers.count, by: 3) {
      let (watermark, origin) = (integers[index + 1], integers[index + 2])
      guard let shard = UInt16(exactly: integers[index]), watermark >= -1, (-1...watermark).contains(origin) else {
        return nil
      }
      watermarks.append(
        ShardWatermark(shard: ShardID(shard), watermark: Offset(watermark), origin: Offset(origin)))
    }
    self.watermarks = watermarks
  }
}

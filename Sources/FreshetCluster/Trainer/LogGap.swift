import FreshetCore

/// Examples that some shard needs and that the log does not hold any more.
struct LogGap: Equatable {
  let begin: Offset
  let end: Offset
  /// The shard that misses most.
  let shard: ShardID
  /// How far that shard is.
  let watermark: Offset

  /// nil if the log, which begins at `start`, holds all that the shards need.
  ///
  /// A shard whose watermark is `none` needs what the others have been given from their origin on. If there is no other, the log
  /// is taken as it is.
  init?(_ shards: [ClaimReply.ShardWatermark], start: Offset) {
    let origin = shards.lazy.map(\.origin).filter { $0 != .none }.min()
    var most: (needed: Offset, shard: ClaimReply.ShardWatermark)?
    for shard in shards {
      guard let needed = shard.watermark == .none ? origin : shard.watermark else { continue }
      if needed < start, needed < most?.needed ?? start { most = (needed, shard) }
    }
    guard let most else { return nil }
    begin = most.needed
    end = start
    shard = most.shard.shard
    watermark = most.shard.watermark
  }

  func error(_ partition: PartitionID) -> ClusterError {
    let has =
      watermark == .none
      ? "has none of them while others were given those from \(begin) on: its server has lost its state"
      : "has only those below \(watermark)"
    return ClusterError(
      .gap,
      "partition \(partition) of the examples starts at \(end), but shard \(shard) \(has). Kafka has deleted "
        + "\(end.value - begin.value) offsets, \(begin) ..< \(end). Lengthen the topic's retention, restore a newer snapshot, or "
        + "accept the loss with --allow-gap")
  }
}

import FreshetCore

/// Passes over the beginning of a partition's log that come before its stream: the batch stage (docs/exactly-once.md#passes).
///
/// To the servers a pass is a partition of its own, with watermarks, origins and epochs of its own, whose number says which pass
/// it is of which partition. So everything that holds for a partition holds for each pass.
extension PartitionID {
  /// Partitions of the examples are below this.
  public static let streamCount: Int32 = 1024
  /// So that every number stays below `ShardServer.maximumPartitions`.
  public static let maximumPasses = 62

  /// - Parameter pass: From 1 on; 0 is the stream itself.
  public init(_ partition: PartitionID, pass: Int) {
    precondition((0..<Self.streamCount).contains(partition.value) && (0...Self.maximumPasses).contains(pass))
    self.init(Int32(pass) * Self.streamCount + partition.value)
  }

  /// 0 for the stream.
  public var pass: Int { Int(value / Self.streamCount) }
  /// The partition whose log it is.
  public var stream: PartitionID { PartitionID(value % Self.streamCount) }
}

extension Offset {
  /// Above every offset of a log.
  private static let finished: Int64 = 1 << 62

  /// The watermark of a pass that has ended at `end`: it says that there is nothing more to come, and where that was.
  static func finished(at end: Offset) -> Offset { Offset(finished + end.value) }

  /// Where the pass has ended; nil if it has not.
  public var finishedEnd: Offset? { value >= Self.finished ? Offset(value - Self.finished) : nil }
}

import FreshetCore

/// "The examples of this partition up to `end` were appended to Kafka between these times": what a replica needs to measure
/// freshness. Once all of its shards' watermarks have passed `end`, its scores reflect those examples.
public struct BatchReceipt: Sendable, Equatable {
  public let partition: PartitionID
  public let end: Offset
  public let exampleCount: Int
  public let oldestIngest: UnixTime
  public let newestIngest: UnixTime

  public init(
    partition: PartitionID, end: Offset, exampleCount: Int, oldestIngest: UnixTime, newestIngest: UnixTime
  ) {
    self.partition = partition
    self.end = end
    self.exampleCount = exampleCount
    self.oldestIngest = oldestIngest
    self.newestIngest = newestIngest
  }

  /// Halves a list by merging neighbours of the same partition. A merged receipt ends later and spans more time, so
  /// freshness computed from it is never too good.
  static func coarsen(_ receipts: inout [BatchReceipt]) {
    var merged: [BatchReceipt] = []
    var pending: [PartitionID: BatchReceipt] = [:]
    for receipt in receipts {
      guard let earlier = pending.removeValue(forKey: receipt.partition) else {
        pending[receipt.partition] = receipt
        continue
      }
      merged.append(
        BatchReceipt(
          partition: receipt.partition, end: max(earlier.end, receipt.end),
          exampleCount: earlier.exampleCount + receipt.exampleCount,
          oldestIngest: min(earlier.oldestIngest, receipt.oldestIngest),
          newestIngest: max(earlier.newestIngest, receipt.newestIngest)))
    }
    receipts = merged + pending.keys.sorted().map { pending[$0]! }
  }
}

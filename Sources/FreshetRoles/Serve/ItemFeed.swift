import FreshetCore
import FreshetModel

/// One record of the `items` topic or of an enrichment's, copied out of the consumer's memory.
struct ItemRecord: Sendable {
  /// Whose topic it is of.
  var source = FieldSpec.Source.item
  let partition: PartitionID
  let offset: Offset
  let key: [UInt8]?
  /// nil deletes the item.
  let value: [UInt8]?
}

struct ItemBatch: Sendable {
  var records: [ItemRecord] = []
  /// Whether every partition has been read to what was its end.
  var isCaughtUp = false
}

/// Where item records come from.
protocol ItemFeed: Sendable {
  /// Starts reading from the beginning.
  /// - Parameter deliver: Takes a batch and calls back when it has been applied. The feed hands over no more than a few
  ///   batches that have not been applied.
  func start(deliver: @escaping @Sendable (ItemBatch, _ applied: @escaping @Sendable () -> Void) -> Void)

  /// Returns when nothing will be delivered any more.
  func stop() async
}

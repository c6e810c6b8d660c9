import FreshetCore
import FreshetModel
import FreshetTable

/// Who learns what changed in a shard's tables.
enum ShardFeed {
  /// Deltas for replicas.
  static let sync = 0
  static let count = 1
}

/// Everything that one shard holds and that has to change together: rows, watermarks, and the progressive validation of the
/// partitions that report to it. A snapshot of a shard is a copy of this at one instant (invariant I3).
final class ShardState {
  let id: ShardID
  /// By position in the cluster's list of tables.
  let tables: [EmbeddingTable]
  /// Every example below a partition's watermark has been applied to this shard, none at or above it.
  private(set) var watermarks: [PartitionID: Offset] = [:]
  /// By partition, where the log began when the shard took its first batch.
  private(set) var origins: [PartitionID: Offset] = [:]
  /// By partition, then by task.
  private(set) var validation: [PartitionID: [ProgressiveValidation]] = [:]
  private(set) var newestMinutes: UInt32 = 0
  /// By table with a time to live, the event time of its newest update: what its rows' age is measured against.
  private(set) var tableMinutes: [UInt32]
  /// By table, how often something happened by which rows may have expired: its time moved on, or an update came that was
  /// too old already.
  private(set) var expiryCauses: [UInt64]
  /// Reports applied since the last delta was sealed; the replica turns them into freshness.
  private(set) var receipts: [BatchReceipt] = []
  private var receiptMerges: UInt64 = 0
  private(set) var watermarksChanged = false
  /// How often a watermark has moved in this life: equal numbers mean that nothing was learned in between.
  private(set) var changes: UInt64 = 0

  /// - Parameters:
  ///   - feeds: `ShardFeed.count`; 0 for a copy that nobody learns from.
  ///   - isSnapshotted: Whether tables keep account of what a delta snapshot needs.
  init(id: ShardID, layouts: [TableLayout], feeds: Int, isSnapshotted: Bool) {
    self.id = id
    tables = layouts.map { EmbeddingTable(layout: $0, feeds: feeds, isSnapshotted: isSnapshotted) }
    tableMinutes = layouts.map { _ in 0 }
    expiryCauses = layouts.map { _ in 0 }
  }

  /// Applies gradients to one table (`EmbeddingTable.update`).
  func update(table: Int, _ fids: UnsafeBufferPointer<Fid>, gradients: UnsafePointer<Float>, minutes: UInt32) {
    tables[table].update(fids, gradients: gradients, minutes: minutes)
    guard let timeToLive = tables[table].layout.expiry.timeToLiveMinutes else { return }
    if minutes > tableMinutes[table] || tableMinutes[table] - minutes > timeToLive { expiryCauses[table] += 1 }
    tableMinutes[table] = max(tableMinutes[table], minutes)
  }

  func watermark(of partition: PartitionID) -> Offset { watermarks[partition] ?? .none }

  /// Without those of passes, which mean nothing to replicas; ascending by partition.
  var streamWatermarks: [(partition: PartitionID, offset: Offset)] {
    watermarks.filter { $0.key.pass == 0 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// `none` as long as the watermark is. A watermark whose origin nobody noted counts from the first offset there can be.
  func origin(of partition: PartitionID) -> Offset {
    origins[partition] ?? (watermark(of: partition) == .none ? .none : Offset(0))
  }

  /// Notes where the log begins, before the first batch of a partition is applied.
  func begin(_ partition: PartitionID, at origin: Offset) {
    precondition(watermark(of: partition) == .none)
    origins[partition] = origin
  }

  /// Moves the watermark; the caller has applied everything below `to`.
  func advance(_ partition: PartitionID, to: Offset, minutes: UInt32) {
    precondition(to > watermark(of: partition))
    watermarks[partition] = to
    newestMinutes = max(newestMinutes, minutes)
    watermarksChanged = true
    changes += 1
  }

  func record(_ report: BatchReport, partition: PartitionID, end: Offset) {
    // Taken out so that its histograms are changed in place.
    var perTask = validation.removeValue(forKey: partition) ?? report.tasks.map { _ in ProgressiveValidation() }
    for (task, predictions) in report.tasks.enumerated() where task < perTask.count {
      perTask[task].add(predictions.predictions, loss: predictions.loss, predicted: predictions.predicted)
    }
    validation[partition] = perTask
    // How late the batch stage is says nothing about freshness.
    guard partition.pass == 0 else { return }
    receipts.append(
      BatchReceipt(
        partition: partition, end: end, exampleCount: report.exampleCount, oldestIngest: report.oldestIngest,
        newestIngest: report.newestIngest))
    if receipts.count > Self.maximumReceipts {
      BatchReceipt.coarsen(&receipts)
      receiptMerges += 1
    }
  }

  /// Receipts kept between two deltas; beyond that neighbours of a partition merge.
  static let maximumReceipts = 4096

  /// Takes over what a snapshot says beside the rows of its tables.
  /// - Precondition: Nothing has been applied yet; `header` has this shard's tables.
  func restore(_ header: SnapshotHeader, validation: [PartitionID: [ProgressiveValidation]]) {
    precondition(changes == 0 && header.tables.count == tables.count)
    for progress in header.progress {
      if progress.watermark != .none { watermarks[progress.partition] = progress.watermark }
      if progress.origin != .none { origins[progress.partition] = progress.origin }
    }
    self.validation = validation
    newestMinutes = header.newestMinutes
    tableMinutes = header.tables.map(\.minutes)
    expiryCauses = header.tables.map(\.expiryCauses)
  }

  /// Hands over what a delta carries beside rows, and starts anew.
  func takeNews() -> (receipts: [BatchReceipt], receiptMerges: UInt64, watermarksChanged: Bool) {
    defer {
      receipts.removeAll(keepingCapacity: true)
      receiptMerges = 0
      watermarksChanged = false
    }
    return (receipts, receiptMerges, watermarksChanged)
  }
}

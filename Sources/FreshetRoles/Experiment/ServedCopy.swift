import FreshetCluster
import FreshetCore
import FreshetModel

/// A replica's copy, and what it predicts for examples: its rows, its dense tensors, the trainer's network.
///
/// Requests are scored by kernels of their own (docs/serving.md), which agree with this network to about six digits; with this one a
/// copy that is up to date predicts what the trainer does, to the bit.
final class ServedCopy {
  private let tables: ModelTables
  private let copy: LocalReplica
  private let reader: ReplicaReader
  private let network: Network
  private let rows = FloatBuffer()
  private let parameters = FloatBuffer()
  private var denseVersion: UInt64?
  private var occurrences: [Int32] = []
  private(set) var refreshes = 0

  init(tables: ModelTables, map: ShardMap) {
    self.tables = tables
    copy = LocalReplica(tables: tables, map: map)
    reader = copy.replica.makeReader()
    network = tables.makeNetwork()
    parameters.reserve(tables.denseLayout.paddedCount)
  }

  func refresh(from servers: [ShardServer]) throws {
    try copy.synchronise(with: servers)
    refreshes += 1
  }

  /// The logits of a batch, row-major `examples × tasks`, valid until the next call.
  func logits(_ batch: ExampleBatch) -> UnsafeBufferPointer<Float> {
    let width = tables.shape.largestRowWidth
    rows.reserve(batch.fids.count * width)
    reader.read { view in
      if denseVersion != view.denseVersion {
        for chunk in 0..<tables.denseLayout.chunkCount {
          _ = view.copyWeights(
            table: tables.denseTable, fid: DenseLayout.fid(ofChunk: chunk),
            into: parameters.start + chunk * DenseLayout.chunkWidth)
        }
        denseVersion = view.denseVersion
      }
      for example in 0..<batch.count {
        for (slot, table) in tables.tableOfSlot.enumerated() {
          for position in batch.fidRange(example: example, slot: slot) {
            _ = view.copyWeights(table: table, fid: batch.fids[position], into: rows.start + position * width)
          }
        }
      }
    }
    while occurrences.count < max(1, batch.fids.count) { occurrences.append(Int32(occurrences.count * width)) }
    let dense = batch.dense.isEmpty ? [0] : batch.dense
    let logits = occurrences.withUnsafeBufferPointer { occurrences in
      batch.slotStarts.withUnsafeBufferPointer { starts in
        dense.withUnsafeBufferPointer { dense in
          network.forward(
            NetworkInput(
              count: batch.count, rows: rows.start, occurrences: occurrences.baseAddress!,
              starts: starts.baseAddress!, denseFeatures: dense.baseAddress!),
            parameters: parameters.start)
        }
      }
    }
    return UnsafeBufferPointer(start: logits, count: batch.count * tables.shape.tasks)
  }
}

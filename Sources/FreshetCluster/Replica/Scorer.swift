import FreshetCore
import FreshetModel
import FreshetTable

/// Scores examples against a replica's copy.
///
/// Not thread-safe: belongs to one thread, as its reader does.
public final class Scorer {
  private let reader: ReplicaReader
  private let tables: ModelTables
  private let network: Network
  private let width: Int
  private var deduplicator = FidDeduplicator()
  private var occurrences: [Int32] = []
  private let rows = FloatBuffer()
  private let parameters = FloatBuffer()
  private var parametersVersion: UInt64?
  /// Fids that scores needed and that had no row: unknown users, items or values.
  public private(set) var unknownFids: UInt64 = 0
  public private(set) var scored: UInt64 = 0

  public init(reader: ReplicaReader) {
    self.reader = reader
    tables = reader.tables
    network = tables.makeNetwork()
    width = tables.shape.rowWidth
    parameters.reserve(tables.denseLayout.paddedCount)
  }

  /// The probabilities of the first `count` examples' tasks, row-major `count × tasks`.
  public func probabilities(of batch: ExampleBatch) -> [Double] {
    guard batch.count > 0 else { return [] }
    let slots = batch.layout.slotCount
    deduplicator.begin(occurrences: batch.fids.count)
    occurrences.removeAll(keepingCapacity: true)
    let tableOfSlot = tables.tableOfSlot
    for index in 0..<batch.count * slots {
      let table = UInt8(truncatingIfNeeded: tableOfSlot[index % slots])
      for position in Int(batch.slotStarts[index])..<Int(batch.slotStarts[index + 1]) {
        occurrences.append(deduplicator.number(of: batch.fids[position], table: table))
      }
    }
    reader.read { view in
      refreshParameters(view)
      gatherRows(view)
    }
    if occurrences.isEmpty { occurrences.append(0) }
    let dense = batch.dense.isEmpty ? [0] : batch.dense
    scored += UInt64(batch.count)
    return occurrences.withUnsafeBufferPointer { occurrences in
      batch.slotStarts.withUnsafeBufferPointer { starts in
        dense.withUnsafeBufferPointer { dense in
          let logits = network.forward(
            NetworkInput(
              count: batch.count, rows: rows.start, occurrences: occurrences.baseAddress!, starts: starts.baseAddress!,
              denseFeatures: dense.baseAddress!),
            parameters: parameters.start)
          return (0..<batch.count * tables.shape.tasks).map { Double(LogisticLoss.sigmoid(logits[$0])) }
        }
      }
    }
  }

  private func gatherRows(_ view: borrowing ReplicaView) {
    let count = deduplicator.fids.count
    rows.reserve(count * width)
    for number in 0..<count {
      let known = view.copyWeights(
        table: Int(deduplicator.tables[number]), fid: deduplicator.fids[number], into: rows.start + number * width)
      if !known { unknownFids += 1 }
    }
  }

  /// The dense tensors change as a whole with each delta, so they are copied together when one has arrived.
  private func refreshParameters(_ view: borrowing ReplicaView) {
    guard parametersVersion != view.denseVersion else { return }
    for chunk in 0..<tables.denseLayout.chunkCount {
      _ = view.copyWeights(
        table: tables.denseTable, fid: DenseLayout.fid(ofChunk: chunk),
        into: parameters.start + chunk * DenseLayout.chunkWidth)
    }
    parametersVersion = view.denseVersion
  }
}

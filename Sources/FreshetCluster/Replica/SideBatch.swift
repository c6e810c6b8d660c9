import FreshetCore
import FreshetModel
import FreshetTable

/// The parts of one side that a run computes: which rows they need, and what is computed from them.
final class SideBatch {
  let side: RowSide
  let layout: SidePart
  /// By slot of the side, the position of its table.
  private let tables: [Int]
  private let tableCount: Int
  private let shardCount: Int
  /// For each part `slots + 1` positions among the run's rows.
  let starts = GrowingMemory<Int32>()
  let dense = GrowingMemory<Float>()
  /// Where each part goes.
  let targets = GrowingMemory<UnsafeMutablePointer<Float>>()

  init(_ side: RowSide, layout: SidePart, slots: [Int], tables: ModelTables, shardCount: Int) {
    self.side = side
    self.layout = layout
    self.tables = slots.map { tables.tableOfSlot[$0] }
    tableCount = tables.layouts.count
    self.shardCount = shardCount
  }

  var count: Int { targets.count }

  func removeAll() {
    starts.removeAll()
    dense.removeAll()
    targets.removeAll()
  }

  /// Adds a part to be computed.
  /// - Parameters:
  ///   - part: As the extractor has written it; read now.
  ///   - requests: The rows of the run, to which those of the part are added.
  func append(
    _ part: UnsafeRawPointer, into target: UnsafeMutablePointer<Float>, _ requests: GrowingMemory<RowRequest>
  ) {
    let counts = layout.counts(part)
    var fids = layout.fids(part)
    var row = requests.extend(by: layout.fidCount(part))
    var position = Int32(truncatingIfNeeded: row - requests.start)
    let ends = starts.extend(by: layout.slotCount &+ 1)
    ends[0] = position
    tables.withUnsafeBufferPointer { tables in
      for slot in 0..<layout.slotCount {
        let fidCount = Int(counts[slot])
        for _ in 0..<fidCount {
          row.pointee = ReplicaView.request(
            fids.pointee, table: tables[slot], tableCount: tableCount, shardCount: shardCount)
          row += 1
          fids += 1
        }
        position &+= Int32(truncatingIfNeeded: fidCount)
        ends[slot &+ 1] = position
      }
    }
    if layout.denseCount > 0 {
      dense.extend(by: layout.denseCount).update(from: layout.dense(part), count: layout.denseCount)
    }
    targets.append(target)
  }

  /// The rows of a part's slot, as positions among the run's rows.
  func rows(ofPart number: Int, slot: Int) -> Range<Int> {
    let first = number * (layout.slotCount + 1) + slot
    return Int(starts.start[first])..<Int(starts.start[first + 1])
  }

  /// The rows of a part's slots.
  @inline(__always)
  func rows(ofPart number: Int) -> Range<Int> {
    let first = starts.start + number &* (layout.slotCount &+ 1)
    return Int(first[0])..<Int(first[layout.slotCount])
  }
}

import FreshetCore

/// Consistent copies of a table that goes on changing, and their way back into one. A chain is a full cut and any number of
/// others after it.
///
///     let head = table.beginCut(isFull: false)
///     repeat { isUnfinished = table.takeCutRows(limit: 4096, into: &rows) } while isUnfinished
///     repeat { sketch = table.takeCutSketch(limit: 1 << 20) } while !sketch.isEmpty
///     table.endCut()
///
/// with anything else between these calls. docs/table.md says how it works inside and what it costs.
extension EmbeddingTable {
  // MARK: - Cutting

  /// Fixes what the cut is to deliver: the table as it is now, or what has changed in it since the last cut (since it was made
  /// or restored, if there was none).
  /// - Precondition: The table was made with `isSnapshotted`, no cut is under way, and the cut is full if `mustCutFully`.
  /// - Complexity: O(rows / 64): 0.3 ms for 10M rows.
  public func beginCut(isFull: Bool) -> TableCutHead { core.beginCut(isFull: isFull) }

  /// Appends rows of the cut, each once, in no particular order.
  /// - Parameter limit: Most rows to append, above 0.
  /// - Returns: Whether there are more to come.
  public func takeCutRows(limit: Int, into rows: inout TableRows) -> Bool {
    core.takeCutRows(limit: limit, into: &rows)
  }

  /// The next bytes of the admission sketch, as it was at the cut.
  /// - Parameter limit: About how many at most; rounded to pages of 4 KiB, at least one.
  /// - Returns: Empty when all of `sketchBytes` have been delivered.
  public func takeCutSketch(limit bytes: Int) -> [UInt8] { core.admission.sketch.takeCut(limit: bytes) }

  /// Memory for what the cut has yet to deliver and the table has changed since.
  public var cutSideBytes: Int { core.cutCopies.sizeBytes + core.admission.sketch.savedBytes }

  public var isCutting: Bool { core.isCutting }

  /// Fids that the next cut will report as removed: at most as many as there are rows, or 4,096.
  public var removedSinceCutCount: Int { core.removedSinceCut.count }

  /// Whether the next cut has to be full: one was abandoned, or more rows have been removed since the last one than there are.
  public var mustCutFully: Bool { !core.knowsChanges }

  /// - Precondition: Everything has been delivered.
  public func endCut() { core.endCut() }

  /// Drops a cut that is under way. What has changed since the one before it is known no more, so the next one has to be full.
  public func abandonCut() { core.abandonCut() }

  // MARK: - Restoring

  // A fresh table is given the rows of a chain's cuts, in order, for each first what was removed and then the rows; and of
  // the newest one the sketch and, last of all, the head. Feeds are not told, and a cut afterwards goes on with the chain.

  /// Removes rows; fids without one are passed over.
  public func restore(removed fids: [Fid]) { fids.withUnsafeBufferPointer { core.restore(removed: $0) } }

  /// Adds rows, or overwrites them.
  /// - Precondition: `rows` has as many minutes as fids, and `rowBytes` for each.
  public func restore(rows: TableRows) {
    precondition(rows.minutes.count == rows.count && rows.bytes.count == rows.count * core.shape.rowBytes)
    guard rows.count > 0 else { return }
    rows.fids.withUnsafeBufferPointer { fids in
      rows.minutes.withUnsafeBufferPointer { minutes in
        rows.bytes.withUnsafeBytes { bytes in
          core.restore(fids, minutes: minutes.baseAddress!, bytes: bytes.baseAddress!)
        }
      }
    }
  }

  /// Overwrites a part of the admission sketch.
  /// - Precondition: The part lies in `0 ..< sketchBytes`.
  public func restore(sketch bytes: [UInt8], at offset: Int) { core.admission.sketch.restore(bytes, at: offset) }

  /// Bytes of the admission sketch: what the layout asks for in whole cache lines of 64, 0 for none.
  public var sketchBytes: Int { core.admission.sketch.counterBytes }

  /// Whether a head can be of a table with this layout, or of one without a sketch.
  public func accepts(_ head: TableCutHead) -> Bool { core.accepts(head) }

  /// Sets the clock, the counts, and what admission and eviction go on from.
  /// - Precondition: `accepts(head)`.
  public func restore(_ head: TableCutHead) { core.restore(head) }
}

import CIntrinsics
import FreshetCore

/// A copy of the table at one instant, taken in slices while the table goes on: whoever changes a row that the copy has not
/// reached copies it first. Rows change in `forEach` with `touches` and in `remove`, nowhere else.
extension TableCore {
  mutating func beginCut(isFull: Bool) -> TableCutHead {
    precondition(store.hasCuts, "table \(layout.name) was made without cuts")
    precondition(!isCutting, "a cut of table \(layout.name) is under way")
    precondition(isFull || knowsChanges, "after a cut that was abandoned the next one has to be full")
    store.beginCut(isFull: isFull)
    admission.sketch.beginCut()
    isCutting = true
    knowsChanges = true
    let removed = removedSinceCut.takeChunks()
    return TableCutHead(
      isFull: isFull, rowCount: store.pendingCount, newestMinutes: newestMinutes, statistics: statistics,
      evictionCursor: evictionCursor, sketchAdditions: UInt64(admission.sketch.additions),
      sketchNextLine: UInt64(admission.sketch.nextLine), generatorState: [admission.generator.state],
      sketchBytes: admission.sketch.counterBytes, removed: isFull ? [] : removed)
  }

  /// Copies the fid's row if the cut waits for it.
  mutating func saveForCut(_ fid: Fid) {
    guard let entry = index.find(fid) else { return }
    save(entry[0] &- 1, fid, minutes: entry[FidIndex.minutesOffset])
  }

  /// Copies those rows of a chunk of fids that the cut waits for.
  mutating func saveForCut(_ fids: UnsafeBufferPointer<Fid>) {
    guard store.pendingCount > 0 else { return }
    let ahead = min(Self.indexAhead, fids.count)
    for position in 0..<ahead { index.prefetch(fids[position]) }
    for position in 0..<fids.count {
      if position &+ ahead < fids.count { index.prefetch(fids[position &+ ahead]) }
      guard let entry = index.find(fids[position]) else {
        rows[position] = Self.noRow
        continue
      }
      rows[position] = entry[0] &- 1
      pending[position] = entry[FidIndex.minutesOffset]
      fi_prefetch_read(store.pendingWord(rows[position]))
    }
    for position in 0..<fids.count where rows[position] != Self.noRow {
      if store.isPending(rows[position]) {
        store.addresses.fetch(store.row(rows[position]), bytes: 0..<shape.rowBytes)
      } else {
        rows[position] = Self.noRow
      }
    }
    for position in 0..<fids.count where rows[position] != Self.noRow {
      save(rows[position], fids[position], minutes: pending[position])
    }
  }

  private mutating func save(_ row: UInt32, _ fid: Fid, minutes: UInt32) {
    guard store.isPending(row) else { return }
    cutCopies.append(fid, minutes: minutes, row: store.row(row))
    store.clearPending(row)
  }

  /// - Returns: Whether rows are left.
  mutating func takeCutRows(limit: Int, into rows: inout TableRows) -> Bool {
    precondition(isCutting && limit > 0)
    rows.reserve(min(limit, cutCopies.count + store.pendingCount), rowBytes: shape.rowBytes)
    // First those that take memory.
    var left = limit - cutCopies.take(limit: limit, into: &rows)
    while left > 0 && store.pendingCount > 0 {
      let count = store.takePending(limit: min(left, Self.chunk), into: self.rows)
      precondition(count > 0, "table \(layout.name) has lost \(store.pendingCount) rows of a cut")
      appendRows(count, to: &rows)
      left -= count
    }
    return cutCopies.count + store.pendingCount > 0
  }

  /// Appends the rows whose numbers lie in the scratch space, at most a chunk of them.
  private func appendRows(_ count: Int, to rows: inout TableRows) {
    let numbers = UnsafePointer(self.rows)
    for position in 0..<count { store.prefetchFid(numbers[position]) }
    let first = rows.fids.count
    forEachRun(count) { number, _, length in
      rows.fids.append(contentsOf: UnsafeBufferPointer(start: store.fids(from: number), count: length))
    }
    rows.fids.withUnsafeBufferPointer { fids in
      let fids = UnsafeBufferPointer(rebasing: fids[first...])
      let ahead = min(Self.indexAhead, count)
      for position in 0..<ahead { index.prefetch(fids[position]) }
      for position in 0..<count {
        if position &+ ahead < count { index.prefetch(fids[position &+ ahead]) }
        pending[position] = index.find(fids[position]).unsafelyUnwrapped[FidIndex.minutesOffset]
      }
    }
    rows.minutes.append(contentsOf: UnsafeBufferPointer(start: pending, count: count))
    var prefetched = 0
    forEachRun(count) { number, position, length in
      let end = min(position &+ length &+ Self.linesAhead, count)
      while prefetched < end {
        store.addresses.fetch(store.row(numbers[prefetched]), bytes: 0..<shape.rowBytes)
        prefetched &+= 1
      }
      let isTight = shape.strideBytes == shape.rowBytes
      for row in 0..<(isTight ? 1 : length) {
        let source = store.row(number) + row &* shape.strideBytes
        rows.bytes.append(
          contentsOf: UnsafeBufferPointer(
            start: source.assumingMemoryBound(to: UInt8.self),
            count: isTight ? length &* shape.rowBytes : shape.rowBytes))
      }
    }
  }

  /// Stretches of the rows in the scratch space that follow each other in memory.
  @inline(__always)
  private func forEachRun(_ count: Int, _ body: (_ first: UInt32, _ position: Int, _ length: Int) -> Void) {
    var position = 0
    while position < count {
      let length = store.runLength(rows + position, limit: min(32, count &- position))
      body(rows[position], position, length)
      position &+= length
    }
  }

  /// Removals that a cut may list however few rows there are.
  static let minimumRemovedSinceCut = 4096

  /// A list that is longer than the table says more than the whole table would: the next cut is full then.
  mutating func noteRemovalForCut(_ fid: Fid) {
    removedSinceCut.append(fid)
    guard removedSinceCut.count > max(Self.minimumRemovedSinceCut, store.count) else { return }
    removedSinceCut.removeAll()
    knowsChanges = false
  }

  mutating func endCut() {
    precondition(isCutting && cutCopies.count == 0 && store.pendingCount == 0 && !admission.sketch.hasPendingPages)
    admission.sketch.endCut()
    isCutting = false
  }

  mutating func abandonCut() {
    precondition(isCutting)
    store.dropPending()
    cutCopies.removeAll()
    admission.sketch.endCut()
    removedSinceCut.removeAll()
    isCutting = false
    knowsChanges = false
  }
}

import FreshetCore

/// What was cut is put back. Nobody is told: neither feeds nor the next cut.
extension TableCore {
  mutating func restore(removed fids: UnsafeBufferPointer<Fid>) {
    precondition(!isCutting)
    let ahead = min(Self.indexAhead, fids.count)
    for position in 0..<ahead { index.prefetch(fids[position]) }
    for position in 0..<fids.count {
      if position + ahead < fids.count { index.prefetch(fids[position + ahead]) }
      _ = takeOut(fids[position])
    }
  }

  mutating func restore(
    _ fids: UnsafeBufferPointer<Fid>, minutes: UnsafePointer<UInt32>, bytes: UnsafeRawPointer
  ) {
    precondition(!isCutting)
    let rowBytes = shape.rowBytes
    forEach(fids, rowBytes: rowBytes, minutes: nil, restored: minutes) { core, position, fid, entry in
      if let entry {
        entry[FidIndex.minutesOffset] = minutes[position]
        return entry[0] &- 1
      }
      let row = core.store.append(fid)
      core.index.insert(fid, row: row, minutes: minutes[position])
      return row
    } work: { _, position, address in
      address.copyMemory(from: bytes + position &* rowBytes, byteCount: rowBytes)
    } missing: { _, _ in
    }
  }

  func accepts(_ head: TableCutHead) -> Bool {
    (head.sketchBytes == admission.sketch.counterBytes || head.sketchBytes == 0)
      && head.sketchAdditions <= UInt64(Int.max) && head.generatorState.count == 1
      && head.sketchNextLine < UInt64(max(1, admission.sketch.lineCount))
  }

  mutating func restore(_ head: TableCutHead) {
    precondition(!isCutting && accepts(head))
    newestMinutes = head.newestMinutes
    advanceClock(newestMinutes)
    statistics = head.statistics
    evictionCursor = head.evictionCursor
    sweepCursor = 0
    admission.sketch.additions = Int(head.sketchAdditions)
    admission.sketch.nextLine = Int(head.sketchNextLine)
    admission.generator = SeededGenerator(seed: head.generatorState[0])
  }
}

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
    var first = 0
    while first < fids.count {
      let end = min(first + Self.chunk, fids.count)
      for position in first..<end { index.prefetch(fids[position]) }
      for position in first..<end {
        let address = store.row(restoreRow(fids[position], minutes: minutes[position]))
        addresses[position - first] = address
        store.addresses.fetch(address, bytes: 0..<rowBytes)
      }
      for position in first..<end {
        addresses[position - first].copyMemory(from: bytes + position &* rowBytes, byteCount: rowBytes)
      }
      first = end
    }
  }

  private mutating func restoreRow(_ fid: Fid, minutes: UInt32) -> UInt32 {
    if let entry = index.find(fid) {
      entry[FidIndex.minutesOffset] = minutes
      return entry[0] &- 1
    }
    let row = store.append(fid)
    index.insert(fid, row: row, minutes: minutes)
    return row
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

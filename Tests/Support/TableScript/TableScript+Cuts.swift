import FreshetCore
import FreshetTable

/// What a cut is to deliver, and what it has.
struct ScriptCut {
  let head: TableCutHead
  /// The table at the instant of the cut.
  let all: [Fid: ReferenceTable.Row]
  /// The rows of it that the cut has yet to deliver.
  var missing: Set<Fid>
  var rows = TableRows()
  var sketch: [UInt8] = []
}

extension TableScript {
  /// The model's feed that knows what has changed since the last cut.
  private var cutFeed: Int { setup.feeds }

  mutating func beginCut(isFull: Bool) throws {
    guard cut == nil else { return }
    let isFull = isFull || !mayContinueChain || table.mustCutFully
    let head = table.beginCut(isFull: isFull)
    let removed = model.removed[cutFeed]
    let fids = isFull ? Set(model.rows.keys) : model.touched[cutFeed]
    model.touched[cutFeed] = []
    model.removed[cutFeed] = []
    budget -= model.rows.count / 16
    try expect(head.isFull == isFull, "a cut is full or not, the wrong way round")
    try expect(head.rowCount == fids.count, "a cut promises \(head.rowCount) rows, expected \(fids.count)")
    try expect(head.statistics == model.statistics, "a cut has other statistics than its table")
    try expect(head.newestMinutes == model.newestMinutes, "a cut has another clock than its table")
    let stones = Set(head.removed.joined())
    try expect(stones == (isFull ? [] : removed), "a cut has \(stones.count) tombstones, expected \(removed.count)")
    if isFull { chain = [] }
    cut = ScriptCut(head: head, all: model.rows, missing: fids)
    mayContinueChain = true
  }

  mutating func takeCutSlice(limit: Int) throws {
    guard var cut else { return }
    self.cut = nil
    if table.cutSideBytes > 0 { slicesWithCopies += 1 }
    let before = cut.rows.count
    let isUnfinished = table.takeCutRows(limit: limit, into: &cut.rows)
    try expect(cut.rows.count - before <= limit, "a slice has more rows than its limit of \(limit)")
    for position in before..<cut.rows.count {
      let fid = cut.rows.fids[position]
      try expect(cut.missing.remove(fid) != nil, "a cut delivers fid \(fid) twice, or it is not of it")
      try check(cut.rows, at: position, cut.all[fid])
    }
    try expect(
      isUnfinished == !cut.missing.isEmpty, "a cut with \(cut.missing.count) rows missing says \(isUnfinished)")
    cut.sketch += table.takeCutSketch(limit: limit * 256)
    self.cut = cut
  }

  mutating func finishCut() throws {
    guard cut != nil else { return }
    while !cut!.missing.isEmpty { try takeCutSlice(limit: 300) }
    var cut = cut!
    self.cut = nil
    while cut.sketch.count < cut.head.sketchBytes { cut.sketch += table.takeCutSketch(limit: 1 << 16) }
    try expect(cut.sketch.count == cut.head.sketchBytes, "a sketch has \(cut.sketch.count) bytes")
    try expect(table.takeCutSketch(limit: 1).isEmpty, "a sketch goes on behind its end")
    try expect(table.cutSideBytes == 0, "a cut that has been delivered holds \(table.cutSideBytes) bytes")
    table.endCut()
    completedCuts += 1
    chain.append(cut)
    try checkRestoredChain()
  }

  mutating func abandonCut() {
    guard cut != nil else { return }
    table.abandonCut()
    cut = nil
    chain = []
    mayContinueChain = false
  }

  /// Restores the chain into a fresh table, and compares that with the table at the last cut.
  private mutating func checkRestoredChain() throws {
    // What a table has been before its first cut, if that was not full, is in no chain but its own.
    guard let last = chain.last else { return }
    budget -= chain.reduce(0) { $0 + $1.rows.count } / 16
    let restored = EmbeddingTable(layout: layout, feeds: 1, isSnapshotted: true)
    for cut in chain {
      for chunk in cut.head.removed { restored.restore(removed: chunk) }
      restored.restore(rows: cut.rows)
    }
    restored.restore(sketch: last.sketch, at: 0)
    try expect(restored.accepts(last.head), "a table does not accept the head of its like")
    restored.restore(last.head)
    restored.checkInvariants()
    try expect(restored.touchedCount(feed: 0) == 0, "a feed is told of restored rows")
    try expect(restored.takeRemoved(feed: 0).isEmpty, "a feed is told of restored removals")
    try expect(restored.statistics == last.head.statistics, "restored statistics differ")
    var empty = TableRows()
    let delta = restored.beginCut(isFull: false)
    try expect(delta.rowCount == 0 && delta.removed.isEmpty, "a cut after a restore begins with \(delta.rowCount) rows")
    try expect(!restored.takeCutRows(limit: 1, into: &empty) && empty.count == 0, "an empty cut delivers rows")
    while !restored.takeCutSketch(limit: 1 << 20).isEmpty {}
    restored.endCut()
    var head = restored.beginCut(isFull: true)
    var rows = TableRows()
    while restored.takeCutRows(limit: 1000, into: &rows) {}
    try expect(restored.takeCutSketch(limit: 1 << 30) == last.sketch, "a restored sketch differs")
    head.isFull = last.head.isFull
    head.rowCount = last.head.rowCount
    head.removed = last.head.removed
    try expect(head == last.head, "a restored table has the head \(head), expected \(last.head)")
    try expect(Set(rows.fids) == Set(last.all.keys), "\(rows.count) restored rows, expected \(last.all.count)")
    try expect(rows.count == last.all.count, "restored rows come twice")
    for position in 0..<rows.count { try check(rows, at: position, last.all[rows.fids[position]]) }
  }

  /// Compares a row that was cut with what it was at the instant, as far as that is known.
  private func check(_ rows: TableRows, at position: Int, _ expected: ReferenceTable.Row?) throws {
    let fid = rows.fids[position]
    guard let expected else { throw fail("fid \(fid) is in a cut and had no row") }
    let minutes = rows.minutes[position]
    try expect(minutes == expected.minutes, "fid \(fid) was cut with minutes \(minutes), not \(expected.minutes)")
    guard let floats = expected.floats else { return }
    let actual = decode(rows.bytes, from: position * layout.rowBytes)
    let weights = floats.prefix(layout.width)
    try expect(actual.count == floats.count, "fid \(fid) was cut with \(actual.count) floats")
    try expect(actual.starts(with: weights), "fid \(fid) was cut with other weights")
    // Of a row that began with its assignment, state is what the reference makes of it.
    for (value, expected) in zip(actual, floats).dropFirst(layout.width) {
      try expect(
        abs(value - expected) <= 2e-6 * max(1, abs(expected)), "fid \(fid) was cut with state \(value), not \(expected)"
      )
    }
  }

  private func decode(_ bytes: [UInt8], from start: Int) -> [Float] {
    func load<Word: FixedWidthInteger>(_ offset: Int, as: Word.Type) -> Word {
      (0..<MemoryLayout<Word>.size).reduce(0) { $0 | Word(bytes[start + offset + $1]) << Word(8 * $1) }
    }
    var floats = (0..<layout.width).map { column in
      switch layout.weightFormat {
      case .float32: Float(bitPattern: load(column * 4, as: UInt32.self))
      case .float16: Float(Float16(bitPattern: load(column * 2, as: UInt16.self)))
      case .bfloat16: Float(bitPattern: UInt32(load(column * 2, as: UInt16.self)) << 16)
      }
    }
    let first = (layout.width * layout.weightFormat.byteCount + 3) / 4 * 4
    for offset in stride(from: first, to: layout.rowBytes, by: 4) {
      floats.append(Float(bitPattern: load(offset, as: UInt32.self)))
    }
    return floats
  }
}

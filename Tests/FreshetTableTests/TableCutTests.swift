import FreshetCore
import Testing

@testable import FreshetTable

/// Beside the operation scripts, which interleave cuts with everything else.
@Suite struct TableCutTests {
  private static let adagrad = Optimizer.adagrad(Adagrad(learningRate: 0.1, initialAccumulator: 0.1, epsilon: 1e-8))

  struct Cut {
    var head: TableCutHead
    var rows = TableRows()
    var sketch: [UInt8] = []
  }

  private func finish(_ cut: inout Cut, of table: EmbeddingTable) {
    while table.takeCutRows(limit: 1_000, into: &cut.rows) {}
    while cut.sketch.count < cut.head.sketchBytes { cut.sketch += table.takeCutSketch(limit: 1 << 16) }
    table.endCut()
  }

  private func restore(_ chain: [Cut], into table: EmbeddingTable) throws {
    for cut in chain {
      for chunk in cut.head.removed { table.restore(removed: chunk) }
      table.restore(rows: cut.rows)
    }
    let last = try #require(chain.last)
    table.restore(sketch: last.sketch, at: 0)
    table.restore(last.head)
  }

  /// All that a table holds, by fid.
  private func contents(_ table: EmbeddingTable) -> (head: TableCutHead, rows: [Fid: [UInt8]], sketch: [UInt8]) {
    var cut = Cut(head: table.beginCut(isFull: true))
    finish(&cut, of: table)
    var rows: [Fid: [UInt8]] = [:]
    let rowBytes = table.layout.rowBytes
    for (position, fid) in cut.rows.fids.enumerated() {
      let minutes = withUnsafeBytes(of: cut.rows.minutes[position]) { Array($0) }
      rows[fid] = cut.rows.bytes[position * rowBytes..<(position + 1) * rowBytes] + minutes
    }
    return (cut.head, rows, cut.sketch)
  }

  /// A run that goes on and one that begins with what was saved of it are one and the same: weights to the last bit, who is
  /// admitted, what is counted.
  @Test(arguments: [Admission.everything, .minimumCount(3, sketchBytes: 4 << 12), .probability(0.3, seed: 4)])
  func aRestoredTableGoesOnAsTheOneThatWasCut(admission: Admission) throws {
    for seed in 0..<12 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      let format = WeightFormat.allCases[Int(seed % 3)]
      func make() -> EmbeddingTable {
        makeTable(
          width: 5, Self.adagrad, format: format, admission: admission,
          expiry: Expiry(timeToLiveMinutes: seed % 2 == 0 ? 20 : nil, maximumRows: nil), isSnapshotted: true)
      }
      let table = make()
      var minutes: UInt32 = 100
      func operation() -> (EmbeddingTable) -> Void {
        minutes += UInt32(random.next() % 3)
        let time = minutes
        let start = random.next() % 4_000
        let fids = (0..<1 + random.next() % 300).map { (start + $0 * 7) % 4_096 }
        switch random.next() % 8 {
        case 0: return { $0.remove(Array(fids.prefix(40))) }
        case 1: return { for _ in 0..<2 { while !$0.sweepExpired() {} } }
        case 2: return { $0.assign(fids, to: 0.5, minutes: time) }
        default:
          let gradients = random.gradients(fids.count * 5)
          return { $0.update(fids, gradients: gradients, minutes: time) }
        }
      }
      var chain: [Cut] = []
      var sinceCut: [(EmbeddingTable) -> Void] = []
      for number in 0..<5 {
        for _ in 0..<20 { operation()(table) }
        var cut = Cut(head: table.beginCut(isFull: number == 0))
        sinceCut = []
        for _ in 0..<10 {
          sinceCut.append(operation())
          sinceCut.last?(table)
          _ = table.takeCutRows(limit: 100, into: &cut.rows)
          cut.sketch += table.takeCutSketch(limit: 4096)
        }
        finish(&cut, of: table)
        chain.append(cut)
      }
      let restored = make()
      try restore(chain, into: restored)
      for step in sinceCut { step(restored) }
      for _ in 0..<30 {
        let step = operation()
        step(table)
        step(restored)
        #expect(restored.statistics == table.statistics)
      }
      let expected = contents(table)
      let actual = contents(restored)
      #expect(actual.rows == expected.rows && actual.sketch == expected.sketch)
      #expect(actual.head == expected.head)
      #expect(table.statistics.updates > 1_000 && !expected.rows.isEmpty)
    }
  }

  /// Rows so wide that a slab has 4,096 of them, which come and go while the cut is copied.
  @Test(arguments: [true, false])
  func aCutOutlivesTheSlabsItsRowsLayIn(isFull: Bool) {
    let table = makeTable(width: 1024, .weightsOnly, isSnapshotted: true)
    func assign(_ fids: Range<Int>, _ weight: Float) {
      for start in stride(from: fids.lowerBound, to: fids.upperBound, by: 512) {
        table.assign((start..<min(start + 512, fids.upperBound)).map { Fid($0) }, to: weight)
      }
    }
    assign(0..<9_000, 1)
    var first = Cut(head: table.beginCut(isFull: true))
    finish(&first, of: table)
    assign(2_000..<8_500, 2)
    var cut = Cut(head: table.beginCut(isFull: isFull))
    #expect(cut.head.rowCount == (isFull ? 9_000 : 6_500))
    _ = table.takeCutRows(limit: 700, into: &cut.rows)
    table.remove((1_000..<7_000).map { Fid($0) })
    _ = table.takeCutRows(limit: 300, into: &cut.rows)
    assign(500..<12_000, 3)
    _ = table.takeCutRows(limit: 300, into: &cut.rows)
    table.remove((100..<12_000).map { Fid($0) })
    assign(12_000..<16_500, 4)
    #expect(table.cutSideBytes > 0)
    finish(&cut, of: table)
    #expect(Set(cut.rows.fids) == Set((isFull ? 0..<9_000 : 2_000..<8_500).map { Fid($0) }))
    #expect(cut.rows.count == cut.head.rowCount)
    for (position, fid) in cut.rows.fids.enumerated() {
      let weight: Float = (2_000..<8_500).contains(fid) ? 2 : 1
      let start = position * 4096
      let isRight = cut.rows.bytes[start..<start + 4096].withUnsafeBytes { bytes in
        (0..<1024).allSatisfy { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) == weight }
      }
      #expect(isRight)
    }
    table.checkInvariants()
  }

  @Test func aSketchIsDeliveredAsItWasAtTheCut() {
    for seed in 0..<30 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      // Not a whole number of pages.
      var sketch = CountingSketch(sizeBytes: 64 * (1 + Int(random.next() % 700)))
      for _ in 0..<random.next() % 20_000 { _ = sketch.add(random.next() % 512) }
      let expected = Array(
        UnsafeRawBufferPointer(start: sketch.memory.start, count: sketch.lineCount * CountingSketch.lineBytes))
      sketch.beginCut()
      var delivered: [UInt8] = []
      // Few additions between slices at times, so that halving alone changes a page, or an addition alone.
      while sketch.hasPendingPages {
        for _ in 0..<random.next() % 40 { _ = sketch.add(random.next()) }
        delivered += sketch.takeCut(limit: 1)
      }
      #expect(delivered == expected)
      #expect(sketch.takeCut(limit: 100).isEmpty && sketch.savedBytes == 0)
      sketch.endCut()
    }
  }

  /// One change of each kind, so that a page of the sketch is copied before either.
  @Test func countingAndHalvingEachKeepThePage() {
    func counters(_ sketch: borrowing CountingSketch) -> [UInt8] {
      Array(UnsafeRawBufferPointer(start: sketch.memory.start, count: sketch.counterBytes))
    }
    for additionsBefore in [6, 7] {
      var sketch = CountingSketch(sizeBytes: 4096 * 8)
      for _ in 0..<8 * 3 + additionsBefore { _ = sketch.add(1) }
      // Far above 0 everywhere, so that halving shows; full where the next fid counts, so that only halving does.
      let isHalving = additionsBefore == 7
      sketch.memory.start.initializeMemory(as: UInt8.self, repeating: isHalving ? 255 : 9, count: sketch.counterBytes)
      let expected = counters(sketch)
      sketch.beginCut()
      _ = sketch.add(2)
      #expect(counters(sketch) != expected)
      #expect(sketch.takeCut(limit: 1 << 20) == expected)
      sketch.endCut()
    }
  }

  @Test func theListOfRemovedRowsIsBoundedAndTheNextCutFullBeyondIt() {
    let table = makeTable(width: 2, Self.adagrad, isSnapshotted: true)
    table.update((0..<5_000).map { Fid($0) }, with: 1)
    var cut = Cut(head: table.beginCut(isFull: true))
    finish(&cut, of: table)
    // Rows come and go: more of them than there ever are at once.
    var removed = 0
    while !table.mustCutFully {
      let fids = (0..<100).map { Fid(1_000_000 + removed + $0) }
      table.update(fids, with: 1)
      table.remove(fids)
      removed += 100
      #expect(table.removedSinceCutCount <= 5_000)
    }
    #expect(removed == 5_100 && table.removedSinceCutCount == 0)
    cut = Cut(head: table.beginCut(isFull: true))
    #expect(cut.head.rowCount == 5_000 && cut.head.removed.isEmpty && !table.mustCutFully)
    finish(&cut, of: table)
    table.remove([7])
    cut = Cut(head: table.beginCut(isFull: false))
    #expect(cut.head.removed == [[7]])
    finish(&cut, of: table)
  }

  @Test func anAbandonedCutLeavesNothingBehind() {
    let table = makeTable(
      width: 2, Self.adagrad, admission: .minimumCount(2, sketchBytes: 1 << 14), isSnapshotted: true)
    let fids = (0..<3_000).map { Fid($0) }
    // Whatever admission says.
    table.assign(fids, to: 1)
    _ = table.beginCut(isFull: true)
    table.update(Array(fids[..<2_000]), with: 1)
    table.update([900_000], with: 1)
    table.remove(Array(fids[2_500...]))
    #expect(table.cutSideBytes > 2_500 * table.layout.rowBytes + 4_000)
    var rows = TableRows()
    #expect(table.takeCutRows(limit: 10, into: &rows))
    table.abandonCut()
    #expect(table.cutSideBytes == 0 && !table.isCutting && table.removedSinceCutCount == 0)
    // Until it is full again nothing has to be remembered.
    table.remove(Array(fids[2_400..<2_500]))
    #expect(table.removedSinceCutCount == 0)
    var cut = Cut(head: table.beginCut(isFull: true))
    #expect(cut.head.rowCount == 2_400 && cut.head.removed.isEmpty)
    finish(&cut, of: table)
    #expect(cut.rows.fids.sorted() == Array(fids[..<2_400]))
    table.remove([0, 1])
    table.update([2], with: 1)
    let delta = table.beginCut(isFull: false)
    #expect(delta.rowCount == 1 && delta.removed == [[0, 1]])
  }

  @Test func aRowThatWentAndCameBackIsAmongTombstonesAndRows() {
    let table = makeTable(width: 1, Self.adagrad, isSnapshotted: true)
    table.update([1, 2, 3], with: 1)
    var base = Cut(head: table.beginCut(isFull: true))
    finish(&base, of: table)
    table.remove([1, 2])
    table.update([2], with: 5)
    var delta = Cut(head: table.beginCut(isFull: false))
    finish(&delta, of: table)
    #expect(delta.head.removed == [[1, 2]] && delta.rows.fids == [2])
    let restored = makeTable(width: 1, Self.adagrad, isSnapshotted: true)
    #expect(throws: Never.self) { try restore([base, delta], into: restored) }
    #expect(restored.row(1) == nil && restored.row(2) == table.row(2) && restored.row(3) == table.row(3))
  }

  @Test func aHeadOfAnotherTableIsNotAccepted() {
    let table = makeTable(width: 1, Self.adagrad, admission: .minimumCount(2, sketchBytes: 128), isSnapshotted: true)
    let head = table.beginCut(isFull: true)
    #expect(table.sketchBytes == 128 && head.sketchBytes == 128 && table.accepts(head))
    for spoil in [
      { $0.sketchBytes = 64 }, { $0.sketchNextLine = 2 }, { $0.sketchAdditions = .max }, { $0.generatorState = [] },
    ] as [(inout TableCutHead) -> Void] {
      var other = head
      spoil(&other)
      #expect(!table.accepts(other))
    }
  }

  @Test func bytesOfARowAreThoseOfWeightsAndState() {
    #expect(makeTable(width: 31, Self.adagrad).layout.rowBytes == 248)
    #expect(makeTable(width: 31, Self.adagrad).layout.strideBytes == 256)
    #expect(makeTable(width: 3, .weightsOnly, format: .float16).layout.rowBytes == 8)
  }
}

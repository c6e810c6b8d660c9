import FreshetCore
import FreshetTable
import Testing

/// Gradients that come several times for one row, in a table and on copies of its rows.
@Suite struct RowUpdaterTests {
  static let rules: [GradientRules] = [.none, GradientRules(clipValue: 0.6, clipNorm: 1, l1: 0.01, l2: 0.05)]

  func table(
    _ optimizer: Optimizer, width: Int = 17, rules: GradientRules = .none, format: WeightFormat = .float32,
    admission: Admission = .everything, isSnapshotted: Bool = false
  ) -> EmbeddingTable {
    makeTable(
      width: width, optimizer, format: format, rules: rules, initializer: .uniform(bound: 0.1, columns: 16, seed: 3),
      admission: admission, isSnapshotted: isSnapshotted)
  }

  /// Rows as a trainer pulls them.
  struct Copies {
    var weights: [Float]
    var states: [Float]

    init(_ table: EmbeddingTable, _ fids: [Fid]) {
      let layout = table.layout
      var states = [Float](repeating: .nan, count: fids.count * layout.copiedStateWidth)
      weights = [Float](unsafeUninitializedCapacity: fids.count * layout.width) { buffer, count in
        fids.withUnsafeBufferPointer { fids in
          states.withUnsafeMutableBufferPointer {
            table.gather(fids, into: buffer.baseAddress!, states: $0.baseAddress!)
          }
        }
        count = fids.count * layout.width
      }
      self.states = states
    }

    mutating func update(_ updater: RowUpdater, _ updates: [RowUpdate], _ gradients: [Float]) {
      updates.withUnsafeBufferPointer { updater.update($0, weights: &weights, states: &states, gradients: gradients) }
    }

    /// Gradient `gradient` for row `row`, both by number.
    static func update(row: Int, gradient: Int, _ layout: TableLayout) -> RowUpdate {
      RowUpdate(
        weights: Int32(row * layout.width), state: Int32(row * layout.copiedStateWidth),
        gradient: Int32(gradient * layout.width))
    }

    /// As `EmbeddingTable.row` gives it, and whether it exists.
    func row(_ number: Int, _ layout: TableLayout) -> (floats: [Float], exists: Bool) {
      let states = states[number * layout.copiedStateWidth..<(number + 1) * layout.copiedStateWidth]
      return (Array(weights[number * layout.width..<(number + 1) * layout.width] + states.dropLast()), states.last == 1)
    }
  }

  func isEqual(_ a: [Float], _ b: [Float]) -> Bool { a.map(\.bitPattern) == b.map(\.bitPattern) }

  @Test(arguments: Optimizer.examples, rules)
  func copiesAndTheirTableArriveAtTheSameBits(optimizer: Optimizer, rules: GradientRules) throws {
    // For 32 and 64 weights tables have code of their own.
    for width in [17, 32, 64] { try copiesAndTheirTableArriveAtTheSameBits(optimizer, rules, width) }
  }

  func copiesAndTheirTableArriveAtTheSameBits(_ optimizer: Optimizer, _ rules: GradientRules, _ width: Int) throws {
    var random = SeededGenerator(seed: 5)
    let table = table(optimizer, width: width, rules: rules)
    let updater = RowUpdater(layout: table.layout)
    let fids: [Fid] = (1...20).map { $0 &* 0x9e37_79b9_7f4a_7c15 }
    // Half of the rows exist.
    table.update(Array(fids.prefix(10)), gradients: random.gradients(10 * width))
    for _ in 0..<3 {
      var copies = Copies(table, fids)
      let numbers = (0..<300).map { _ in Int.random(in: 0..<20, using: &random) }
      var gradients = random.gradients(300 * width)
      gradients[20 * width + 3] = .nan
      gradients[42 * width - 1] = -.infinity
      copies.update(
        updater, numbers.enumerated().map { Copies.update(row: $1, gradient: $0, table.layout) }, gradients)
      table.update(numbers.map { fids[$0] }, gradients: gradients)
      for (number, fid) in fids.enumerated() where numbers.contains(number) {
        #expect(isEqual(copies.row(number, table.layout).floats, try #require(table.row(fid))))
      }
    }
    #expect(table.statistics.nonFiniteGradients == 6)
    table.checkInvariants()
  }

  @Test(arguments: [WeightFormat.float32, .float16, .bfloat16])
  func gradientsOfOneFidInOneCallAreUpdatesOneAfterTheOther(format: WeightFormat) throws {
    var random = SeededGenerator(seed: 6)
    for admission in [Admission.everything, .minimumCount(3, sketchBytes: 1 << 12), .probability(0.3, seed: 4)] {
      let optimizer = Optimizer.examples[2]
      let together = table(optimizer, format: format, admission: admission, isSnapshotted: true)
      let apart = table(optimizer, format: format, admission: admission)
      // More than the table walks over at once, of more fids than the first index has room for.
      for round in 0..<4 {
        let fids = (0..<1500).map { _ in Fid.random(in: 1...600, using: &random) }
        let gradients = random.gradients(fids.count * 17)
        if round == 2 { _ = together.beginCut(isFull: true) }
        together.update(fids, gradients: gradients)
        for (position, fid) in fids.enumerated() {
          apart.update([fid], gradients: Array(gradients[position * 17..<(position + 1) * 17]))
        }
        for fid in Fid(1)...600 {
          #expect(together.row(fid)?.map(\.bitPattern) == apart.row(fid)?.map(\.bitPattern))
        }
        together.checkInvariants()
      }
      #expect(together.statistics.updates == apart.statistics.updates)
      #expect(together.statistics.rejected == apart.statistics.rejected)
    }
  }

  @Test func aRowThatDoesNotExistStaysAsItIsIfItMayBeRefused() throws {
    let layout = table(Optimizer.examples[2], admission: .minimumCount(2, sketchBytes: 1 << 12))
    layout.update([7], with: 1)
    layout.update([7], with: 1)
    let updater = RowUpdater(layout: layout.layout)
    var copies = Copies(layout, [7, 8])
    #expect(copies.row(0, layout.layout).exists && !copies.row(1, layout.layout).exists)
    let before = (copies.row(0, layout.layout).floats, copies.row(1, layout.layout).floats)
    #expect(Array(before.1.prefix(17)) == layout.gather([8]))
    copies.update(
      updater, (0..<2).map { Copies.update(row: $0, gradient: 0, layout.layout) }, [Float](repeating: 1, count: 17))
    #expect(copies.row(0, layout.layout).floats != before.0)
    #expect(copies.row(1, layout.layout).floats == before.1)
  }
}

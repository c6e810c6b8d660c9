import FreshetCore
import FreshetTable
import FreshetTableScript
import Testing

/// Every operation on every kind of table, against a dictionary and naive optimizers. `Scripts/fuzz table` searches further.
@Suite struct TableScriptTests {
  static func run(_ seeds: Range<Int>, length: Int, budget: Int) {
    for seed in seeds {
      #expect(throws: Never.self, "seed \(seed), length \(length), budget \(budget)") {
        var script = TableScript(seed: UInt64(seed), length: length, budget: budget)
        try script.run()
      }
    }
  }

  @Test(arguments: 0..<20)
  func aTableDoesWhatItsModelDoesUnderAnyShortScript(group: Int) {
    Self.run(group * 100..<(group + 1) * 100, length: 60, budget: 500)
  }

  @Test(arguments: 0..<24)
  func itDoesSoUnderLongScriptsThatGrowAndShrinkIt(seed: Int) {
    Self.run(10_000 + seed..<10_001 + seed, length: 800, budget: 12_000)
  }

  /// Or else they would prove little.
  @Test func randomScriptsReachAllThatCanHappenToATable() throws {
    var sum = TableStatistics()
    var cuts = 0
    var slicesWithCopies = 0
    for seed in 0..<300 as Range<UInt64> {
      var script = TableScript(seed: seed, length: 60, budget: 500)
      try script.run()
      sum += script.statistics
      cuts += script.completedCuts
      slicesWithCopies += script.slicesWithCopies
    }
    let counts = [
      sum.inserts, sum.updates, sum.removals, sum.expired, sum.evicted, sum.rejected, sum.nonFiniteGradients,
    ]
    #expect(counts.allSatisfy { $0 > 100 }, "\(sum)")
    #expect(cuts > 100 && slicesWithCopies > 50, "\(cuts) cuts, \(slicesWithCopies) slices with copies")
  }

  @Test func aChosenHashIsTheHashOfTheFidChosenForIt() {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<1000 {
      let value = random.next()
      #expect(Hashing.mix(FidFamily.unmix(value)) == value)
    }
    let fids = FidFamily.allCases.map { family in (0..<1000).map(family.fid) }
    #expect(fids.allSatisfy { Set($0).count == 1000 })
  }
}

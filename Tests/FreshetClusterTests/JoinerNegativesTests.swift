import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@Suite struct JoinerNegativesTests {
  @Test func aWindowThatClosesWithoutActionGivesANegativeExample() throws {
    let bench = try JoinerBench { $0.negativeRate = 1 }
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 5500)
    bench.action(0, "a", at: 5600)
    bench.feature(2, "c", at: 6500)
    try bench.settle()
    #expect(bench.examples.count == 1)
    bench.feature(3, "d", at: 6501)
    try bench.settle()
    let negative = try #require(bench.examples.last)
    #expect(bench.examples.count == 2)
    #expect(negative.isNegative && negative.labels == ["0.0", "0.0"])
    #expect(negative.eventTimeMs == 5500 && negative.actionTimeMs == 6500)
  }

  @Test func afterANegativeExampleALateActionIsADeadLetter() throws {
    let bench = try JoinerBench { $0.negativeRate = 1 }
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 6050)
    bench.action(0, "x", at: 6050)
    bench.action(1, "a", at: 5990)
    try bench.settle()
    #expect(bench.examples.map(\.isNegative) == [true])
    #expect(bench.deadLetters.map(\.reason) == [.lateAction])
  }

  @Test func anOrphanedActionPreventsTheNegativeExampleOfItsImpression() throws {
    let bench = try JoinerBench { $0.negativeRate = 1 }
    bench.action(0, "a", at: 5000)
    bench.action(1, "b", at: 5101)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.orphanAction])
    bench.feature(0, "a", at: 5050)
    bench.feature(1, "z", at: 9000)
    try bench.settle()
    #expect(bench.examples.isEmpty)
  }

  @Test func negativesAreKeptWithTheirProbabilityAndTheSameOnesEachTime() throws {
    func kept() throws -> [UInt64] {
      let bench = try JoinerBench { $0.negativeRate = 0.3 }
      for index in 0..<4000 { bench.feature(Int64(index), "r\(index)", at: 5000) }
      bench.feature(4000, "end", at: 6001)
      try bench.settle()
      #expect(bench.partition.counters.negatives + bench.partition.counters.negativesDropped == 4000)
      return bench.examples.map(\.requestHash)
    }
    let first = try kept()
    #expect(abs(first.count - 1200) < 120)
    #expect(try kept() == first)
  }
}

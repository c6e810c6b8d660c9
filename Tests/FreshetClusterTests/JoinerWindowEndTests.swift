import FreshetCluster
import FreshetModel
import Testing

/// `emit: at-window-end`. Tasks: like (a rating of 4 and more), click, stay (a click 300 ms and more after the impression).
@Suite struct JoinerWindowEndTests {
  private func bench(_ configure: (inout JoinerConfig) -> Void = { _ in }) throws -> JoinerBench {
    try JoinerBench(
      {
        $0.emit = .atWindowEnd
        configure(&$0)
      }, spec: joinerModeSpec)
  }

  @Test func oneExampleHasTheLabelsOfAllTasksWhenTheWindowCloses() throws {
    let bench = try bench()
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5100, value: 5)
    bench.action(1, "a", at: 5299, kind: "click")
    bench.feature(1, "b", at: 6000)
    try bench.settle()
    #expect(bench.examples.isEmpty, "the window includes its last millisecond")
    bench.feature(2, "c", at: 6001)
    try bench.settle()
    let example = try #require(bench.examples.first)
    #expect(bench.examples.count == 1)
    #expect(example.labels == ["1.0", "1.0", "0.0"] && example.origin == .actions)
    #expect(example.eventTimeMs == 5000 && example.actionTimeMs == 6000)
    #expect(bench.partition.counters.matched == 2 && bench.partition.counters.joined == 1)
  }

  @Test func aTaskWithoutActionGetsZeroAndADwellTimeIsMeasuredFromTheImpression() throws {
    let bench = try bench()
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5300, kind: "click")
    bench.feature(1, "z", at: 9000)
    try bench.settle()
    #expect(bench.examples.map(\.labels) == [["0.0", "1.0", "1.0"]])
  }

  @Test func ofSeveralActionsOfOneKindTheFirstCounts() throws {
    let bench = try bench()
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5100, value: 2)
    bench.action(1, "a", at: 5200, value: 5)
    bench.feature(1, "z", at: 9000)
    try bench.settle()
    #expect(bench.examples.map(\.labels) == [["0.0", "0.0", "0.0"]])
    #expect(bench.examples.map(\.origin) == [.actions], "an action that is no positive is an action")
    #expect(bench.partition.counters.duplicateActions == 1)
  }

  @Test func anActionThatComesFirstIsInTheExampleOfItsImpression() throws {
    let bench = try bench()
    bench.action(0, "a", at: 5000)
    bench.feature(0, "x", at: 5050)
    bench.feature(1, "a", at: 5100)
    bench.feature(2, "z", at: 9000)
    try bench.settle()
    #expect(bench.examples.map(\.labels) == [["1.0", "0.0", "0.0"]])
    #expect(bench.partition.waitingActionCount == 0)
  }

  /// The dead letter has gone out, but that the user acted is true all the same.
  @Test func theLabelOfAnOrphanedActionIsInTheExampleIfItsImpressionStillComes() throws {
    let bench = try bench { $0.negativeRate = 1 }
    bench.action(0, "a", at: 5000)
    bench.action(1, "b", at: 5101)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.orphanAction])
    bench.feature(0, "a", at: 5050)
    bench.feature(1, "z", at: 6051)
    try bench.settle()
    #expect(bench.examples.map(\.labels) == [["1.0", "0.0", "0.0"]])
    #expect(bench.examples.map(\.origin) == [.actions])
  }

  @Test func aWindowWithoutActionGivesANegativeOnlyIfNegativesAreOn() throws {
    for rate in [0, 1] as [Float] {
      let bench = try bench { $0.negativeRate = rate }
      bench.feature(0, "a", at: 5000)
      bench.feature(1, "z", at: 9000)
      try bench.settle()
      #expect(bench.examples.map(\.origin) == (rate > 0 ? [.negative] : []))
      #expect(bench.partition.counters.expired == 1)
    }
  }

  @Test func anImpressionGivenUpInItsWindowIsADeadLetterWithItsActionsToo() throws {
    let bench = try bench { $0.maxWaitingFeatures = 1 }
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5001)
    bench.feature(1, "b", at: 5002)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.windowOverflow])
    #expect(bench.examples.isEmpty)
  }

  @Test func aFullOutputAndAMissingItemInTheMiddleChangeNothing() throws {
    func run(_ configure: (inout JoinerConfig) -> Void, items: [String]) throws -> JoinerBench {
      let bench = try JoinerBench(
        {
          $0.emit = .atWindowEnd
          configure(&$0)
        }, spec: joinerModeSpec, items: items)
      bench.pendingItems = JoinerBench.standardItems
      for index in 0..<20 {
        bench.feature(Int64(index), "r\(index)", at: 5000 + Int64(index), item: index)
        bench.action(Int64(index), "r\(index)", at: 5100 + Int64(index))
      }
      bench.feature(20, "z", at: 9000)
      try bench.settle()
      return bench
    }
    let plain = try run({ _ in }, items: JoinerBench.standardItems)
    let hindered = try run({ $0.maxOutputBytes = 1 }, items: [])
    #expect(plain.examples.count == 20)
    #expect(hindered.examples == plain.examples && hindered.asked > 0)
    #expect(hindered.partition.counters.expired == 0 && hindered.partition.counters.unknownItems == 0)
  }
}

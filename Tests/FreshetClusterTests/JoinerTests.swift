import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@Suite struct JoinerTests {
  @Test func anActionAndItsImpressionMakeOneExample() throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5100)
    try bench.settle()
    let example = try #require(bench.examples.first)
    #expect(bench.examples.count == 1)
    #expect(example.key == "7")
    #expect(example.requestHash == Hashing.xxh3("a"))
    #expect(example.eventTimeMs == 5000 && example.actionTimeMs == 5100)
    #expect(example.labels == ["1.0", "nan"])
    #expect(example.fidCounts == [1, 1, 1])
    #expect(!example.isNegative)
  }

  @Test func eachActionTypeGivesOneExampleAndDuplicatesAreCounted() throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "a", at: 5000)
    bench.action(0, "a", at: 5100, value: 3)
    bench.action(1, "a", at: 5100, value: 3)
    bench.action(2, "a", at: 5200, kind: "click")
    bench.action(3, "a", at: 5300, value: 5)
    try bench.settle()
    #expect(bench.examples.map(\.labels) == [["0.0", "nan"], ["nan", "1.0"]])
    #expect(bench.partition.counters.duplicateActions == 2)
    #expect(bench.partition.counters.duplicateFeatures == 1)
    #expect(bench.deadLetters.isEmpty)
  }

  @Test func anActionThatComesFirstWaitsForItsImpression() throws {
    let bench = try JoinerBench()
    bench.action(0, "a", at: 5000)
    bench.feature(0, "x", at: 5050)
    bench.feature(1, "a", at: 5100)
    try bench.settle()
    #expect(bench.examples.map(\.eventTimeMs) == [5100])
    #expect(bench.partition.waitingActionCount == 0)
  }

  @Test func anActionWithoutImpressionIsAnOrphanAfterTheGraceTime() throws {
    let bench = try JoinerBench()
    bench.action(0, "a", at: 5000)
    bench.action(1, "b", at: 5100)
    try bench.settle()
    #expect(bench.deadLetters.isEmpty)
    bench.action(2, "c", at: 5101)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.orphanAction])
    #expect(bench.deadLetters.first?.offset == 0)
    #expect(bench.deadLetters.first?.payload == Array(JoinerBench.action("a", at: 5000).utf8))
  }

  @Test func onEqualTimesTheImpressionIsProcessedFirst() throws {
    let bench = try JoinerBench()
    bench.feed(.actions, 0, JoinerBench.action("a", at: 5000), appendTimeMs: 1)
    bench.feed(.features, 0, JoinerBench.feature("a", at: 5000), appendTimeMs: 2)
    try bench.settle()
    #expect(bench.examples.map(\.ingestTimeMs) == [1], "the action completed the example")
  }

  @Test(arguments: [(1000, 1), (1001, 0)]) func theWindowIncludesItsLastMillisecond(delay: Int64, joined: Int) throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5000 + delay)
    try bench.settle()
    #expect(bench.examples.count == joined)
  }

  @Test(arguments: [(100, 1), (101, 0)]) func theGraceTimeIncludesItsLastMillisecond(lead: Int64, joined: Int) throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5000 - lead)
    try bench.settle()
    #expect(bench.examples.count == joined)
  }

  @Test func neitherTopicRunsAheadOfTheOther() throws {
    let bench = try JoinerBench()
    bench.action(0, "a", at: 5000)
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 1)
    bench.partition.reachedEnd(.features, now: bench.now)
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 1, "an end alone does not tell where the other topic's time is")
    bench.nowMs += 1999
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 1)
    bench.nowMs += 1
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 0)
  }

  @Test func aTopicThatHasNotBeenReadToItsEndIsWaitedForHoweverLong() throws {
    let bench = try JoinerBench()
    bench.action(0, "a", at: 5000)
    bench.nowMs += 1_000_000
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 1)
  }

  @Test func inRealTimeARecordDoesNotWaitForTheOtherTopicsNextOne() throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.partition.reachedEnd(.features, now: bench.now)
    bench.nowMs += 50
    bench.action(0, "a", at: 5050)
    try bench.run()
    #expect(bench.examples.count == 1)
  }

  @Test func afterAPauseAReplayHoldsRecordsThatAreAheadOfTheClock() throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5000)
    bench.end()
    try bench.run()
    bench.nowMs += 60_000
    bench.feature(1, "b", at: 1_000_000)
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 1, "ahead of the wall clock")
    bench.nowMs += 200
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 0)
    bench.end()
    bench.nowMs += 60_000
    bench.feature(2, "c", at: 1_060_200)
    try bench.run()
    #expect(bench.partition.queuedRecordCount == 0, "in step with the wall clock")
  }

  @Test func anImpressionThatComesTooLateIsADeadLetter() throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 6101)
    bench.feature(1, "b", at: 5000)
    bench.feature(2, "c", at: 5001)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.lateFeature])
    #expect(bench.deadLetters.first?.offset == 1)
    #expect(bench.deadLetters.first?.payload != nil)
  }

  @Test func anActionThatComesTooLateIsADeadLetter() throws {
    let bench = try JoinerBench()
    bench.action(0, "a", at: 6000)
    bench.action(1, "b", at: 5899)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.lateAction])
    #expect(bench.deadLetters.first?.offset == 1)
  }

  @Test func aLateActionStillJoinsAnImpressionThatGaveNoNegativeExample() throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 6050)
    bench.action(0, "x", at: 6050)
    bench.action(1, "a", at: 5990)
    try bench.settle()
    #expect(bench.examples.map(\.eventTimeMs) == [5000])
  }

  @Test func silenceIsNoEndWhileTheLogHoldsMore() throws {
    let bench = try JoinerBench()
    bench.end()
    bench.feature(0, "a", at: 1_000)
    // Far beyond the window of the first one: passing it would close that window.
    bench.feature(1, "b", at: 100_000)
    bench.unfinished = [.actions]
    bench.nowMs += 60_000
    try bench.run()
    #expect(bench.examples.isEmpty && bench.partition.counters.features == 0)
    bench.action(0, "a", at: 1_500)
    bench.unfinished = []
    bench.partition.reachedEnd(.actions, now: bench.now)
    try bench.settle()
    #expect(bench.examples.count == 1)
    #expect(bench.partition.counters.features == 2)
  }
}

import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@Suite struct JoinerItemsTests {
  @Test func anUnknownItemIsLookedForBeforeItsExampleIsMade() throws {
    let bench = try JoinerBench(items: [])
    bench.pendingItems = [#"{"item_id":3,"year":1999}"#]
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5001)
    try bench.settle()
    #expect(bench.asked == 1)
    #expect(bench.examples.map(\.fidCounts) == [[1, 1, 1]])
    #expect(bench.partition.counters.unknownItems == 0)
  }

  @Test func anItemThatIsNotFoundIsAskedForOnceInAnInterval() throws {
    let bench = try JoinerBench({ $0.itemRefreshIntervalMs = 60_000 }, items: [])
    for round in 0..<10 {
      bench.nowMs += 2000
      let offset = Int64(round)
      bench.feature(offset, "r\(round)", at: 5000 + offset)
      bench.action(offset, "r\(round)", at: 5000 + offset)
      bench.end()
      bench.nowMs += 3000
      try bench.run()
    }
    #expect(bench.examples.count == 10)
    #expect(bench.examples.allSatisfy { $0.fidCounts == [1, 1, 0] })
    #expect(bench.partition.counters.unknownItems == 10)
    #expect(bench.asked == 1)
    bench.nowMs += 60_000
    bench.feature(10, "late", at: 5100)
    bench.action(10, "late", at: 5100)
    try bench.settle()
    #expect(bench.asked == 2)
  }

  @Test func aCatalogNewerThanTheImpressionIsNotRefreshed() throws {
    let bench = try JoinerBench(items: [])
    bench.partition.itemsRefreshed(asOf: UnixTime(milliseconds: 900_000))
    bench.feed(.features, 0, JoinerBench.feature("a", at: 5000), appendTimeMs: 898_000)
    bench.feed(.features, 1, JoinerBench.feature("b", at: 5000, item: 4), appendTimeMs: 899_500)
    bench.action(0, "a", at: 5000)
    try bench.settle()
    #expect(bench.asked == 0 && bench.examples.count == 1)
    bench.action(1, "b", at: 5000)
    try bench.settle()
    #expect(bench.asked == 1 && bench.examples.count == 2)
  }

  @Test func nothingIsCommittedOrLostWhileItemsAreAwaitedForANegativeExample() throws {
    let bench = try JoinerBench({ $0.negativeRate = 1 }, items: [])
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 7000)
    bench.end()
    bench.nowMs += 10_000
    bench.confirmEnds()
    #expect(bench.partition.run(catalog: bench.catalog, now: bench.now, output: bench.output) == .waitingForItems)
    #expect(bench.output.needsItems && bench.partition.commitPoint == nil)
    bench.output.removeAll()
    #expect(bench.partition.run(catalog: bench.catalog, now: bench.now, output: bench.output) == .waitingForItems)
    #expect(bench.output.needsItems, "the shell is asked again until it has answered")
    try bench.run()
    #expect(bench.examples.count == 1 && bench.partition.commitPoint != nil)
    #expect(bench.partition.counters.itemRefreshes == 1)
  }
}

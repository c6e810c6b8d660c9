import FreshetCluster
import FreshetCore
import Testing

/// With a disk, memory is bounded by `maxWaitingFeatureBytes` and what is not written yet, whatever is read, and however long.
@Suite struct JoinerStateMemoryTests {
  private static let count = 24_000
  /// Twice what impressions may take: the rest is what is not written, queues, the index and actions that wait.
  private static let bound = 2 << 20

  private static func configure(_ config: inout JoinerConfig) {
    config.windowMs = 1 << 40
    config.maxWaitingFeatureBytes = 1 << 20
    config.maxUnwrittenBytes = 1 << 18
  }

  /// Feeds impressions `r…` and commits them, a few at a time.
  private static func fill(_ bench: JoinerBench, _ range: Range<Int>, at time: (Int) -> Int64) throws {
    for start in stride(from: range.lowerBound, to: range.upperBound, by: 3000) {
      for index in start..<min(start + 3000, range.upperBound) {
        bench.feature(Int64(index), "r\(index)", at: time(index))
      }
      try bench.settle()
      bench.commit()
    }
  }

  @Test func aRebuildTakesNoMoreMemoryTheMoreActionsComeBeforeTheirImpressions() throws {
    let end: Int64 = 60_000
    let point = JoinerCommitPoint(
      featureLow: 0, featureNext: end, actionLow: 0, actionNext: end, streamTimeMs: 5000 + end)
    let bench = try JoinerBench(
      {
        Self.configure(&$0)
        // All of them still wait, and go when their impressions come.
        $0.graceMs = 1 << 39
      }, from: point, state: MemoryState())
    var largest = 0
    for start in stride(from: 0, to: end, by: 500) {
      for offset in start..<start + 500 { bench.action(offset, "r\(offset)", at: 5000 + offset) }
      for offset in start..<start + 500 { bench.feature(offset, "r\(offset)", at: 5000 + offset) }
      try bench.run()
      largest = max(largest, bench.partition.stateReport.memoryBytes)
    }
    try bench.settle()
    #expect(bench.partition.isRestored && bench.partition.restoredCount == 2 * Int(end))
    #expect(bench.partition.waitingActionCount == 0 && bench.partition.waitingFeatureCount == Int(end))
    #expect(largest < Self.bound)
  }

  @Test func aRebuildRemembersNoMoreActionsOfImpressionsThatAreOverThanItMay() throws {
    let point = JoinerCommitPoint(
      featureLow: 0, featureNext: 1, actionLow: 0, actionNext: 20_000, streamTimeMs: 1_000_000)
    let bench = try JoinerBench(
      {
        $0.windowMs = 900_000
        $0.maxWaitingActions = 1000
      }, from: point, state: MemoryState())
    bench.feature(0, "kept", at: 999_950)
    bench.partition.reachedEnd(.features, now: bench.now)
    // The first ones have met impressions that are not read again, the last ones still wait.
    for offset in 0..<19_999 { bench.action(Int64(offset), "r\(offset)", at: 950_001 + 5 * Int64(offset / 2)) }
    bench.action(19_999, "kept", at: 999_960)
    try bench.run()
    #expect((875...1000).contains(bench.partition.waitingActionCount))
    // Those that go first are gone.
    bench.feature(1, "r0", at: 950_001)
    bench.feature(2, "r19990", at: 999_976)
    bench.action(20_000, "kept", at: 1_000_000)
    bench.action(20_001, "r0", at: 950_100)
    try bench.settle()
    #expect(bench.partition.counters.matched == 2 && bench.partition.counters.duplicateActions == 1)
  }

  @Test func recordsThatAreReadAgainAlthoughTheDiskHasThemStayWithinTheBound() throws {
    let state = MemoryState()
    let bench = try JoinerBench(Self.configure, state: state)
    try Self.fill(bench, 0..<1) { _ in 5000 }
    let early = state.entries(.about)
    try Self.fill(bench, 1..<Self.count) { _ in 5000 }
    // As if a life had been killed while it read them again: what it wrote is there, the position is not.
    for key in state.entries(.about).keys { state.put(.about, key, early[key]) }
    let next = try JoinerBench(Self.configure, from: try #require(bench.committed), state: state)
    #expect(next.partition.readFrom.features == 1)
    var largest = 0
    for start in stride(from: 1, to: Self.count, by: 500) {
      for index in start..<min(start + 500, Self.count) { next.feature(Int64(index), "r\(index)", at: 5000) }
      try next.run()
      largest = max(largest, next.partition.stateReport.memoryBytes)
    }
    try next.settle()
    #expect(next.partition.isRestored && next.partition.stateReport.lookups.found > Self.count / 2)
    #expect(largest < Self.bound)
  }

  @Test func windowsThatCloseAllAtOnceStayWithinTheBound() throws {
    let bench = try JoinerBench(
      {
        Self.configure(&$0)
        $0.windowMs = 1000
        $0.emit = .atWindowEnd
        $0.negativeRate = 1
        $0.maxOutputBytes = 1 << 16
      }, state: MemoryState())
    try Self.fill(bench, 0..<Self.count) { 5000 + Int64($0 / 100) }
    bench.feature(Int64(Self.count), "last", at: 9000)
    bench.end()
    bench.nowMs += 10_000
    bench.confirmEnds()
    var largest = 0
    while true {
      let progress = bench.partition.run(catalog: bench.catalog, now: bench.now, output: bench.output)
      largest = max(largest, bench.partition.stateReport.memoryBytes)
      try bench.collect()
      guard progress == .outputFull else { break }
    }
    #expect(bench.examples.count == Self.count && bench.partition.stateReport.lookups.found > Self.count / 2)
    // Closings that are near are not counted, and not of impressions.
    #expect(largest < Self.bound)
  }

  @Test func whatChangedSinceTheLastCommitIsNotDroppedForWhatIsRead() throws {
    let bench = try JoinerBench(
      {
        Self.configure(&$0)
        $0.maxUnwrittenBytes = 1 << 26
      }, state: MemoryState())
    try Self.fill(bench, 0..<Self.count) { _ in 5000 }
    // Of two impressions one gets its action, and one an action that is too early for it: read, and not changed.
    for index in 0..<Self.count { bench.action(Int64(index), "r\(index)", at: index % 2 == 0 ? 5001 : 4800) }
    try bench.settle()
    #expect(bench.examples.count == Self.count / 2)
    for index in 0..<Self.count where index % 2 == 0 {
      bench.action(Int64(Self.count + index), "r\(index)", at: 5002)
    }
    try bench.settle()
    #expect(bench.examples.count == Self.count / 2 && bench.partition.counters.duplicateActions == Self.count / 2)
  }
}

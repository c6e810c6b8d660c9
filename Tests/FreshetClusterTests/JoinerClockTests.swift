import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

/// Event times that clocks got wrong.
@Suite struct JoinerClockTests {
  private static let day: Int64 = 86_400_000

  private func bench(from point: JoinerCommitPoint = .start) throws -> JoinerBench {
    try JoinerBench(
      {
        $0.negativeRate = 1
        $0.maxAheadMs = Self.day
      }, from: point)
  }

  @Test func aRecordOfTheFarFutureClosesNoWindow() throws {
    let bench = try bench()
    bench.feed(.features, 0, JoinerBench.feature("a", at: 5000), appendTimeMs: 5000)
    bench.feed(.features, 1, JoinerBench.feature("b", at: 5001 + Self.day), appendTimeMs: 5000)
    bench.feed(.features, 2, JoinerBench.feature("c", at: 5001), appendTimeMs: 5001)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.futureEventTime] && bench.deadLetters.first?.offset == 1)
    #expect(bench.examples.isEmpty && bench.partition.streamTimeMs == 5001)
  }

  @Test func theBoundIsInclusive() throws {
    let bench = try bench()
    bench.feed(.features, 0, JoinerBench.feature("a", at: 5000 + Self.day), appendTimeMs: 5000)
    try bench.settle()
    #expect(bench.deadLetters.isEmpty && bench.partition.streamTimeMs == 5000 + Self.day)
  }

  /// What was refused for a clock that was ahead is below the committed position; read again when that time has come, it must
  /// not become state.
  @Test func whatLiesBeyondTheCommittedStreamTimeIsNotTakenUp() throws {
    let first = try bench()
    first.feed(.features, 0, JoinerBench.feature("a", at: 5000), appendTimeMs: 5000)
    first.feed(.features, 1, JoinerBench.feature("b", at: 5100 + Self.day), appendTimeMs: 5000)
    first.feed(.actions, 0, JoinerBench.action("c", at: 5100 + Self.day), appendTimeMs: 5000)
    first.feed(.features, 2, JoinerBench.feature("d", at: 5002), appendTimeMs: 5002)
    try first.settle()
    let point = try #require(first.partition.commitPoint)
    #expect(point.featureLow == 0 && point.featureNext == 3)
    let second = try bench(from: point)
    // A producer's timestamps: at the first reading the shell bounded them by its clock.
    second.feed(.features, 0, JoinerBench.feature("a", at: 5000), appendTimeMs: 5000)
    second.feed(.features, 1, JoinerBench.feature("b", at: 5100 + Self.day), appendTimeMs: 5100 + Self.day)
    second.feed(.features, 2, JoinerBench.feature("d", at: 5002), appendTimeMs: 5002)
    second.end()
    #expect(second.partition.isRestored && second.partition.waitingFeatureCount == 2)
    #expect(second.partition.commitPoint == point)
  }

  @Test func anImpressionOfTheFutureDoesNotHoldTheOthersBack() throws {
    let bench = try bench()
    bench.feed(.actions, 0, JoinerBench.action("x", at: 5101 + Self.day), appendTimeMs: 5100)
    bench.feed(.features, 0, JoinerBench.feature("a", at: 5000), appendTimeMs: 5000)
    bench.feed(.actions, 1, JoinerBench.action("a", at: 5100), appendTimeMs: 5100)
    try bench.settle()
    #expect(bench.examples.count == 1 && bench.deadLetters.map(\.reason) == [.futureEventTime])
  }
}

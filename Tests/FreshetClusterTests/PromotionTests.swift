import FreshetCore
import FreshetTable
import Testing

@testable import FreshetCluster

/// When a second model may take over from the one that answers, and when it is given up.
@Suite struct PromotionTests {
  private var promotion: Promotion
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var seen: Promotion.Observation
  private static let partition = PartitionID(1)

  init() {
    promotion = Promotion(.init(version: 2, maximumLagMs: 1_000, isForced: false), now: now)
    seen = Promotion.Observation(
      live: ReplicaStatus(), candidate: ReplicaStatus(), serverCount: 2, hasItems: true, trouble: nil,
      availableBytes: nil)
    seen.candidate.connectedServers = 2
    seen.candidate.positions = (0..<2).map {
      ReplicaStatus.Position(shard: ShardID($0), generation: 1, sequence: 1, isComplete: false)
    }
    seen.live.watermarks = [(Self.partition, Offset(100))]
  }

  private mutating func pass(_ milliseconds: Int) { now = now.advanced(byMs: milliseconds) }

  private mutating func complete(at offset: Int64) {
    seen.candidate.isReady = true
    seen.candidate.positions = seen.candidate.positions.map {
      ReplicaStatus.Position(shard: $0.shard, generation: 1, sequence: 2, isComplete: true)
    }
    seen.candidate.watermarks = [(Self.partition, Offset(offset))]
    seen.candidate.oldestCurrent = now
  }

  private mutating func observe() -> String? {
    seen.candidate.oldestCurrent = seen.candidate.isReady ? seen.candidate.oldestCurrent : nil
    return promotion.observe(seen, now: now)
  }

  /// Why it may not switch now; nil if it may. Does not.
  private func refusal(version: Int) -> ClusterError? {
    var promotion = promotion
    do throws(ClusterError) { try promotion.beginSwitch(version: version) } catch { return error }
    return nil
  }

  @Test mutating func aCopyThatIsWholeAndKnowsAsMuchMayTakeOver() throws {
    #expect(observe() == nil && promotion.phase == .copying)
    #expect(promotion.obstacles.first == "0 of 2 shards are copied")
    #expect(refusal(version: 2) != nil)
    complete(at: 100)
    #expect(observe() == nil && promotion.phase == .ready && promotion.obstacles.isEmpty)
    #expect(promotion.lagMs == 0 && promotion.lagExamples == 0)
    #expect(refusal(version: 3)?.message == "version 2 is being promoted, not 3")
    try promotion.beginSwitch(version: 2)
    #expect(promotion.phase == .switching)
  }

  @Test mutating func nothingGivesUpACandidateThatTakesOver() throws {
    complete(at: 100)
    _ = observe()
    try promotion.beginSwitch(version: 2)
    pass(1_000_000)
    seen.availableBytes = 0
    #expect(observe() == nil && promotion.phase == .switching)
    #expect(refusal(version: 2) != nil)
    promotion.cancelSwitch()
    #expect(promotion.phase == .ready)
  }

  @Test mutating func howFarItIsBehindIsHowLongAgoTheLiveModelKnewNoMore() {
    complete(at: 150)
    // The live model learns 10 examples each 100 ms; the candidate has what that had 500 ms ago.
    for step in 0..<40 {
      seen.live.watermarks = [(Self.partition, Offset(Int64(200 + step * 10)))]
      seen.candidate.watermarks = [(Self.partition, Offset(Int64(150 + step * 10)))]
      seen.candidate.oldestCurrent = now
      #expect(observe() == nil)
      pass(100)
    }
    #expect(promotion.phase == .ready)
    #expect(promotion.lagExamples == 50)
    #expect((promotion.lagMs ?? .infinity) == 500)
    // It stands still: after a second that is too much, and seen to be.
    for step in 40..<60 {
      seen.live.watermarks = [(Self.partition, Offset(Int64(200 + step * 10)))]
      seen.candidate.oldestCurrent = now
      #expect(observe() == nil)
      pass(100)
    }
    #expect(promotion.phase == .copying && promotion.lagMs == nil)
    #expect(promotion.obstacles.contains { $0.hasPrefix("its scores lack") })
    // It catches up at once.
    seen.candidate.watermarks = seen.live.watermarks
    #expect(observe() == nil && promotion.phase == .ready && promotion.lagMs == 0)
  }

  @Test mutating func aCandidateThatKnowsLessFromTheStartIsNotReadyForLackOfHistory() {
    complete(at: 99)
    #expect(observe() == nil && promotion.phase == .copying && promotion.lagMs == nil)
  }

  @Test mutating func partitionsThatItHasNotBegunCountAndPassesDoNot() {
    complete(at: 100)
    seen.live.watermarks = [(Self.partition, Offset(100)), (PartitionID(2), Offset(30))]
    #expect(observe() == nil && promotion.phase == .copying && promotion.lagExamples == 30)
    seen.live.watermarks = [(Self.partition, Offset(100)), (PartitionID(PartitionID(2), pass: 1), Offset(30))]
    #expect(observe() == nil && promotion.phase == .ready && promotion.lagExamples == 0)
  }

  @Test mutating func aCopyThatIsOldOrLacksTheItemsIsNotReady() {
    complete(at: 100)
    pass(1_001)
    #expect(observe() == nil && promotion.phase == .copying)
    #expect(promotion.obstacles.contains { $0.hasPrefix("the copy is 1001 ms behind") })
    seen.candidate.oldestCurrent = now
    seen.hasItems = false
    #expect(observe() == nil && promotion.obstacles == ["the items are not read yet"])
  }

  @Test mutating func forceOverrulesWhatIsBehindAndNotWhatIsMissing() {
    promotion = Promotion(.init(version: 2, maximumLagMs: 1_000, isForced: true), now: now)
    seen.hasItems = false
    #expect(observe() == nil && promotion.phase == .copying)
    complete(at: 0)
    pass(5_000)
    #expect(observe() == nil && promotion.phase == .ready && promotion.lagExamples == 100)
  }

  @Test mutating func serversThatWereNeverReachedEndItAndThoseThatWereLostDoNot() {
    seen.candidate.connectedServers = 1
    seen.trouble = "server 1: refused"
    pass(9_999)
    #expect(observe() == nil)
    pass(1)
    #expect(observe() == "only 1 of its 2 parameter servers could be reached within 10 s: server 1: refused")

    promotion = Promotion(.init(version: 2, maximumLagMs: 1_000, isForced: false), now: now)
    seen.candidate.connectedServers = 2
    #expect(observe() == nil)
    seen.candidate.connectedServers = 0
    pass(20_000)
    #expect(observe() == nil)
  }

  @Test mutating func oneThatNobodyAsksAboutIsGivenUp() {
    #expect(observe() == nil)
    pass(59_000)
    promotion.noteInterest(now: now)
    pass(59_000)
    #expect(observe() == nil)
    pass(1_000)
    #expect(observe() == "nobody has asked about it for 60 s")
  }

  @Test mutating func memoryThatRunsOutEndsIt() {
    seen.availableBytes = Promotion.reserveBytes
    #expect(observe() == nil)
    seen.availableBytes = Promotion.reserveBytes - 1
    #expect(observe()?.contains("MiB of memory are left") == true)
  }
}

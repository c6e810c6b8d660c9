import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

/// When deltas are sealed, and which replica is answered when.
@Suite struct SyncDeskTests {
  /// Tables of 2 weights, and the dense one.
  static let rows = 0
  static let dense = 2

  @Test func anIntervalEndsWithTheNextPushWhileAReplicaWaits() throws {
    let line = SyncLine(SyncDesk.Settings(intervalMs: 100, denseIntervalMs: nil, bytesPerSecond: nil))
    try line.push([1])
    line.run(milliseconds: 500)
    #expect(line.replicas[0].isReady && line.desk.waitingCount == 1)
    let sealed = line.server.statistics.deltasSealed
    // Nothing has been sealed for a while: this push is not kept waiting.
    try line.push([2])
    #expect(line.server.statistics.deltasSealed == sealed + 1)
    #expect(line.has(2))
    // The next one waits for the interval's end.
    try line.push([3])
    line.run(milliseconds: 90)
    #expect(!line.has(3))
    line.run(milliseconds: 20)
    #expect(line.has(3) && line.server.statistics.deltasSealed == sealed + 2)
  }

  @Test func nothingIsSealedForNobodyBeforeTheIntervalIsOver() throws {
    let line = SyncLine(SyncDesk.Settings(intervalMs: 100, denseIntervalMs: nil, bytesPerSecond: nil), replicas: 0)
    line.run(milliseconds: 50)
    try line.push([1])
    #expect(line.server.statistics.deltasSealed == 0)
    line.run(milliseconds: 100)
    #expect(line.server.statistics.deltasSealed == 1)
  }

  @Test func denseTensorsComeAtAnIntervalOfTheirOwn() throws {
    let line = SyncLine(SyncDesk.Settings(intervalMs: 50, denseIntervalMs: 1_000, bytesPerSecond: nil))
    let fid = line.model.tables.denseLayout.fids[0]
    line.run(milliseconds: 100)
    try line.push([1], dense: fid)
    line.run(milliseconds: 100)
    // The first dense interval is over at once.
    #expect(try line.replicas[0].row(table: "dense", fid: fid).weights[0] == -1)
    try line.push([2], dense: fid)
    line.run(milliseconds: 500)
    #expect(line.has(2))
    #expect(try line.replicas[0].row(table: "dense", fid: fid).weights[0] == -1)
    line.run(milliseconds: 600)
    #expect(try line.replicas[0].row(table: "dense", fid: fid).weights[0] == -2)
    // The end of the server waits for nothing.
    try line.push([3], dense: fid)
    line.close()
    #expect(line.has(3))
    #expect(try line.replicas[0].row(table: "dense", fid: fid).weights[0] == -3)
  }

  @Test func theCapHoldsOverAllReplicasAndLosesNothing() throws {
    let rate = 100_000
    let line = SyncLine(
      SyncDesk.Settings(intervalMs: 50, denseIntervalMs: nil, bytesPerSecond: rate), replicas: 4, chunkBytes: 4_000)
    var fid: Fid = 0
    for _ in 0..<20 {
      try line.push((0..<500).map { fid + $0 })
      fid += 500
      line.run(milliseconds: 100)
      // An answer may go when what was sent before has had its time: never more than one answer beyond the rate.
      #expect(line.sentBytes <= rate * line.elapsedMs / 1000 + line.largestAnswer)
      #expect(line.desk.waitingCount <= 4)
    }
    #expect(line.desk.statistics.cappedRequests > 8 && line.desk.statistics.cappedMs > 1_000)
    #expect(line.emptyAnswersWithNews == 0)
    line.run(milliseconds: 30_000)
    #expect(line.desk.statistics.cappedRefusals == 0)
    for number in 0..<4 { #expect(line.differences(number) == 0) }
  }

  @Test func whoGetsNoRoomForTooLongIsToldSo() throws {
    let line = SyncLine(
      SyncDesk.Settings(intervalMs: 50, denseIntervalMs: nil, bytesPerSecond: 65_536), replicas: 1,
      chunkBytes: 1 << 20)
    for first in 0..<8 { try line.push((0..<9_000).map { Fid(first * 9_000) + $0 }) }
    // A chunk of a megabyte takes its 16 seconds.
    line.run(milliseconds: 14_000)
    #expect(line.desk.statistics.cappedRefusals > 0 && line.busy > 0)
    #expect(line.desk.waitingCount <= 1)
  }

  @Test func aReplicaThatIsTooSlowForTheDeltasThatAreHeldStartsOver() throws {
    let line = SyncLine(
      SyncDesk.Settings(intervalMs: 50, denseIntervalMs: nil, bytesPerSecond: nil), deltaLogBytes: 2_000)
    try line.push([1, 2, 3])
    line.run(milliseconds: 200)
    line.isStalled = true
    for number in 0..<40 {
      try line.push([Fid(10 + number), 1])
      line.run(milliseconds: 60)
    }
    #expect(line.server.statistics.deltasDropped > 0 && line.server.statistics.replicasRebased == 0)
    line.isStalled = false
    line.run(milliseconds: 2_500)
    #expect(line.server.statistics.replicasRebased == 1)
    #expect(line.differences(0) == 0)
    #expect(line.replicas[0].statistics.basesCompleted == 2)
    // Its examples are learned, but nobody knows how fresh they were.
    #expect(line.replicas[0].statistics.unmeasuredExamples > 0)
    #expect(Int(line.replicas[0].statistics.unmeasuredExamples) + line.measured == line.pushed)
  }

  @Test func replicasThatCopyAtTheSameTimeShareChunks() throws {
    let line = SyncLine(
      SyncDesk.Settings(intervalMs: 50, denseIntervalMs: nil, bytesPerSecond: nil), replicas: 3, chunkBytes: 400,
      startsConnected: false)
    try line.push((0..<600).map { $0 })
    line.run(milliseconds: 100)
    line.connect()
    line.run(milliseconds: 400)
    let statistics = line.server.statistics
    #expect(statistics.baseChunksShared * 3 >= statistics.baseChunks * 2 - 6 && statistics.baseChunks > 60)
    for number in 0..<3 { #expect(line.differences(number) == 0) }
  }
}

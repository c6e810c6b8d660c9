import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

@Suite struct ShardServerTests {
  let model = TestModel.tiny
  let map = ShardMap(shardCount: 4, serverCount: 2)
  let partition = PartitionID(2)
  let server: ShardServer
  /// Hosted by the server under test.
  let a = ShardID(0)
  let b = ShardID(2)

  init() { server = TestModel.tiny.server(of: map) }

  func section(_ shard: ShardID, _ gradient: Float = 1, number: Int = 0) -> TestSection {
    TestSection(
      shard: shard, table: 1, fids: [TestModel.fid(of: shard, map: map, number: number)], gradients: [gradient, 1])
  }

  func report(_ count: Int) -> BatchReport {
    BatchReport(
      tasks: [
        BatchReport.Task(
          loss: 1, predicted: 1,
          predictions: (0..<count).map { Prediction(logit: Float($0), isPositive: $0 % 2 == 0) })
      ], exampleCount: count, oldestIngest: UnixTime(milliseconds: 1), newestIngest: UnixTime(milliseconds: 2))
  }

  var reported: UInt64 { server.validation(taskCount: 1).tasks[0].total.count }

  func updates(_ shard: ShardID) -> UInt64 {
    server.shards[Int(shard.value)]!.tables.reduce(0) { $0 + $1.statistics.updates }
  }

  /// A refusal of this kind that leaves no trace.
  func expectRefusal(
    _ kind: ClusterError.Code, _ body: [UInt8], epoch: Epoch, _ from: Int64, _ to: Int64, partition: PartitionID? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let before = server.contents(taskCount: 1)
    do {
      let outcome = try server.push(body, partition ?? self.partition, epoch, from, to)
      Issue.record("\(outcome) instead of \(kind)", sourceLocation: sourceLocation)
    } catch {
      #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
    }
    #expect(server.contents(taskCount: 1) == before, sourceLocation: sourceLocation)
  }

  @Test func aClaimRaisesTheEpochAndTellsEveryHostedShardsWatermark() throws {
    let first = server.claim(partition).epoch
    _ = try server.push(TestSection.push([]), partition, first, -1, 10)
    let reply = server.claim(partition)
    #expect(reply.epoch == Epoch(first.value + 1))
    #expect(
      reply.watermarks == [
        ClaimReply.ShardWatermark(shard: a, watermark: Offset(10), origin: Offset(10)),
        ClaimReply.ShardWatermark(shard: b, watermark: Offset(10), origin: Offset(10)),
      ])
    #expect(server.claim(PartitionID(0)).watermarks.allSatisfy { $0.watermark == .none && $0.origin == .none })
  }

  @Test func theFirstPushTellsWhereTheLogBeganUnlessItCarriesSomething() throws {
    let other = PartitionID(8)
    let epoch = server.claim(partition).epoch
    let otherEpoch = server.claim(other).epoch
    _ = try server.push(TestSection.push([]), partition, epoch, -1, 10)
    _ = try server.push(TestSection.push([section(a, 2)]), partition, epoch, 10, 20)
    _ = try server.push(TestSection.push([section(a, 2)]), other, otherEpoch, -1, 20)
    #expect(server.claim(partition).watermarks.allSatisfy { $0.origin == Offset(10) && $0.watermark == Offset(20) })
    #expect(server.claim(other).watermarks.allSatisfy { $0.origin == Offset(0) })
  }

  /// A push on a connection of an earlier life of the server must not find its epoch again.
  @Test func epochsOfDifferentLivesDiffer() {
    var lives = SeededGenerator(seed: 3)
    var seen = Set<Epoch>()
    for _ in 0..<100 {
      let server = TestModel.tiny.server(of: map, generation: lives.next() | 1)
      for number in 1...3 {
        let epoch = server.claim(partition).epoch
        #expect(seen.insert(epoch).inserted && Int64(exactly: epoch.value) != nil)
        if number > 1 { #expect(seen.contains(Epoch(epoch.value - 1))) }
      }
    }
  }

  @Test func aPushAppliesFromTheWatermarkOnAndMovesIt() throws {
    let epoch = server.claim(partition).epoch
    let sections = [section(a, 2), section(b, 3)]
    #expect(try server.push(TestSection.push(sections, minutes: 9), partition, epoch, -1, 5) == .applied)
    #expect(try server.push(TestSection.push(sections, minutes: 9), partition, epoch, 5, 6) == .applied)
    #expect(try server.row(table: "table1", fid: sections[0].fids[0]) == ([-4, -2], true))
    #expect(try server.row(table: "table1", fid: sections[1].fids[0]) == ([-6, -2], true))
    #expect(server.watermarks.map(\.offset) == [Offset(6), Offset(6)])
    #expect(server.watermarks.map(\.shard) == [a, b])
    #expect(server.shards[0]!.newestMinutes == 9)
  }

  @Test func aDuplicateIsAcknowledgedWithoutEffect() throws {
    let epoch = server.claim(partition).epoch
    let body = TestSection.push([section(a), section(b)], report: report(3))
    #expect(try server.push(body, partition, epoch, -1, 5) == .applied)
    _ = try server.push(TestSection.push([]), partition, epoch, 5, 8)
    let before = server.contents(taskCount: 1)
    #expect(try server.push(body, partition, epoch, -1, 5) == .duplicate)
    #expect(try server.push(body, partition, epoch, 5, 8) == .duplicate)
    #expect(try server.push(body, partition, epoch, 2, 3) == .duplicate)
    #expect(server.contents(taskCount: 1) == before)
    #expect(server.statistics.duplicates == 3)
  }

  @Test func aBatchThatStraddlesTheWatermarkOrLeavesAGapIsRefusedWhole() throws {
    let epoch = server.claim(partition).epoch
    let body = TestSection.push([section(a), section(b)], report: report(1))
    _ = try server.push(body, partition, epoch, -1, 5)
    expectRefusal(.watermark, body, epoch: epoch, 4, 6)
    expectRefusal(.watermark, body, epoch: epoch, -1, 6)
    expectRefusal(.watermark, body, epoch: epoch, 6, 7)
    #expect(server.statistics.watermarkRefusals == 3)
  }

  @Test func aShardThatIsAheadTakesNothingWhileOneThatIsBehindCatchesUp() throws {
    let epoch = server.claim(partition).epoch
    // As a snapshot of one shard that is older than the other's would leave it.
    server.shards[Int(a.value)]!.advance(partition, to: Offset(10), minutes: 0)
    let body = TestSection.push([section(a), section(b)], report: report(1))
    #expect(try server.push(body, partition, epoch, -1, 10) == .applied)
    #expect(updates(a) == 0)
    #expect(updates(b) == 1)
    // Whole or not at all: b could take this, a cannot.
    server.shards[Int(a.value)]!.advance(partition, to: Offset(15), minutes: 0)
    expectRefusal(.watermark, body, epoch: epoch, 10, 16)
    #expect(try server.push(body, partition, epoch, 10, 15) == .applied)
    #expect(updates(a) == 0)
    #expect(updates(b) == 2)
  }

  @Test func onlyTheLatestClaimantMayPush() throws {
    let body = TestSection.push([section(a)])
    expectRefusal(.fenced, body, epoch: Epoch(0), -1, 5)
    expectRefusal(.fenced, body, epoch: server.configuration.initialEpoch, -1, 5)
    let old = server.claim(partition).epoch
    let new = server.claim(partition).epoch
    expectRefusal(.fenced, body, epoch: old, -1, 5)
    expectRefusal(.fenced, body, epoch: Epoch(new.value + 1), -1, 5)
    #expect(try server.push(body, partition, new, -1, 5) == .applied)
    // A duplicate of a fenced trainer is refused all the same: it must learn that it lost the partition.
    expectRefusal(.fenced, body, epoch: old, -1, 5)
    #expect(server.statistics.fenced == 5)
  }

  @Test func epochsOfPartitionsAreIndependent() throws {
    let epoch = server.claim(partition).epoch
    _ = server.claim(PartitionID(0))
    _ = server.claim(PartitionID(0))
    #expect(try server.push(TestSection.push([section(a)]), partition, epoch, -1, 5) == .applied)
    expectRefusal(.fenced, TestSection.push([section(a)]), epoch: epoch, -1, 5, partition: PartitionID(0))
  }

  @Test func whatDoesNotFitTheClusterIsRefusedWithoutATrace() throws {
    let epoch = server.claim(partition).epoch
    let good = section(a)
    let foreign = section(ShardID(1))
    expectRefusal(.moved, TestSection.push([good, foreign]), epoch: epoch, -1, 5)
    #expect(throws: ClusterError.self) { try server.pull(TestSection.pull([foreign])) }

    var misrouted = good
    misrouted.fids = section(b).fids
    expectRefusal(.mismatch, TestSection.push([good, misrouted]), epoch: epoch, -1, 5)
    var unknownShard = good
    unknownShard.shard = ShardID(4)
    expectRefusal(.mismatch, TestSection.push([good, unknownShard]), epoch: epoch, -1, 5)
    var unknownTable = good
    unknownTable.table = 3
    expectRefusal(.mismatch, TestSection.push([good, unknownTable]), epoch: epoch, -1, 5)
    var short = good
    short.gradients = [1]
    expectRefusal(.mismatch, TestSection.push([good, short]), epoch: epoch, -1, 5)
    var long = good
    long.gradients = [1, 2, 3]
    expectRefusal(.mismatch, TestSection.push([good, long]), epoch: epoch, -1, 5)

    let body = TestSection.push([good])
    expectRefusal(.mismatch, body, epoch: epoch, 5, 5)
    expectRefusal(.mismatch, body, epoch: epoch, 6, 5)
    expectRefusal(.mismatch, body, epoch: epoch, -2, -1)
    for number in [Int32(-1), .max] {
      let partition = PartitionID(number)
      expectRefusal(.mismatch, body, epoch: server.claim(partition).epoch, -1, 5, partition: partition)
    }
    expectRefusal(.malformed, body + [0], epoch: epoch, -1, 5)
    expectRefusal(.malformed, [2] + body.dropFirst(), epoch: epoch, -1, 5)
    var many = good
    many.fids = [Fid](repeating: good.fids[0], count: 10_001)
    many.gradients = [Float](repeating: 0, count: 20_002)
    expectRefusal(.malformed, TestSection.push([many]), epoch: epoch, -1, 5)
    #expect(try server.push(body, partition, epoch, -1, 5) == .applied)
  }

  @Test func gradientsThatAreNotFiniteAreCountedAndTheRestIsApplied() throws {
    let epoch = server.claim(partition).epoch
    let sections = [section(a, .nan), section(a, 1, number: 1), section(b, -.infinity)]
    #expect(try server.push(TestSection.push(sections), partition, epoch, -1, 5) == .applied)
    #expect(try !server.row(table: "table1", fid: sections[0].fids[0]).exists)
    #expect(try server.row(table: "table1", fid: sections[1].fids[0]) == ([-1, -1], true))
    let totals = server.tableTotals()[1]
    #expect(totals.statistics.nonFiniteGradients == 2)
    #expect(totals.statistics.updates == 1)
    #expect(totals.rows == 1)
  }

  @Test func aPullNeverInsertsAndGivesWhatRowsWouldStartFrom() throws {
    let model = TestModel.deep
    let server = model.server(of: map)
    let sections = [0, 2].flatMap { shard in
      [2, 0, 1].map { table in
        TestSection(
          shard: ShardID(shard), table: table,
          fids: (0..<3).map { TestModel.fid(of: ShardID(shard), map: map, number: $0) })
      }
    }
    let first = try server.pull(TestSection.pull(sections))
    #expect(first.count == 2 * 3 * (256 + 4 + 4))
    #expect(server.tableTotals().allSatisfy { $0.rows == 0 })
    var position = 0
    for section in sections {
      let layout = model.tables.layouts[section.table]
      for fid in section.fids {
        #expect(
          Array(first[position..<position + layout.width]) == (try server.row(table: layout.name, fid: fid).weights))
        position += layout.width
      }
    }
    #expect(try server.pull(TestSection.pull(sections)) == first)
    #expect(first.contains { $0 != 0 })
  }

  @Test func aPullGivesOptimizerStatesToSectionsThatAskForThem() throws {
    let model = TestModel.deep
    let server = model.server(of: map)
    let epoch = server.claim(partition).epoch
    let fids = (0..<2).map { TestModel.fid(of: a, map: map, number: $0) }
    func section(_ table: Int, _ fids: [Fid], _ gradients: [Float] = [], withState: Bool = false) -> TestSection {
      TestSection(shard: a, table: table, fids: fids, gradients: gradients, withState: withState)
    }
    let push = TestSection.push([section(0, [fids[0]], [1, 2, 3, 4])])
    _ = try server.push(push, partition, epoch, -1, 1)
    let reply = try server.pull(
      TestSection.pull([section(0, fids, withState: true), section(1, [fids[0]]), section(1, fids, withState: true)]))
    let states = model.tables.layouts.map(\.copiedStateWidth)
    #expect(states[0...1] == [5, 1], "Adagrad has as much state as weights, SGD none")
    #expect(reply.count == 2 * (4 + 5) + 4 + 2 * (4 + 1))
    let table = server.shards[Int(a.value)]!.tables[0]
    let row = try #require(table.row(fids[0]))
    #expect(Array(reply[0..<4]) + Array(reply[8..<12]) == row)
    #expect(reply[12] == 1, "the first row exists")
    #expect(Array(reply[4..<8]) == table.weights(fids[1]).weights)
    #expect(Array(reply[13..<18]) == [0.1, 0.1, 0.1, 0.1, 0], "the second one begins so")
    #expect(reply.suffix(2) == [0, 0])
    #expect(throws: ClusterError.self, "a push has no use for states") {
      try server.push(TestSection.push([section(0, [fids[0]], [1, 2, 3, 4], withState: true)]), partition, epoch, 1, 2)
    }
  }

  @Test func aReportIsCountedExactlyOnceAndOnlyByItsShard() throws {
    let epoch = server.claim(partition).epoch
    #expect(ShardServer.reportShard(of: partition, shardCount: 4) == b)
    // The report's shard is ahead: what it has counted is not counted again, though the other shard applies the batch.
    server.shards[Int(b.value)]!.advance(partition, to: Offset(5), minutes: 0)
    _ = try server.push(TestSection.push([section(a)], report: report(7)), partition, epoch, -1, 5)
    #expect(reported == 0)
    let body = TestSection.push([section(a)], report: report(3))
    for _ in 0..<3 { _ = try server.push(body, partition, epoch, 5, 8) }
    #expect(reported == 3)
    #expect(server.shards[Int(b.value)]!.receipts.map(\.exampleCount) == [3])
    #expect(server.shards[Int(b.value)]!.receipts.map(\.end) == [Offset(8)])
  }

  @Test func syncRefusesShardsAndCursorsThatItDoesNotHave() {
    let cases: [(ShardID, ShardPosition, ClusterError.Code)] = [
      (ShardID(4), .nothing, .mismatch), (ShardID(1), .nothing, .moved),
      (a, ShardPosition(generation: 1, sequence: 0, base: ShardPosition.BaseCursor(table: 3, cursor: 0)), .mismatch),
      (a, ShardPosition(generation: 1, sequence: 0, base: ShardPosition.BaseCursor(table: 0, cursor: .max)), .mismatch),
    ]
    for (shard, position, kind) in cases {
      do {
        _ = try server.sync(
          SyncRequest(positions: [(shard, position)]), limitBytes: ShardServer.syncReplyBytes,
          compressor: NoCompressor())
        Issue.record("not refused")
      } catch {
        #expect(error.kind == kind)
      }
    }
  }

  @Test func whatTheBoundsOfDeltasAndReceiptsCostIsCounted() throws {
    let server = TestModel.tiny.server(of: map, deltaLogBytes: 1)
    let epoch = server.claim(partition).epoch
    _ = try server.push(TestSection.push([section(a, 1)]), partition, epoch, -1, 1)
    #expect(server.sealDeltas(includingDense: true, compressor: RunLengthCompressor()))
    #expect(server.statistics.deltasSealed >= 1 && server.statistics.deltasDropped == server.statistics.deltasSealed)
    #expect(server.statistics.receiptsMerged == 0)
    for offset in 1...Int64(ShardState.maximumReceipts) + 1 {
      _ = try server.push(TestSection.push([], report: report(0)), partition, epoch, offset, offset + 1)
    }
    _ = server.sealDeltas(includingDense: true, compressor: RunLengthCompressor())
    #expect(server.statistics.receiptsMerged == 1)
  }

  @Test func tooManyRemovalsSealADeltaBeforeItsTime() throws {
    let server = TestModel.tiny.server(of: map)
    let table = server.hostedShards[0].tables[0]
    let fid = TestModel.fid(of: a, map: map)
    func removeOnce() {
      [fid].withUnsafeBufferPointer { fids in
        [Float(1), 1].withUnsafeBufferPointer { table.update(fids, gradients: $0.baseAddress!, minutes: 1) }
        _ = table.remove(fids)
      }
    }
    for _ in 0..<ShardServer.maximumRemoved { removeOnce() }
    #expect(!server.mustSeal)
    removeOnce()
    #expect(server.mustSeal)
    #expect(server.sealDeltas(includingDense: true, compressor: RunLengthCompressor()))
    #expect(!server.mustSeal && table.removedCount(feed: ShardFeed.sync) == 0)
  }
}

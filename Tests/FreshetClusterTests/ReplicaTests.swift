import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

/// Invariant I4: a replica that stops changing equals its servers row for row.
@Suite struct ReplicaTests {
  /// Runs, checks what must hold all the time, and compares.
  func run(_ options: SyncHarness.Options, seed: UInt64, rounds: Int = 25) throws -> SyncHarness {
    let harness = SyncHarness(options, seed: seed)
    let scorer = try ScorerBench(harness.model, harness.replica.makeReader())
    var random = SeededGenerator(seed: seed)
    let examples = (0..<3).map { harness.model.example(offset: $0, fids: 60, random: &random) }
    var areFinite = true
    harness.run(rounds: rounds) { areFinite = areFinite && scorer.probabilities(examples).allSatisfy { $0.isFinite } }
    #expect(areFinite, "seed \(seed)")
    #expect(harness.problems.isEmpty, "seed \(seed): \(harness.problems.prefix(3))")
    #expect(harness.differences.isEmpty, "seed \(seed): \(harness.differences.prefix(3))")
    #expect(harness.replica.isReady)
    return harness
  }

  @Test func aReplicaEqualsItsServersRowForRow() throws {
    for seed in UInt64(0)..<20 {
      let harness = try run(SyncHarness.Options(), seed: seed)
      #expect(harness.replica.statistics.basesCompleted == 4, "deltas alone keep it up to date")
      #expect(harness.replica.statistics.tombstones > 0)
      #expect(harness.released == harness.released.filter { harness.sent.contains($0) })
    }
  }

  @Test func lostRepeatedReorderedAndCorruptedFramesAreRepaired() throws {
    var sum = Replica.Statistics()
    for seed in UInt64(100)..<160 {
      var options = SyncHarness.Options()
      options.drops = 15
      options.repeats = 15
      options.corruptions = 10
      options.swaps = 10
      options.disconnects = 10
      options.chunkBytes = seed % 2 == 0 ? 64 : 1 << 18
      if seed % 4 < 2 { options.model = .audited }
      let harness = try run(options, seed: seed)
      sum.gaps += harness.replica.statistics.gaps
      sum.duplicates += harness.replica.statistics.duplicates
      sum.malformed += harness.replica.statistics.malformed
    }
    #expect(sum.gaps > 100 && sum.duplicates > 100 && sum.malformed > 100, "\(sum)")
  }

  @Test func aServerThatStartsAnewAndALogThatForgetsAreFollowedByANewBase() throws {
    var restarts = 0
    var bases: UInt64 = 0
    for seed in UInt64(200)..<260 {
      var options = SyncHarness.Options()
      options.restarts = 15
      options.drops = 10
      options.repeats = 10
      options.corruptions = 5
      options.swaps = 5
      // A few deltas: whoever misses one answer is likely to need a base.
      options.deltaLogBytes = 1_500
      options.chunkBytes = 64
      let harness = try run(options, seed: seed)
      restarts += harness.restarted
      bases += harness.replica.statistics.basesCompleted
    }
    #expect(restarts > 60 && bases > 240, "\(restarts) restarts, \(bases) bases")
  }

  @Test func rowsThatTravelInSixteenBitsArriveAsTheNearestOnes() throws {
    for (seed, format) in [(UInt64(150), WeightFormat.float16), (151, .bfloat16), (152, .float16)] {
      var options = SyncHarness.Options()
      options.syncWeights = format
      options.drops = 10
      options.repeats = 10
      _ = try run(options, seed: seed)
    }
  }

  @Test func deltasThatTakeSeveralFramesAreRepairedLikeOthers() throws {
    var split: UInt64 = 0
    for seed in UInt64(160)..<190 {
      var options = SyncHarness.Options()
      options.deltaBodyBytes = 60
      options.drops = 10
      options.repeats = 10
      options.corruptions = 5
      options.swaps = 10
      options.restarts = seed % 2 == 0 ? 10 : 0
      if seed % 3 == 0 { options.deltaLogBytes = 2_000 }
      let harness = try run(options, seed: seed)
      split += harness.servers.reduce(0) { $0 + $1.statistics.deltasSplit }
    }
    #expect(split > 1_000)
  }

  @Test func everyReceiptIsReleasedOnceAndOnlyWhenAllShardsHaveItsExamples() throws {
    for seed in UInt64(300)..<320 {
      var options = SyncHarness.Options()
      options.drops = 15
      options.repeats = 20
      options.swaps = 10
      // The first base has been sent before the first receipt, and the log forgets nothing: none can be lost.
      let harness = SyncHarness(options, seed: seed)
      for _ in 0..<80 { harness.answer(faulty: false) }
      #expect(harness.replica.isReady)
      harness.run(rounds: 25)
      #expect(harness.problems.isEmpty, "seed \(seed): \(harness.problems.prefix(3))")
      let order: (BatchReceipt, BatchReceipt) -> Bool = { ($0.partition, $0.end) < ($1.partition, $1.end) }
      #expect(harness.released.sorted(by: order) == harness.sent.sorted(by: order), "seed \(seed)")
    }
  }

  /// A base carries no receipts: those of the deltas that it replaces are lost, never released twice.
  @Test func aNewBaseMayLoseReceiptsAndRepeatsNone() throws {
    var lost = 0
    var bases: UInt64 = 0
    for seed in UInt64(400)..<430 {
      var options = SyncHarness.Options()
      options.drops = 20
      options.deltaLogBytes = 800
      options.chunkBytes = 64
      options.startsWithBase = true
      let harness = try run(options, seed: seed)
      for receipt in harness.released { #expect(harness.sent.contains(receipt), "seed \(seed)") }
      #expect(Set(harness.released.map { "\($0)" }).count == harness.released.count, "seed \(seed): released twice")
      lost += harness.sent.count - harness.released.count
      // Each is counted.
      let received = harness.released.reduce(0) { $0 + $1.exampleCount }
      let examples = harness.sent.reduce(0) { $0 + $1.exampleCount }
      #expect(harness.replica.statistics.unmeasuredExamples == UInt64(examples - received), "seed \(seed)")
      bases += harness.replica.statistics.basesCompleted
    }
    // Receipts are lost only where a base took the place of deltas.
    #expect(lost > 20 && bases > 120, "\(lost) lost, \(bases) bases")
  }

  @Test func whatAServerRefusesLeavesTheCopyAndIsAskedForAgainLater() throws {
    let harness = try run(SyncHarness.Options(), seed: 1)
    let replica = harness.replica
    let now = Instant(nanoseconds: 1 << 50)
    let rows = replica.rowCounts().map(\.rows)
    let refusal = ClusterError(.refused, "loading")
    let actions = replica.handle(.answered(ServerID(0), .failure(refusal)), now: now)
    #expect(actions.contains { if case .notice(let text) = $0 { text.contains("loading") } else { false } })
    #expect(!Self.asks(actions))
    #expect(!Self.asks(replica.handle(.tick, now: now)))
    #expect(Self.asks(replica.handle(.tick, now: now.advanced(byMs: 5_000))))
    _ = replica.handle(.disconnected(ServerID(0), reason: "gone"), now: now)
    #expect(replica.isReady && replica.rowCounts().map(\.rows) == rows)
  }

  static func asks(_ actions: [ReplicaAction]) -> Bool {
    actions.contains { if case .sync = $0 { true } else { false } }
  }

  @Test func framesThatCannotBeUsedAreNotAskedForAgainAtOnce() throws {
    let model = TestModel.tiny
    let map = ShardMap(shardCount: 1, serverCount: 1)
    let replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let now = Instant(nanoseconds: 1)
    #expect(Self.asks(replica.handle(.connected(ServerID(0)), now: now)))
    for (shard, width) in [(0, 7), (1, 2)] {
      let frame = SyncFrame(
        kind: .base(from: .start, next: nil), shard: ShardID(shard), generation: 1, sequence: 0, newestMinutes: 0,
        reported: 0,
        watermarks: [], receipts: [],
        tables: [
          SyncFrame.Table(
            table: 0, width: width, format: .float32, fids: [1], tombstones: [],
            weights: [Float](repeating: 1, count: width))
        ]
      ).encode(compressor: NoCompressor())
      let actions = frame.withUnsafeBytes { replica.handle(.frame(ServerID(0), $0), now: now) }
      #expect(actions.count == 1)
      #expect(!Self.asks(replica.handle(.answered(ServerID(0), .success(())), now: now)))
      #expect(replica.rowCounts().allSatisfy { $0.rows == 0 } && !replica.isReady)
      #expect(Self.asks(replica.handle(.tick, now: now.advanced(byMs: 5_000))))
    }
  }

  @Test func aLateRepetitionOfABasesLastChunkTakesNothingAway() throws {
    let harness = try run(SyncHarness.Options(), seed: 2)
    let replica = harness.replica
    let rows = replica.rowCounts().map(\.rows)
    let position = replica.shards[0].position
    for generation in [position.generation, position.generation &+ 1] {
      let frame = SyncFrame(
        kind: .base(from: ShardPosition.BaseCursor(table: 2, cursor: 0), next: nil), shard: ShardID(0),
        generation: generation, sequence: position.sequence, newestMinutes: 0, reported: 0, watermarks: [],
        receipts: [],
        tables: [SyncFrame.Table(table: 2, width: 256, format: .float32, fids: [], tombstones: [], weights: [])]
      ).encode(compressor: NoCompressor())
      frame.withUnsafeBytes { _ = replica.handle(.frame(ServerID(0), $0), now: Instant(nanoseconds: 1)) }
      #expect(replica.rowCounts().map(\.rows) == rows)
      #expect(replica.shards[0].position == position)
    }
  }

  @Test func anAnswerToSyncIsBoundedAndGoesOnWhereItStopped() throws {
    let model = TestModel.tiny
    let map = ShardMap(shardCount: 1, serverCount: 1)
    let server = model.server(of: map, deltaLogBytes: 64 << 20)
    let replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    var requests = replica.handle(.connected(ServerID(0)), now: Instant(nanoseconds: 1))
    let epoch = server.claim(PartitionID(0)).epoch
    let fids = (0..<600).map { Fid($0) }
    for number in 0..<20 {
      let section = TestSection(
        shard: ShardID(0), table: 2, fids: fids, gradients: [Float](repeating: 1, count: fids.count * 256))
      _ = try server.push(
        TestSection.push([section]), PartitionID(0), epoch, number == 0 ? -1 : Int64(number), Int64(number + 1))
      _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
      guard number == 0 else { continue }
      // A replica that is behind by deltas, not by a base.
      while case .sync(_, let body)? = requests.first, !replica.isReady {
        requests = try answer(replica, server, body).actions
      }
    }
    var answers = 0
    while case .sync(_, let body)? = requests.first {
      let (actions, bytes) = try answer(replica, server, body)
      #expect(bytes <= ShardServer.syncReplyBytes + 700_000)
      requests = bytes == 0 ? [] : actions
      answers += 1
    }
    #expect(answers >= 2)
    #expect(replica.positions[0].sequence == 20)
    #expect(try replica.row(table: "dense", fid: 7).weights.allSatisfy { $0 == -20 })
  }

  func answer(_ replica: Replica, _ server: ShardServer, _ body: [UInt8]) throws -> (
    actions: [ReplicaAction], bytes: Int
  ) {
    let now = Instant(nanoseconds: 1)
    let request = try body.withUnsafeBytes { try SyncRequest(decoding: $0) }
    let frames = try server.sync(request, limitBytes: ShardServer.syncReplyBytes, compressor: NoCompressor())
    for frame in frames { frame.withUnsafeBytes { _ = replica.handle(.frame(ServerID(0), $0), now: now) } }
    return (replica.handle(.answered(ServerID(0), .success(())), now: now), frames.reduce(0) { $0 + $1.count })
  }
}

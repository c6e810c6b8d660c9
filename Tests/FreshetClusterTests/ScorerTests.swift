import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct ScorerTests {
  let model = TestModel.deep
  let map = ShardMap(shardCount: 3, serverCount: 1)

  /// Trains a little and copies it to the replica.
  func train(_ server: ShardServer, _ replica: Replica, _ examples: [TestExample], from: Int64, to: Int64) throws {
    let step = TrainingStep(tables: model.tables, map: map, microBatchSize: .max, keepsOutcomes: false)
    step.begin(model.batch(examples).slice(0..<examples.count))
    var writer = BinaryWriter(capacity: 64)
    step.encodePull(ServerID(0), into: &writer)
    _ = try server.pull(writer.bytes).withUnsafeBytes { try step.accept($0, from: ServerID(0)) }
    step.compute()
    writer.removeAll()
    step.encodePush(ServerID(0), reportsHere: true, into: &writer)
    _ = try server.push(writer.bytes, PartitionID(0), server.claim(PartitionID(0)).epoch, from, to)
    _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
    let now = Instant(nanoseconds: 1)
    for _ in 0..<8 {
      let request = SyncRequest(positions: replica.shards.map { ($0.id, $0.position) })
      for frame in try server.sync(request, limitBytes: ShardServer.syncReplyBytes, compressor: NoCompressor()) {
        frame.withUnsafeBytes { _ = replica.handle(.frame(ServerID(0), $0), now: now) }
      }
    }
  }

  /// Double precision on what `row` dumps.
  func expected(_ replica: Replica, _ examples: [TestExample]) throws -> [Double] {
    var weights: [NaiveModel.Key: [Float]] = [:]
    for example in examples {
      for (slot, fids) in example.slots.enumerated() {
        let table = model.tables.tableOfSlot[slot]
        for fid in fids {
          let row = try replica.row(table: model.tables.layouts[table].name, fid: fid)
          weights[NaiveModel.Key(table: table, fid: fid)] = row.weights
        }
      }
    }
    let parameters = try model.tables.denseLayout.fids.flatMap {
      try replica.row(table: ModelTables.denseTableName, fid: $0).weights
    }
    let naive = NaiveModel(model, weights: weights, parameters: parameters)
    return examples.flatMap { naive.logits($0).map { 1 / (1 + exp(-$0)) } }
  }

  @Test func scoresEqualANaiveNetworkOnTheRowsThatTheReplicaDumps() throws {
    let server = model.server(of: map)
    let replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let bench = try ScorerBench(model, replica.makeReader())
    var random = SeededGenerator(seed: 9)
    // Fids up to 15 are trained, those up to 60 partly unknown.
    let scored = (0..<30).map { model.example(offset: $0, fids: 60, random: &random) }
    var before: [Double] = []
    for round in Int64(0)..<4 {
      let scores = bench.probabilities(scored)
      #expect(scores.count == 60)
      for (mine, theirs) in zip(scores, try expected(replica, scored)) { #expect(abs(mine - theirs) < 1e-5) }
      // New dense tensors and rows take effect at once.
      #expect(scores != before)
      before = scores
      let examples = (0..<20).map { model.example(offset: $0, fids: 15, random: &random) }
      try train(server, replica, examples, from: round == 0 ? -1 : round, to: round + 1)
    }
    let unknown = try scored.reduce(0) { count, example in
      try example.slots.enumerated().reduce(count) { count, slot in
        let table = model.tables.layouts[model.tables.tableOfSlot[slot.offset]].name
        return try slot.element.reduce(count) { try $0 + (replica.row(table: table, fid: $1).exists ? 0 : 1) }
      }
    }
    #expect(unknown > 0 && unknown < scored.reduce(0) { $0 + $1.slots.joined().count })
    let unknownBefore = bench.scorer.unknownFids
    _ = bench.probabilities(scored)
    #expect(bench.scorer.unknownFids - unknownBefore == UInt64(unknown))
  }

  @Test func keptPartsOfItemsGiveTheSameBitsUntilAnythingChanges() throws {
    let server = model.server(of: map)
    let replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let keeping = try ScorerBench(model, replica.makeReader())
    let plain = try ScorerBench(model, replica.makeReader(), cacheBytes: 0)
    var random = SeededGenerator(seed: 3)
    let scored = (0..<40).map { model.example(offset: $0, fids: 30, random: &random) }
    let positions = scored.indices.map { $0 * 7 }
    for round in Int64(0)..<5 {
      let examples = (0..<10).map { model.example(offset: $0, fids: 30, random: &random) }
      try train(server, replica, examples, from: round == 0 ? -1 : round, to: round + 1)
      let expected = plain.probabilities(scored)
      let reusedBefore = keeping.scorer.reusedItems
      let unknownBefore = keeping.scorer.unknownFids
      #expect(keeping.probabilities(scored, positions: positions) == expected)
      #expect(keeping.scorer.reusedItems == reusedBefore)
      let unknown = keeping.scorer.unknownFids - unknownBefore
      #expect(keeping.probabilities(scored, positions: positions) == expected)
      #expect(keeping.scorer.reusedItems == reusedBefore + 40)
      // What is kept counts what it did not know again.
      #expect(keeping.scorer.unknownFids - unknownBefore == 2 * unknown)
    }
    #expect(plain.scorer.reusedItems == 0 && plain.scorer.cachedBytes == 0)
  }

  @Test func memoryForItemsStaysWithinItsBound() throws {
    let replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let bench = try ScorerBench(model, replica.makeReader(), cacheBytes: 100_000)
    var random = SeededGenerator(seed: 3)
    let scored = (0..<200).map { model.example(offset: $0, fids: 30, random: &random) }
    let expected = bench.probabilities(scored)
    for _ in 0..<2 {
      #expect(bench.probabilities(scored, positions: scored.indices.map { $0 * 100 }) == expected)
    }
    #expect(bench.scorer.cachedBytes <= 100_000)
    #expect(bench.scorer.reusedItems > 0 && bench.scorer.reusedItems < 200)
  }

  @Test func examplesWithoutFidsAreScored() throws {
    let replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let bench = try ScorerBench(model, replica.makeReader())
    #expect(bench.probabilities([]) == [])
    let bare = TestExample(offset: 0, slots: [[], [], [], []], dense: [0.5, -0.5], labels: [.nan, .nan])
    let scores = bench.probabilities([bare])
    for (mine, theirs) in zip(scores, try expected(replica, [bare])) { #expect(abs(mine - theirs) < 1e-5) }
    #expect(scores.count == 2)
  }
}

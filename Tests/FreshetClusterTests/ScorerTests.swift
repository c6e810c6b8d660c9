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
    let step = TrainingStep(tables: model.tables, map: map)
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
    let scorer = Scorer(reader: replica.makeReader())
    var random = SeededGenerator(seed: 9)
    // Fids up to 15 are trained, those up to 60 partly unknown.
    let scored = (0..<30).map { model.example(offset: $0, fids: 60, random: &random) }
    var before: [Double] = []
    for round in Int64(0)..<4 {
      let scores = scorer.probabilities(of: model.batch(scored))
      #expect(scores.count == 60)
      for (mine, theirs) in zip(scores, try expected(replica, scored)) { #expect(abs(mine - theirs) < 1e-5) }
      // New dense tensors and rows take effect at once.
      #expect(scores != before)
      before = scores
      let examples = (0..<20).map { model.example(offset: $0, fids: 15, random: &random) }
      try train(server, replica, examples, from: round == 0 ? -1 : round, to: round + 1)
    }
    #expect(scorer.scored == 120)
    let distinct = Set(
      scored.flatMap { example in
        example.slots.enumerated().flatMap { slot, fids in
          fids.map { NaiveModel.Key(table: model.tables.tableOfSlot[slot], fid: $0) }
        }
      })
    let known = try distinct.count { try replica.row(table: model.tables.layouts[$0.table].name, fid: $0.fid).exists }
    #expect(known > 0 && known < distinct.count)
    let unknownBefore = scorer.unknownFids
    _ = scorer.probabilities(of: model.batch(scored))
    #expect(scorer.unknownFids - unknownBefore == UInt64(distinct.count - known))
  }

  @Test func anEmptyBatchAndExamplesWithoutFidsAreScored() throws {
    let replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let scorer = Scorer(reader: replica.makeReader())
    #expect(scorer.probabilities(of: model.batch([])) == [])
    let bare = TestExample(offset: 0, slots: [[], [], [], []], dense: [0.5, -0.5], labels: [.nan, .nan])
    let scores = scorer.probabilities(of: model.batch([bare]))
    for (mine, theirs) in zip(scores, try expected(replica, [bare])) { #expect(abs(mine - theirs) < 1e-5) }
    #expect(scores.count == 2)
  }
}

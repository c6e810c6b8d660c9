import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One model on its way from a training step through a server and a replica to a scorer.
struct KindBench {
  let model: TestModel
  let map = ShardMap(shardCount: 3, serverCount: 1)
  let server: ShardServer
  let replica: Replica
  let scorer: ScorerBench
  private let step: TrainingStep
  private var offset: Int64 = -1

  init(_ model: TestModel) throws {
    self.model = model
    server = model.server(of: map)
    replica = Replica(tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    scorer = try ScorerBench(model, replica.makeReader())
    step = TrainingStep(tables: model.tables, map: map, microBatchSize: .max, keepsOutcomes: false)
  }

  mutating func train(_ examples: [TestExample]) throws {
    step.begin(model.batch(examples).slice(0..<examples.count))
    var writer = BinaryWriter(capacity: 64)
    step.encodePull(ServerID(0), into: &writer)
    _ = try server.pull(writer.bytes).withUnsafeBytes { try step.accept($0, from: ServerID(0)) }
    step.compute()
    writer.removeAll()
    step.encodePush(ServerID(0), reportsHere: true, into: &writer)
    let end = offset < 0 ? 1 : offset + 1
    let outcome = try server.push(
      writer.bytes, PartitionID(0), server.claim(PartitionID(0)).epoch, offset, end)
    #expect(outcome == .applied)
    offset = end
  }

  func sync() throws {
    _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
    for _ in 0..<8 {
      let request = SyncRequest(positions: replica.shards.map { ($0.id, $0.position) })
      for frame in try server.sync(request, limitBytes: ShardServer.syncReplyBytes, compressor: NoCompressor()) {
        frame.withUnsafeBytes { _ = replica.handle(.frame(ServerID(0), $0), now: Instant(nanoseconds: 1)) }
      }
    }
  }

  /// What the network of training says with the rows that the replica holds.
  func trainersProbabilities(_ examples: [TestExample]) throws -> [Double] {
    var rows: [Float] = []
    var occurrences: [Int32] = []
    var starts: [Int32] = [0]
    for example in examples {
      for (slot, fids) in example.slots.enumerated() {
        for fid in fids {
          let table = model.tables.layouts[model.tables.tableOfSlot[slot]].name
          occurrences.append(Int32(rows.count))
          rows += try replica.row(table: table, fid: fid).weights
        }
        starts.append(Int32(occurrences.count))
      }
    }
    occurrences.append(0)
    let parameters = try model.tables.denseLayout.fids.flatMap {
      try replica.row(table: ModelTables.denseTableName, fid: $0).weights
    }
    let dense = examples.flatMap(\.dense) + [0]
    let network = model.tables.makeNetwork()
    return withExtendedLifetime(network) {
      let logits = network.forward(
        NetworkInput(
          count: examples.count, rows: rows, occurrences: occurrences, starts: starts, denseFeatures: dense),
        parameters: parameters)
      return (0..<examples.count * model.spec.tasks.count).map { Double(LogisticLoss.sigmoid(logits[$0])) }
    }
  }
}

@Suite struct NetworkKindsTests {
  static let kinds: [NetworkSpec] = [
    NetworkSpec(kind: .logistic), NetworkSpec(kind: .fm), NetworkSpec(kind: .deepFM, hidden: [8]),
    NetworkSpec(kind: .dcn, crossLayers: 2), NetworkSpec(kind: .dcn, hidden: [8, 4], crossLayers: 2),
    NetworkSpec(kind: .dcn, hidden: [8], crossLayers: 3, crossRank: 4, crossStructure: .stacked),
    NetworkSpec(kind: .towers, hidden: [8], towerHidden: [4]),
    NetworkSpec(kind: .mmoe, experts: 3, expertHidden: [8], towerHidden: [4]),
    NetworkSpec(kind: .mmoe, experts: 2, expertHidden: [8, 6]),
  ]

  /// - Parameter isMixed: Whether slots have tables of different dimensions, and one a linear weight alone.
  static func model(_ network: NetworkSpec, isMixed: Bool) -> TestModel {
    TestModel.deep.changed {
      $0.network = network
      if isMixed {
        $0.tables[1].dimension = 10
        $0.tables.append(TableSpec(name: "linear", dimension: 0))
        $0.slots[3].table = 2
        if [.fm, .deepFM].contains(network.kind) { $0.network.factorizedSlots = [0, 2] }
      }
      $0.network.optimizer = TestModel.adagrad
      $0.slots[3].pooling = .sqrtn
      for table in $0.tables.indices { $0.tables[table].optimizer = TestModel.adagrad }
    }
  }

  /// Whether user and item please each other, and a second label that depends on a dense feature too.
  static func example(_ offset: Int64, _ model: TestModel, _ random: inout SeededGenerator) -> TestExample {
    var example = model.example(offset: offset, fids: 30, random: &random)
    example.slots[0] = [Fid.random(in: 100..<120, using: &random)]
    example.slots[1] = [Fid.random(in: 200..<220, using: &random)]
    let pleases = example.slots[0][0] % 2 == 0 || example.slots[1][0] % 3 == 0
    example.labels = [pleases ? 1 : 0, pleases && example.dense[0] > 0 ? 1 : 0]
    (example.weight, example.negativeRate, example.origin) = (1, 1, .actions)
    return example
  }

  static func loss(_ probabilities: [Double], _ examples: [TestExample]) -> Double {
    let labels = examples.flatMap(\.labels)
    let losses = zip(probabilities, labels).map { -log($1 > 0.5 ? $0 : 1 - $0) }
    return losses.reduce(0, +) / Double(losses.count)
  }

  @Test(arguments: kinds, [false, true])
  func everyKindLearnsAndIsScoredAsItWasTrained(network: NetworkSpec, isMixed: Bool) throws {
    let model = Self.model(network, isMixed: isMixed)
    try model.spec.validate()
    var bench = try KindBench(model)
    var random = SeededGenerator(seed: 17)
    let held = (0..<200).map { Self.example(Int64($0), model, &random) }
    try bench.sync()
    let before = Self.loss(bench.scorer.probabilities(held), held)
    for _ in 0..<150 { try bench.train((0..<16).map { Self.example(Int64($0), model, &random) }) }
    try bench.sync()
    let scores = bench.scorer.probabilities(held)
    let after = Self.loss(scores, held)
    #expect(after < 0.6 * before, "\(network.kind): \(before) to \(after)")
    for (mine, theirs) in zip(scores, try bench.trainersProbabilities(held)) { #expect(abs(mine - theirs) < 1e-5) }
    let tasks = model.spec.tasks.count
    for number in [0, 7, 199] {
      #expect(bench.scorer.probabilities([held[number]]) == Array(scores[number * tasks..<(number + 1) * tasks]))
    }
  }
}

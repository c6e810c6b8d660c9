import CAllocationCount
import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

@Suite struct TrainingStepTests {
  let model = TestModel.deep

  /// The largest difference between what servers hold and what the naive model does.
  func difference(_ model: TestModel, _ servers: [ShardServer], _ map: ShardMap, _ naive: NaiveModel) throws -> Double {
    var largest = 0.0
    for key in naive.keys {
      let name = model.tables.layouts[key.table].name
      let row = try servers[map.owner(of: map.shard(of: key.fid)).value].row(table: name, fid: key.fid)
      #expect(row.exists)
      for (mine, theirs) in zip(row.weights, naive.weights(key)) { largest = max(largest, abs(Double(mine) - theirs)) }
    }
    for (chunk, fid) in model.tables.denseLayout.fids.enumerated() {
      let row = try servers[map.owner(of: map.shard(of: fid)).value].row(table: ModelTables.denseTableName, fid: fid)
      for (index, mine) in row.weights.enumerated() {
        largest = max(largest, abs(Double(mine) - naive.parameters[chunk * DenseLayout.chunkWidth + index]))
      }
    }
    let slotTables = model.tables.slotTableCount
    let rows = servers.reduce(0) { $0 + $1.tableTotals().prefix(slotTables).reduce(0) { $0 + $1.rows } }
    #expect(rows == naive.keys.count)
    return largest
  }

  @Test(arguments: [1, 2, 3], [false, true])
  func oneBatchThroughAnyNumberOfServersEqualsOneNaiveStep(serverCount: Int, isMixed: Bool) throws {
    let model = isMixed ? TestModel.mixed : model
    #expect(model.tables.denseLayout.chunkCount == 2)
    let map = ShardMap(shardCount: 5, serverCount: serverCount)
    let servers = (0..<serverCount).map { model.server($0, of: map) }
    let epochs = servers.map { $0.claim(PartitionID(0)).epoch }
    var random = SeededGenerator(seed: UInt64(serverCount))
    let examples = (0..<40).map { model.example(offset: Int64($0), fids: 9, random: &random) }
    let batch = model.batch(examples)
    var naive = NaiveModel(model)
    let step = TrainingStep(tables: model.tables, map: map, microBatchSize: .max, keepsOutcomes: false)
    // The object is used again: a large batch, a part in the middle of another, a small one.
    for range in [0..<25, 25..<26, 26..<40] {
      step.begin(batch.slice(range))
      for (number, server) in servers.enumerated() {
        var writer = BinaryWriter(capacity: 64)
        step.encodePull(ServerID(number), into: &writer)
        let reply = try server.pull(writer.bytes)
        let isLast = try reply.withUnsafeBytes { try step.accept($0, from: ServerID(number)) }
        #expect(isLast == (number == serverCount - 1))
      }
      step.compute()
      for (number, server) in servers.enumerated() {
        var writer = BinaryWriter(capacity: 64)
        step.encodePush(ServerID(number), reportsHere: number == 0, into: &writer)
        let from = range.lowerBound == 0 ? -1 : Int64(range.lowerBound)
        let outcome = try server.push(writer.bytes, PartitionID(0), epochs[number], from, Int64(range.upperBound))
        #expect(outcome == .applied)
      }
      let logits = examples[range].map { naive.logits($0) }
      naive.train(Array(examples[range]))
      #expect(try difference(model, servers, map, naive) < 2e-5)
      if range.lowerBound == 0 { try expectReport(servers[0], Array(examples[range]), logits) }
    }
  }

  /// Predictions are made before training, of the stream as it was sampled.
  func expectReport(_ server: ShardServer, _ examples: [TestExample], _ logits: [[Double]]) throws {
    for task in 0..<2 {
      var loss = 0.0
      var count: UInt64 = 0
      for (example, logit) in zip(examples, logits) {
        let terms = ExampleLoss(
          logit: Float(logit[task]), label: example.labels[task], origin: example.origin,
          negativeRate: example.negativeRate, requestHash: UInt64(example.offset))
        loss += terms.loss
        count += terms.isCounted ? 1 : 0
      }
      let window = server.validation(taskCount: 2).tasks[task].total
      #expect(window.count == count)
      #expect(abs(window.loss - loss) < 1e-3)
    }
    let receipt = try #require(server.hostedShards.flatMap(\.receipts).first)
    #expect(receipt.exampleCount == examples.count)
    #expect(receipt.oldestIngest.milliseconds == examples[0].ingestTimeMs)
    #expect(receipt.newestIngest.milliseconds == examples[examples.count - 1].ingestTimeMs)
  }

  @Test func aReplyOfTheWrongLengthOrTwiceIsRefused() throws {
    let map = ShardMap(shardCount: 5, serverCount: 2)
    var random = SeededGenerator(seed: 4)
    let batch = model.batch([model.example(offset: 0, fids: 9, random: &random)])
    let step = TrainingStep(tables: model.tables, map: map, microBatchSize: .max, keepsOutcomes: false)
    step.begin(batch.slice(0..<1))
    var writer = BinaryWriter(capacity: 64)
    step.encodePull(ServerID(0), into: &writer)
    let reply = try model.server(0, of: map).pull(writer.bytes)
    for wrong in [Array(reply.dropLast()), reply + [0], []] {
      #expect(throws: ClusterError.self) { try wrong.withUnsafeBytes { try step.accept($0, from: ServerID(0)) } }
    }
    #expect(try reply.withUnsafeBytes { try !step.accept($0, from: ServerID(0)) })
    #expect(throws: ClusterError.self) { try reply.withUnsafeBytes { try step.accept($0, from: ServerID(0)) } }
  }

  /// Zero staleness: with one batch at a time each one sees the gradients of all before it, however messages are delayed.
  @Test(arguments: [(1, 1), (2, 4), (3, 16)])
  func withoutPipeliningTrainingEqualsNaiveSequentialTraining(serverCount: Int, batchSize: Int) throws {
    try expectNaiveTraining(model, serverCount: serverCount, batchSize: batchSize)
  }

  /// Slots of one configured table with rates of their own learn at those, in tables of their own.
  @Test func slotsOfOneTableLearnAtTheirOwnRates() throws {
    let model = model.changed {
      $0.slots[0].overrides.learningRate = 0.5
      $0.slots[3].overrides.learningRate = 0.01
    }
    #expect(model.tables.tableOfSlot == [2, 1, 0, 3])
    try expectNaiveTraining(model, serverCount: 2, batchSize: 4)
  }

  /// The audit runs beside the model and changes nothing in it.
  @Test func anAuditedModelLearnsTheSame() throws {
    try expectNaiveTraining(model.changed { $0.audit = true }, serverCount: 2, batchSize: 4)
  }

  /// Within a batch each micro-batch sees what those before it taught, and the servers arrive at the same rows.
  @Test(arguments: [(1, 1), (2, 3), (3, 16)])
  func microBatchesLearnOneAfterTheOther(serverCount: Int, microBatchSize: Int) throws {
    try expectNaiveTraining(model, serverCount: serverCount, batchSize: 16, microBatchSize: microBatchSize)
  }

  /// Rows of 4 and of 6 weights, with state and without.
  @Test(arguments: [(1, 1), (2, 3), (3, 16)])
  func tablesOfDifferentDimensionsAreLearnedTogether(serverCount: Int, microBatchSize: Int) throws {
    try expectNaiveTraining(.mixed, serverCount: serverCount, batchSize: 16, microBatchSize: microBatchSize)
  }

  /// Slots of a table that get one of their own, as they have rules of their own, keep its dimension.
  @Test func slotsWithRulesOfTheirOwnKeepTheirDimension() throws {
    let model = TestModel.mixed.changed {
      $0.slots[1].overrides.learningRate = 0.05
      $0.slots[2].overrides.timeToLiveMinutes = 1_000_000
    }
    #expect(model.tables.layouts.map(\.width).dropLast() == [4, 6, 6, 4])
    try expectNaiveTraining(model, serverCount: 2, batchSize: 16, microBatchSize: 3)
  }

  /// A trainer that goes on from its copies learns what one learns that pulls rows anew for each micro-batch: the same bits.
  @Test(arguments: [1, 3, 7], [false, true])
  func copiesAreAsGoodAsRowsThatArePulledAnew(microBatchSize: Int, isMixed: Bool) throws {
    // The dense tensors stand still, as they take one step for each pull.
    let model = (isMixed ? TestModel.mixed : model).changed { $0.network.optimizer = .sgd(learningRate: 0) }
    var random = SeededGenerator(seed: 8)
    let examples = (0..<60).map { model.example(offset: Int64($0), fids: 12, random: &random) }
    let whole = try train(model, examples, batchSize: 20, microBatchSize: microBatchSize)
    let again = try train(model, examples, batchSize: 20, microBatchSize: microBatchSize)
    let apart = try train(model, examples, batchSize: microBatchSize, cutAt: 20, microBatchSize: .max)
    let coarse = try train(model, examples, batchSize: 20, microBatchSize: .max)
    #expect(whole == apart)
    #expect(whole == again)
    #expect(whole != coarse)
  }

  /// - Returns: What two servers hold, to the bit.
  func train(
    _ model: TestModel, _ examples: [TestExample], batchSize: Int, cutAt: Int = .max, microBatchSize: Int
  ) throws -> [UInt64] {
    let map = ShardMap(shardCount: 5, serverCount: 2)
    let servers = (0..<2).map { model.server($0, of: map) }
    let epochs = servers.map { $0.claim(PartitionID(0)).epoch }
    let batch = model.batch(examples)
    let step = TrainingStep(tables: model.tables, map: map, microBatchSize: microBatchSize, keepsOutcomes: false)
    var first = 0
    while first < examples.count {
      let end = min(examples.count, first + batchSize, cutAt == .max ? .max : (first / cutAt + 1) * cutAt)
      step.begin(batch.slice(first..<end))
      for (number, server) in servers.enumerated() {
        var writer = BinaryWriter(capacity: 64)
        step.encodePull(ServerID(number), into: &writer)
        #expect(writer.count <= step.pullByteCount(ServerID(number)))
        try server.pull(writer.bytes).withUnsafeBytes { _ = try step.accept($0, from: ServerID(number)) }
      }
      step.compute()
      for (number, server) in servers.enumerated() {
        var writer = BinaryWriter(capacity: 64)
        step.encodePush(ServerID(number), reportsHere: true, into: &writer)
        #expect(writer.count <= step.pushByteCount(ServerID(number)))
        _ = try server.push(writer.bytes, PartitionID(0), epochs[number], first == 0 ? -1 : Int64(first), Int64(end))
      }
      first = end
    }
    return servers.map(\.contentChecksum)
  }

  /// However a batch is divided, its examples cost no allocation: what is counted here, without optimisation, is a few for the
  /// batch as a whole.
  @Test(arguments: [1, 5, Int.max])
  func examplesAllocateNothingOnceTheLargestBatchHasBeenSeen(microBatchSize: Int) throws {
    let map = ShardMap(shardCount: 5, serverCount: 1)
    let server = model.server(of: map)
    var random = SeededGenerator(seed: 9)
    let batch = model.batch((0..<400).map { model.example(offset: Int64($0), fids: 30, random: &random) })
    let step = TrainingStep(tables: model.tables, map: map, microBatchSize: microBatchSize, keepsOutcomes: false)
    let slice = batch.slice(0..<400)
    step.begin(slice)
    var pull = BinaryWriter(capacity: 64)
    step.encodePull(ServerID(0), into: &pull)
    let reply = try server.pull(pull.bytes)
    func work() throws {
      step.begin(slice)
      try reply.withUnsafeBytes { _ = try step.accept($0, from: ServerID(0)) }
      step.compute()
    }
    try work()
    try work()
    let start = freshet_allocation_count()
    for _ in 0..<10 { try work() }
    #expect(freshet_allocation_count() - start < 10 * 40)
  }

  func expectNaiveTraining(_ model: TestModel, serverCount: Int, batchSize: Int, microBatchSize: Int = .max) throws {
    var options = ClusterHarness.Options()
    options.model = model
    options.servers = serverCount
    options.shards = 5
    options.partitions = 1
    options.trainers = 1
    options.examples = 300
    options.fids = 20
    options.batchSize = batchSize...batchSize
    options.microBatchSize = microBatchSize
    options.pipelineDepth = 1...1
    let harness = ClusterHarness(options, seed: UInt64(serverCount))
    #expect(harness.run(limit: 50_000))
    var naive = NaiveModel(model)
    var trained = 0
    for batch in harness.batches {
      let examples = harness.logs[0].examples.filter { $0.offset >= batch.from.value && $0.offset < batch.to.value }
      naive.train(examples, microBatchSize: microBatchSize)
      trained += examples.count
    }
    #expect(trained == 300)
    #expect(harness.batches.count >= 300 / batchSize)
    #expect(try difference(model, harness.servers, harness.map, naive) < 2e-3)
  }
}

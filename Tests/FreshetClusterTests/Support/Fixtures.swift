import FreshetCore
import FreshetModel
import FreshetTable

@testable import FreshetCluster

/// One example as tests make it up.
struct TestExample: Equatable {
  var offset: Int64
  var slots: [[Fid]]
  var dense: [Float]
  /// NaN where the example says nothing about the task.
  var labels: [Float]
  var weight: Float = 1
  var negativeRate: Float = 1
  var origin = ExampleOrigin.actions
  var actionTimeMs: Int64 = 60_000
  var ingestTimeMs: Int64 = 1_000
}

/// A small model, and the ways in which tests need it.
struct TestModel {
  let spec: ModelSpec
  let tables: ModelTables
  let layout: ExampleLayout

  init(_ spec: ModelSpec) {
    Network.useOneThread()
    self.spec = spec
    do {
      tables = try ModelTables(spec)
    } catch {
      preconditionFailure("\(error)")
    }
    layout = ExampleLayout(spec)
  }

  /// Two tables, a slot with a mean, one with a sum, dense features, two tasks, two chunks of dense tensors.
  static let deep = TestModel(
    spec(
      dimension: 3, denseFeatures: 2, network: NetworkSpec(kind: .deepFM, hidden: [18, 4], optimizer: adagrad),
      tasks: ["click", "buy"], optimizers: [adagrad, .sgd(learningRate: 0.1)], deviation: 0.2))

  /// The same with tables of different dimensions, of which the factorization machine multiplies one.
  static let mixed = deep.changed {
    $0.tables[1].dimension = 5
    $0.network.factorizedSlots = [0, 2]
  }

  /// As little arithmetic as possible, for the runs that count. Initial weights are 0.
  static let tiny = TestModel(
    spec(
      dimension: 1, denseFeatures: 0, network: NetworkSpec(kind: .fm, optimizer: .sgd(learningRate: 1)),
      tasks: ["click"], optimizers: [.sgd(learningRate: 1), .sgd(learningRate: 1)], deviation: 0))

  static let audited = tiny.changed { $0.audit = true }

  static let adagrad = OptimizerSpec.adagrad(learningRate: 0.1, initialAccumulator: 0.1, epsilon: 1e-8)

  private static func spec(
    dimension: Int, denseFeatures: Int, network: NetworkSpec, tasks: [String], optimizers: [OptimizerSpec],
    deviation: Double
  ) -> ModelSpec {
    let names = ["user", "item", "tags", "words"]
    return ModelSpec(
      name: "test", userKey: 0, itemKey: 1,
      fields: names.map { FieldSpec(name: $0, multi: $0 == "tags" || $0 == "words") }
        + (0..<denseFeatures).map { FieldSpec(name: "dense\($0)", type: .float) },
      slots: names.enumerated().map { index, name in
        SlotSpec(name: name, index: index, fields: [index], table: index % 2, pooling: name == "tags" ? .mean : .sum)
      },
      denseFeatures: (0..<denseFeatures).map { DenseFeatureSpec(name: "dense\($0)", field: names.count + $0) },
      tables: optimizers.enumerated().map { number, optimizer in
        TableSpec(
          name: "table\(number)", dimension: dimension, optimizer: optimizer, initialDeviation: deviation,
          seed: UInt64(number + 1))
      },
      network: network, tasks: tasks.map { TaskSpec(name: $0, action: $0) })
  }

  func changed(_ change: (inout ModelSpec) -> Void) -> TestModel {
    var spec = spec
    change(&spec)
    return TestModel(spec)
  }

  /// A random example; slots share fids with other examples, with other slots, and within themselves.
  func example(offset: Int64, fids: Int, random: inout SeededGenerator) -> TestExample {
    let slots = spec.slots.indices.map { slot -> [Fid] in
      let count = slot < 2 ? 1 : Int.random(in: 0...3, using: &random)
      return (0..<count).map { _ in Fid.random(in: 0..<Fid(fids), using: &random) &* 0x9e37_79b9 }
    }
    return TestExample(
      offset: offset, slots: slots, dense: spec.denseFeatures.map { _ in Float.random(in: -1...1, using: &random) },
      labels: spec.tasks.indices.map { $0 > 0 && Bool.random(using: &random) ? .nan : random.next() % 3 == 0 ? 1 : 0 },
      weight: spec.tasks.count > 1 ? Float.random(in: 0.5...2, using: &random) : 1,
      negativeRate: spec.tasks.count > 1 && random.next() % 4 == 0 ? 0.25 : 1,
      origin: spec.tasks.count > 1 ? ExampleOrigin.allCases.randomElement(using: &random)! : .actions,
      actionTimeMs: 60_000 * (1 + offset), ingestTimeMs: 1_000 + offset)
  }

  func batch(_ examples: [TestExample]) -> ExampleBatch {
    var batch = ExampleBatch(layout: layout, capacity: max(1, examples.count), fidCapacity: 1 << 16)
    for example in examples {
      let header = ExampleHeader(
        requestHash: UInt64(example.offset), eventTimeMs: example.actionTimeMs, actionTimeMs: example.actionTimeMs,
        ingestTimeMs: example.ingestTimeMs, weight: example.weight, negativeRate: example.negativeRate,
        origin: example.origin)
      let record = ExampleCodec.encode(
        header, labels: example.labels, slots: example.slots, dense: example.dense, layout: layout)
      do {
        try record.withUnsafeBytes { try batch.append($0, offset: example.offset) }
      } catch {
        preconditionFailure("\(error)")
      }
    }
    return batch
  }

  func server(
    _ number: Int = 0, of map: ShardMap, generation: UInt64 = 1, deltaLogBytes: Int = 1 << 20,
    chunkBytes: Int = 1 << 18,
    deltaBodyBytes: Int = 1 << 20, syncWeights: WeightFormat = .float32
  ) -> ShardServer {
    ShardServer(
      configuration: ShardServer.Configuration(
        map: map, server: ServerID(number), layouts: tables.layouts, generation: generation,
        deltaLogBytes: deltaLogBytes, maximumRows: 10_000, syncFormats: tables.syncFormats(syncWeights),
        baseChunkBytes: chunkBytes, deltaBodyBytes: deltaBodyBytes))
  }

  /// Some fid of each shard, distinct from those of `example`.
  static func fid(of shard: ShardID, map: ShardMap, number: Int = 0) -> Fid {
    var left = number
    var fid: Fid = 1 << 60
    while true {
      if map.shard(of: fid) == shard {
        if left == 0 { return fid }
        left -= 1
      }
      fid += 1
    }
  }
}

/// A section of a push or a pull, with what belongs to it.
struct TestSection {
  var shard: ShardID
  var table: Int
  var fids: [Fid]
  /// Of all rows; empty in a pull.
  var gradients: [Float] = []
  var withState = false

  static func pull(_ sections: [TestSection]) -> [UInt8] {
    var writer = BinaryWriter(capacity: 64)
    sections.flatMap(\.fids).withUnsafeBufferPointer {
      PullRequest.encode(sections: sections.map(\.head), fids: $0, into: &writer)
    }
    return writer.bytes
  }

  static func push(_ sections: [TestSection], minutes: UInt32 = 5, report: BatchReport? = nil) -> [UInt8] {
    var writer = BinaryWriter(capacity: 64)
    sections.flatMap(\.fids).withUnsafeBufferPointer {
      PushRequest.encodeHead(
        minutes: minutes, report: report, sections: sections.map(\.head), fids: $0, into: &writer)
    }
    sections.flatMap(\.gradients).withUnsafeBufferPointer { writer.write(floats: $0) }
    return writer.bytes
  }

  private var head: RowSection { RowSection(shard: shard, table: table, count: fids.count, withState: withState) }
}

extension ShardServer {
  func push(
    _ body: [UInt8], _ partition: PartitionID, _ epoch: Epoch, _ from: Int64, _ to: Int64
  ) throws(ClusterError) -> PushOutcome {
    let result = body.withUnsafeBytes { raw in
      Result { () throws(ClusterError) -> PushOutcome in
        try push(raw, partition: partition, epoch: epoch, from: Offset(from), to: Offset(to))
      }
    }
    return try result.get()
  }

  func pull(_ request: [UInt8]) throws(ClusterError) -> [Float] {
    let result = request.withUnsafeBytes { raw in
      Result { () throws(ClusterError) -> [Float] in Array(try pull(raw)) }
    }
    return try result.get()
  }

  /// Everything that a push may change: all rows with their state, watermarks, validation, statistics of tables.
  func contents(taskCount: Int) -> [String] {
    var lines: [String] = []
    for shard in hostedShards {
      for (number, table) in shard.tables.enumerated() {
        table.checkInvariants()
        var rows: [Fid: [Float]] = [:]
        _ = table.scan(from: 0, limit: .max) { fid, _ in rows[fid] = table.row(fid) }
        for (fid, row) in rows.sorted(by: { $0.key < $1.key }) { lines.append("\(shard.id) \(number) \(fid) \(row)") }
        lines.append("\(table.statistics)")
      }
      lines.append("\(shard.watermarks.sorted { $0.key < $1.key }) \(shard.receipts)")
    }
    lines.append("\(validation(taskCount: taskCount).tasks.map { [$0.total.loss, Double($0.total.count)] })")
    return lines
  }
}

/// A compressor that really changes the bytes, without a library: runs of equal bytes as (count, byte).
struct RunLengthCompressor: BlockCompressor {
  var formatCode: UInt8 { 200 }

  func compress(_ block: UnsafeRawBufferPointer) -> [UInt8] {
    var output: [UInt8] = []
    var position = 0
    while position < block.count {
      var run = 1
      while run < 255, position + run < block.count, block[position + run] == block[position] { run += 1 }
      output += [UInt8(run), block[position]]
      position += run
    }
    return output
  }

  func decompress(_ bytes: UnsafeRawBufferPointer, count: Int) throws(MalformedBlob) -> [UInt8] {
    var output: [UInt8] = []
    for position in stride(from: 0, to: bytes.count - 1, by: 2) {
      output += repeatElement(bytes[position + 1], count: Int(bytes[position]))
      guard output.count <= count else { break }
    }
    guard output.count == count, bytes.count % 2 == 0 else {
      throw MalformedBlob(what: "run-length block", position: 0, reason: "\(output.count) bytes")
    }
    return output
  }
}

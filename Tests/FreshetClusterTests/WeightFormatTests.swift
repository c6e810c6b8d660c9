import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

@Suite struct WeightFormatTests {
  /// Mean loss of predictions before training on them; each user clicks always or never.
  func logloss(_ weights: WeightPrecision, seed: UInt64) throws -> Double {
    var options = ClusterHarness.Options()
    options.model = TestModel.deep.changed { spec in
      for table in spec.tables.indices { spec.tables[table].weights = weights }
    }
    options.partitions = 1
    options.trainers = 1
    options.examples = 600
    options.batchSize = 4...4
    options.pipelineDepth = 1...1
    options.adjust = { example in
      example.origin = .actions
      example.negativeRate = 1
      for task in example.labels.indices { example.labels[task] = Hashing.mix(example.slots[0][0]) % 2 == 0 ? 1 : 0 }
    }
    let harness = ClusterHarness(options, seed: seed)
    #expect(harness.run(limit: 50_000))
    #expect(harness.failures.isEmpty)
    var report = ValidationReport(taskCount: 2)
    for server in harness.servers { try report.merge(server.validation(taskCount: 2)) }
    let total = report.tasks[0].total
    #expect(total.count == 600)
    return total.loss / Double(total.count)
  }

  @Test func tablesOfHalfTheWidthLearnAsWell() throws {
    // One run of so few examples says little: how batches fall matters more than the format.
    func mean(_ weights: WeightPrecision) throws -> Double {
      try (UInt64(0)..<6).reduce(0) { try $0 + logloss(weights, seed: $1) } / 6
    }
    let full = try mean(.fp32)
    // Knowing nothing costs 0.69.
    #expect(full < 0.45)
    for format in [WeightPrecision.fp16, .bf16] {
      let half = try mean(format)
      #expect(abs(half - full) < 0.02, "\(format): \(half), \(full)")
    }
  }

  @Test(arguments: [(WeightFormat.float16, Float(0x1p-11)), (.bfloat16, Float(0x1p-8))])
  func aReplicaOfHalfTheWidthHasEveryRowToItsPrecision(format: WeightFormat, precision: Float) throws {
    var options = SyncHarness.Options()
    options.weightFormat = format
    options.drops = 10
    options.restarts = 5
    let harness = SyncHarness(options, seed: 1)
    harness.run(rounds: 25)
    var rounded = 0
    for shard in harness.servers.flatMap(\.hostedShards) {
      for (number, table) in shard.tables.enumerated() {
        let copy = harness.replica.shards[Int(shard.id.value)].tables[number]
        #expect(copy.rowCount == table.rowCount)
        let isDense = number == harness.model.tables.denseTable
        _ = table.scan(from: 0, limit: .max) { fid, weights in
          let copied = copy.weights(fid)
          #expect(copied.exists)
          for (column, weight) in copied.weights.enumerated() {
            let difference = abs(weight - weights[column])
            if difference > 0 { rounded += 1 }
            #expect(difference <= (isDense ? 0 : abs(weights[column]) * precision))
          }
        }
      }
    }
    #expect(rounded > 20)
  }
}

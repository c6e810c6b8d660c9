import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

/// Several passes over the log, then the stream: each example counts once in each pass that it lies in, and once in the stream.
@Suite struct PassesTests {
  static func options(_ seed: UInt64) -> ClusterHarness.Options {
    var options = ExactlyOnceTests.options(seed)
    options.passes = 1 + Int(seed / 2 % 3)
    options.batchSize = 1...6
    options.faultCount = 12
    return options
  }

  /// Where each pass of a partition has ended: the same on every shard.
  static func ends(_ harness: ClusterHarness, _ partition: Int, _ label: String) -> [Offset] {
    let shards = harness.servers.flatMap(\.hostedShards)
    return (0..<harness.options.passes).map { number in
      let pass = PartitionID(PartitionID(Int32(partition)), pass: number + 1)
      let ends = Set(shards.map { $0.watermark(of: pass).finishedEnd })
      #expect(ends.count == 1 && ends.first! != nil, "\(label): pass \(number + 1) of \(partition) ended at \(ends)")
      return (ends.first ?? nil) ?? .none
    }
  }

  static func expectExactCounts(_ harness: ClusterHarness, _ label: String) -> (inPasses: Int, behind: Int) {
    var expected: [Fid: Float] = [:]
    var (inPasses, behind) = (0, 0)
    for (partition, log) in harness.logs.enumerated() {
      let ends = ends(harness, partition, label)
      for example in log.examples {
        let times = 1 + ends.count { example.offset < $0.value }
        if times > 1 { inPasses += 1 } else { behind += 1 }
        for fid in example.slots.joined() { expected[fid, default: 0] += Float(times) }
      }
    }
    var counted: [Fid: Float] = [:]
    for shard in harness.servers.flatMap(\.hostedShards) {
      let audit = shard.tables[harness.options.model.tables.auditTable!]
      _ = audit.scan(from: 0, limit: .max) { fid, weights in counted[fid] = weights[0] }
    }
    #expect(counted == expected, "\(label): audit")
    return (inPasses, behind)
  }

  @Test func everyExampleCountsOncePerPassAndOnceInTheStreamUnderFaults() {
    var coverage = ExactlyOnceTests.Coverage()
    var (inPasses, behind, interrupted) = (0, 0, 0)
    for seed in UInt64(0)..<150 {
      let harness = ClusterHarness(Self.options(seed), seed: seed)
      let drained = harness.run(limit: 20_000)
      #expect(harness.failures.isEmpty, "seed \(seed): \(harness.failures)")
      #expect(drained, "seed \(seed): not drained after \(harness.steps) steps")
      ExactlyOnceTests.expectAllTrained(harness, "seed \(seed)")
      let counts = Self.expectExactCounts(harness, "seed \(seed)")
      inPasses += counts.inPasses
      behind += counts.behind
      coverage.add(harness)
      // A pass that was pushed from its start more than once was broken off in between.
      let starts = harness.batches.filter { $0.partition.pass > 0 }.map { "\($0.partition) \($0.from)" }
      interrupted += starts.count - Set(starts).count
    }
    // Otherwise the runs prove nothing.
    #expect(coverage.fenced > 10 && coverage.duplicates > 20 && coverage.restarts > 20, "\(coverage)")
    #expect(inPasses > 500 && behind > 200 && interrupted > 50, "\(inPasses) \(behind) \(interrupted)")
  }

  @Test func withoutFaultsNothingIsRefusedOrPushedTwice() {
    for seed in UInt64(0)..<10 {
      var options = Self.options(seed)
      options.faults = []
      let harness = ClusterHarness(options, seed: seed)
      #expect(harness.run(limit: 20_000), "seed \(seed)")
      for server in harness.servers {
        let statistics = server.statistics
        #expect(
          statistics.fenced == 0 && statistics.duplicates == 0 && statistics.watermarkRefusals == 0, "seed \(seed)")
        #expect(statistics.claims == UInt64(options.partitions * (options.passes + 1)))
      }
      ExactlyOnceTests.expectAllTrained(harness, "seed \(seed)")
      _ = Self.expectExactCounts(harness, "seed \(seed)")
    }
  }

  @Test func passesOfAPartitionAreNumbersOfTheirOwn() {
    let partition = PartitionID(1023)
    #expect(PartitionID(partition, pass: 0) == partition && partition.pass == 0 && partition.stream == partition)
    let last = PartitionID(partition, pass: PartitionID.maximumPasses)
    #expect(last.pass == PartitionID.maximumPasses && last.stream == partition)
    #expect(last.value < ShardServer.maximumPartitions)
    #expect(Offset.finished(at: Offset(7)).finishedEnd == Offset(7))
    #expect(Offset(7).finishedEnd == nil && Offset.none.finishedEnd == nil)
  }

  @Test func watermarksOfPassesDoNotGoToReplicas() throws {
    let map = ShardMap(shardCount: 1, serverCount: 1)
    let server = TestModel.tiny.server(of: map)
    let shard = server.shards[0]!
    shard.advance(PartitionID(3), to: Offset(5), minutes: 0)
    shard.advance(PartitionID(PartitionID(3), pass: 2), to: Offset(9), minutes: 0)
    #expect(shard.streamWatermarks.map(\.partition) == [PartitionID(3)])
    #expect(server.watermarks.count == 2)
  }
}

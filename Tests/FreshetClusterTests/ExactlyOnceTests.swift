import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

/// Invariant I2 under seeded faults. A failure names its seed; `ClusterHarness(options, seed:)` runs it again.
@Suite struct ExactlyOnceTests {
  static let stepLimit = 5_000

  /// How often each table of each shard is updated when every example is applied once, in batches of one.
  static func expectedUpdates(_ harness: ClusterHarness) -> [[UInt64]] {
    let tables = harness.options.model.tables
    var updates = (0..<harness.map.shardCount).map { _ in [UInt64](repeating: 0, count: tables.layouts.count) }
    for example in harness.logs.flatMap(\.examples) {
      if let audit = tables.auditTable {
        for fid in Set(example.slots.joined()) { updates[Int(harness.map.shard(of: fid).value)][audit] += 1 }
      }
      for table in 0..<tables.slotTableCount {
        var fids = Set<Fid>()
        for (slot, values) in example.slots.enumerated() where tables.tableOfSlot[slot] == table {
          fids.formUnion(values)
        }
        for fid in fids { updates[Int(harness.map.shard(of: fid).value)][table] += 1 }
      }
      for fid in tables.denseLayout.fids { updates[Int(harness.map.shard(of: fid).value)][tables.denseTable] += 1 }
    }
    return updates
  }

  static func expectAllTrained(_ harness: ClusterHarness, _ label: String) {
    #expect(harness.earlyCommits == 0, "\(label): commits")
    for (number, log) in harness.logs.enumerated() {
      let partition = PartitionID(Int32(number))
      for shard in harness.servers.flatMap(\.hostedShards) {
        #expect(shard.watermark(of: partition).value == log.end, "\(label): shard \(shard.id) of \(partition)")
      }
    }
    let reported = harness.servers.reduce(0) { $0 + $1.validation(taskCount: 1).tasks[0].total.count }
    #expect(reported == UInt64(harness.logs.reduce(0) { $0 + $1.examples.count }), "\(label): validation")
  }

  static func expectExactUpdates(_ harness: ClusterHarness, _ label: String) {
    let expected = expectedUpdates(harness)
    for shard in harness.servers.flatMap(\.hostedShards) {
      for (number, table) in shard.tables.enumerated() {
        #expect(
          table.statistics.updates == expected[Int(shard.id.value)][number],
          "\(label): shard \(shard.id) table \(number)")
        table.checkInvariants()
      }
    }
  }

  /// Each row of the audit is the number of times that its fid is in the logs, and there are no others.
  static func expectExactCounts(_ harness: ClusterHarness, _ label: String) {
    var expected: [Fid: Float] = [:]
    for fid in harness.logs.flatMap(\.examples).flatMap(\.slots).joined() { expected[fid, default: 0] += 1 }
    var counted: [Fid: Float] = [:]
    for shard in harness.servers.flatMap(\.hostedShards) {
      let audit = shard.tables[harness.options.model.tables.auditTable!]
      _ = audit.scan(from: 0, limit: .max) { fid, weights in counted[fid] = weights[0] }
    }
    #expect(counted == expected, "\(label): audit")
  }

  static func options(_ seed: UInt64) -> ClusterHarness.Options {
    var options = ClusterHarness.Options()
    options.model = .audited
    options.servers = 1 + Int(seed % 3)
    options.trainers = 1 + Int(seed / 3 % 3)
    // A restarted server has nothing yet: it needs the log from its start.
    options.faults = Set(ClusterHarness.Fault.allCases).subtracting([seed % 2 == 0 ? .trimLog : .restartServer])
    return options
  }

  /// What the faults of a run have led to.
  struct Coverage {
    var fenced: UInt64 = 0
    var duplicates: UInt64 = 0
    var trims = 0
    var restarts = 0
    var steps = 0

    mutating func add(_ harness: ClusterHarness) {
      fenced += harness.servers.reduce(0) { $0 + $1.statistics.fenced }
      duplicates += harness.servers.reduce(0) { $0 + $1.statistics.duplicates }
      trims += harness.logs.count { $0.start > $0.examples[0].offset }
      restarts += harness.restartedServers
      steps = max(steps, harness.steps)
    }
  }

  @Test func everyExampleUpdatesEachOfItsRowsExactlyOnceUnderFaults() {
    var coverage = Coverage()
    for seed in UInt64(0)..<160 {
      let harness = ClusterHarness(Self.options(seed), seed: seed)
      let drained = harness.run(limit: Self.stepLimit)
      #expect(harness.failures.isEmpty, "seed \(seed)")
      #expect(drained, "seed \(seed): not drained after \(harness.steps) steps")
      Self.expectAllTrained(harness, "seed \(seed)")
      Self.expectExactUpdates(harness, "seed \(seed)")
      Self.expectExactCounts(harness, "seed \(seed)")
      coverage.add(harness)
    }
    // Otherwise the runs prove nothing.
    #expect(
      coverage.fenced > 20 && coverage.duplicates > 20 && coverage.trims > 5 && coverage.restarts > 20, "\(coverage)")
  }

  @Test func batchesOfAnySizeCountEveryExampleOnceUnderFaults() {
    var coverage = Coverage()
    for seed in UInt64(1_000)..<1_080 {
      var options = Self.options(seed)
      options.batchSize = 1...8
      options.examples = 30
      let harness = ClusterHarness(options, seed: seed)
      let drained = harness.run(limit: Self.stepLimit)
      #expect(harness.failures.isEmpty, "seed \(seed)")
      #expect(drained, "seed \(seed): not drained after \(harness.steps) steps")
      Self.expectAllTrained(harness, "seed \(seed)")
      Self.expectExactCounts(harness, "seed \(seed)")
      coverage.add(harness)
    }
    #expect(coverage.fenced > 10 && coverage.duplicates > 10, "\(coverage)")
  }

  @Test func withoutFaultsNothingIsTrainedTwiceNorRefused() {
    for seed in UInt64(0)..<10 {
      var options = Self.options(seed)
      options.faults = []
      options.batchSize = 1...8
      let harness = ClusterHarness(options, seed: seed)
      #expect(harness.run(limit: Self.stepLimit), "seed \(seed)")
      for server in harness.servers {
        let statistics = server.statistics
        #expect(
          statistics.fenced == 0 && statistics.duplicates == 0 && statistics.watermarkRefusals == 0, "seed \(seed)")
        #expect(statistics.claims == UInt64(options.partitions))
      }
      Self.expectAllTrained(harness, "seed \(seed)")
    }
  }

  @Test func aRunIsAFunctionOfItsSeed() {
    let traces = (0..<2).map { _ in
      let harness = ClusterHarness(Self.options(7), seed: 7)
      _ = harness.run(limit: Self.stepLimit)
      return harness.servers.flatMap { $0.contents(taskCount: 1) } + ["\(harness.batches)", "\(harness.steps)"]
    }
    #expect(traces[0] == traces[1])
  }
}

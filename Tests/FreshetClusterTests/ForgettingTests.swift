import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

/// Times to live, limits of rows and admission in a cluster.
@Suite struct ForgettingTests {
  /// The first table forgets in every way; one slot of it has rules of its own, and so a table of its own.
  static let model = TestModel.tiny.changed {
    $0.tables[0].timeToLiveMinutes = 20
    $0.tables[0].maximumRows = 24
    $0.tables[0].admission = .minimumCount(2, sketchBytes: 1024)
    $0.slots[2].overrides = SlotOverrides(admission: .probability(0.5), timeToLiveMinutes: 10)
  }

  @Test func rowsThatExpireOrGiveWayDisappearFromReplicasToo() {
    var sum = TableStatistics()
    for seed in UInt64(0)..<40 {
      var options = SyncHarness.Options()
      options.model = Self.model
      options.minutesPerOffset = 1
      if seed % 2 == 1 {
        options.drops = 15
        options.repeats = 10
        options.restarts = 5
        options.chunkBytes = 64
      }
      let harness = SyncHarness(options, seed: seed)
      harness.run(rounds: 25)
      #expect(harness.problems.isEmpty, "seed \(seed): \(harness.problems.prefix(3))")
      #expect(harness.differences.isEmpty, "seed \(seed): \(harness.differences.prefix(3))")
      let totals = harness.servers.map { $0.tableTotals() }
      for (number, copy) in harness.replica.rowCounts().enumerated() {
        #expect(copy.rows == totals.reduce(0) { $0 + $1[number].rows }, "seed \(seed): \(copy.name)")
      }
      for table in harness.servers.flatMap(\.hostedShards).flatMap(\.tables) {
        _ = table.scan(from: 0, limit: .max) { fid, _ in #expect(table.contains(fid), "seed \(seed): not swept") }
      }
      for statistics in totals.flatMap({ $0 }).map(\.statistics) { sum += statistics }
    }
    #expect(sum.expired > 1000 && sum.evicted > 200 && sum.rejected > 1000, "\(sum)")
  }

  /// Invariant I2 where rows come and go: a gradient is applied or refused by admission, once.
  @Test func everyGradientIsAppliedOrRejectedExactlyOnceUnderFaults() {
    var sum = TableStatistics()
    for seed in UInt64(0)..<40 {
      var options = ExactlyOnceTests.options(seed)
      options.model = Self.model
      options.examples = 40
      let harness = ClusterHarness(options, seed: seed)
      #expect(harness.run(limit: ExactlyOnceTests.stepLimit) && harness.failures.isEmpty, "seed \(seed)")
      ExactlyOnceTests.expectAllTrained(harness, "seed \(seed)")
      let expected = ExactlyOnceTests.expectedUpdates(harness)
      for shard in harness.servers.flatMap(\.hostedShards) {
        for (number, table) in shard.tables.enumerated() {
          table.checkInvariants()
          sum += table.statistics
          #expect(
            table.statistics.updates + table.statistics.rejected == expected[Int(shard.id.value)][number],
            "seed \(seed): shard \(shard.id) table \(number)")
        }
      }
    }
    #expect(sum.expired > 20 && sum.rejected > 100, "\(sum)")
  }

  // MARK: - Replays

  struct Push {
    var partition: PartitionID
    var from: Int64
    var to: Int64
    var body: [UInt8]
  }

  static let map = ShardMap(shardCount: 2, serverCount: 1)

  /// Batches of two partitions, whose event times are some minutes apart, for the tables that forget.
  static func pushes(_ model: TestModel, seed: UInt64) -> [Push] {
    var random = SeededGenerator(seed: seed)
    var ends: [Int64] = [-1, -1]
    return (0..<300).map { _ in
      let number = Int.random(in: 0..<2, using: &random)
      let from = ends[number]
      ends[number] += Int64.random(in: 1...3, using: &random)
      var sections: [TestSection] = []
      for shard in map.shards(of: ServerID(0)) {
        for table in [0, 2] {
          let fids = Set((0..<6).map { _ in Fid.random(in: 0..<80, using: &random) })
            .filter { map.shard(of: $0) == shard }.sorted()
          let gradients = (0..<fids.count * 2).map { _ in Float.random(in: -1...1, using: &random) }
          sections.append(TestSection(shard: shard, table: table, fids: fids, gradients: gradients))
        }
      }
      let body = TestSection.push(sections, minutes: UInt32(ends[number] + Int64(5 * number) + 1))
      return Push(partition: PartitionID(Int32(number)), from: from, to: ends[number], body: body)
    }
  }

  /// A server that starts from empty and takes everything in order, sweeping in between as a seed says.
  static func play(_ pushes: [Push], _ model: TestModel, sweepSeed: UInt64) throws -> ShardServer {
    var random = SeededGenerator(seed: sweepSeed)
    let server = model.server(of: map)
    let epochs = (0..<2).map { server.claim(PartitionID($0)).epoch }
    for push in pushes {
      _ = try server.push(push.body, push.partition, epochs[Int(push.partition.value)], push.from, push.to)
      for _ in 0..<Int.random(in: 0...4, using: &random) { _ = server.sweepExpired() }
    }
    while server.sweepExpired() {}
    return server
  }

  static func rows(_ server: ShardServer) -> [[Fid: [Float]]] {
    server.hostedShards.flatMap(\.tables).map { table in
      table.checkInvariants()
      var rows: [Fid: [Float]] = [:]
      _ = table.scan(from: 0, limit: .max) { fid, _ in rows[fid] = table.row(fid) }
      return rows
    }
  }

  static let rules: [(String, @Sendable (inout ModelSpec) -> Void)] = [
    ("time to live", { $0.tables[0].timeToLiveMinutes = 20 }),
    (
      "limit and minimum count",
      {
        $0.tables[0].maximumRows = 30
        $0.tables[0].admission = .minimumCount(3, sketchBytes: 1024)
      }
    ),
    (
      "time to live and minimum count",
      {
        $0.tables[0].timeToLiveMinutes = 10
        $0.tables[0].admission = .minimumCount(3, sketchBytes: 1024)
      }
    ),
    (
      "time to live and probability",
      {
        $0.tables[0].timeToLiveMinutes = 10
        $0.tables[0].admission = .probability(0.3)
      }
    ),
  ]

  @Test(arguments: rules)
  func aReplayInTheSameOrderForgetsTheSame(name: String, change: @Sendable (inout ModelSpec) -> Void) throws {
    let model = TestModel.tiny.changed {
      change(&$0)
      $0.slots[2].overrides.learningRate = 0.5
    }
    for seed in UInt64(0)..<10 {
      let pushes = Self.pushes(model, seed: seed)
      let first = try Self.play(pushes, model, sweepSeed: seed)
      let again = try Self.play(pushes, model, sweepSeed: seed + 1000)
      #expect(Self.rows(first) == Self.rows(again), "seed \(seed)")
      #expect(first.watermarks.map(\.offset) == again.watermarks.map(\.offset))
      let statistics = first.tableTotals()[0].statistics
      #expect(statistics.expired + statistics.evicted > 20 && first.tableTotals()[2].rows > 0)
    }
  }

  // MARK: - Reading

  @Test func aRowThatHasExpiredIsPulledAsItsInitialValue() throws {
    let model = TestModel.deep.changed { $0.tables[0].timeToLiveMinutes = 10 }
    let server = model.server(of: Self.map)
    let epoch = server.claim(PartitionID(0)).epoch
    let fids = (0..<2).map { TestModel.fid(of: ShardID(0), map: Self.map, number: $0) }
    let pull = TestSection.pull([TestSection(shard: ShardID(0), table: 0, fids: fids)])
    let initial = try server.pull(pull)
    func push(_ fids: [Fid], from: Int64, minutes: UInt32) throws {
      let gradients = [Float](repeating: 1, count: fids.count * 4)
      let section = TestSection(shard: ShardID(0), table: 0, fids: fids, gradients: gradients)
      _ = try server.push(TestSection.push([section], minutes: minutes), PartitionID(0), epoch, from, from + 1)
    }
    try push(fids, from: -1, minutes: 100)
    let trained = try server.pull(pull)
    try push([fids[1]], from: 0, minutes: 110)
    #expect(try server.pull(pull).prefix(4) == trained.prefix(4), "not before its time")
    try push([fids[1]], from: 1, minutes: 111)
    let pulled = try server.pull(pull)
    #expect(pulled.prefix(4) == initial.prefix(4) && trained.prefix(4) != initial.prefix(4))
    #expect(pulled.suffix(4) != initial.suffix(4))
    #expect(server.tableTotals()[0].rows == 2, "still in memory")
    while server.sweepExpired() {}
    #expect(server.tableTotals()[0].rows == 1)
    #expect(try server.pull(pull) == pulled)
  }
}

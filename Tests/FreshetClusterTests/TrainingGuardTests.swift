import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

@Suite struct TrainingGuardTests {
  func report(_ tasks: [(count: Int, positives: Int, loss: Double)]) -> BatchReport {
    BatchReport(
      tasks: tasks.map { task in
        BatchReport.Task(
          loss: task.loss, predicted: 0,
          predictions: (0..<task.count).map { Prediction(logit: 0, isPositive: $0 < task.positives) })
      }, exampleCount: tasks[0].count, oldestIngest: UnixTime(milliseconds: 0), newestIngest: UnixTime(milliseconds: 0))
  }

  func guardian(
    window: Int, logloss: Double? = nil, entropy: Double? = nil, tasks: Int = 1
  ) -> TrainingGuard {
    TrainingGuard(
      TrainingGuard.Bounds(window: window, maximumLogloss: logloss, maximumNormalizedEntropy: entropy),
      taskCount: tasks)
  }

  /// Against a list of all batches: judged is what the newest of them sum up to, from `window` examples on.
  @Test func theNewestExamplesAreJudgedTogetherAndNothingBeforeThereAreEnough() {
    for seed in UInt64(0)..<20 {
      var random = SeededGenerator(seed: seed)
      let window = Int.random(in: 1...2_000, using: &random)
      var guardian = guardian(window: window, logloss: 0.5)
      var batches: [(count: Int, loss: Double)] = []
      for _ in 0..<400 {
        let count = Int.random(in: 0...40, using: &random)
        let loss = Double(count) * Double.random(in: 0.2...0.7, using: &random)
        batches.append((count, loss))
        let breach = guardian.judge(report([(count, 0, loss)]))
        // Between the smallest and the largest stretch that the promise allows.
        var (examples, sum, means) = (0, 0.0, [Double]())
        for batch in batches.reversed() where examples <= window + window / 256 + 80 {
          examples += batch.count
          sum += batch.loss
          if examples >= window { means.append(sum / Double(examples)) }
        }
        if means.isEmpty {
          #expect(breach == nil)
        } else if let breach {
          #expect(means.contains { abs($0 - breach.value) < 1e-9 } && breach.value > 0.5, "seed \(seed)")
        } else {
          #expect(means.contains { $0 <= 0.5 }, "seed \(seed)")
        }
      }
    }
  }

  @Test func aFigureThatIsNoNumberIsWorseThanAnyBound() {
    for loss in [Double.nan, .infinity] {
      var guardian = guardian(window: 10, logloss: 1e6)
      #expect(guardian.judge(report([(5, 0, loss)])) == nil)
      let breach = guardian.judge(report([(5, 0, 1)]))
      #expect(breach?.measure == .logloss && breach?.bound == 1e6 && breach?.examples == 10)
      guardian.reset()
      #expect(guardian.judge(report([(5, 0, 1)])) == nil && guardian.judge(report([(5, 0, 1)])) == nil)
    }
  }

  @Test func normalizedEntropyIsJudgedByTheWindowsOwnBaseRate() {
    // A tenth is positive: the labels' entropy is 0.325 nats.
    var good = guardian(window: 100, entropy: 1)
    #expect(good.judge(report([(100, 10, 30)])) == nil)
    var bad = guardian(window: 100, entropy: 1)
    let breach = bad.judge(report([(100, 10, 35)]))
    #expect(breach?.measure == .normalizedEntropy)
    #expect(abs((breach?.value ?? 0) - 0.35 / 0.32508297339144845) < 1e-9)
    var alike = guardian(window: 100, entropy: 1)
    #expect(alike.judge(report([(100, 0, 500)])) == nil)
  }

  @Test func eachTaskIsJudgedByItsOwnLabels() {
    var guardian = guardian(window: 10, logloss: 0.5, tasks: 2)
    #expect(guardian.judge(report([(10, 0, 1), (2, 0, 20)])) == nil)
    #expect(guardian.judge(report([(10, 0, 1), (8, 0, 0)]))?.task == 1)
    guardian.reset()
    #expect(guardian.logloss(task: 1) == nil)
  }

  // MARK: - Holds

  /// Labels are random, so the bound is passed again and again: trainers hold, and go on when they are told to, between all other
  /// faults. Everything is learned exactly once, and what trainers count is what they have pushed.
  @Test(arguments: [0, 2]) func holdsLoseAndRepeatNothingUnderFaults(passes: Int) {
    var holds: UInt64 = 0
    for seed in UInt64(0)..<60 {
      var options = ExactlyOnceTests.options(seed)
      options.batchSize = 1...4
      options.examples = 30
      options.passes = passes
      options.validation = PartitionValidation.Settings(window: 7, slots: [0, 2], valuesPerSlot: 2)
      options.guardBounds = TrainingGuard.Bounds(window: 9, maximumLogloss: 0.8, maximumNormalizedEntropy: nil)
      let harness = ClusterHarness(options, seed: seed)
      let drained = harness.run(limit: 12_000)
      #expect(harness.failures.isEmpty, "seed \(seed)")
      #expect(drained, "seed \(seed): not drained after \(harness.steps) steps")
      ExactlyOnceTests.expectAllTrained(harness, "seed \(seed)")
      if passes == 0 { ExactlyOnceTests.expectExactCounts(harness, "seed \(seed)") }
      for node in harness.nodes { holds += node.machine.statistics.holds }
      Self.expectOwnCounts(harness, "seed \(seed)")
    }
    #expect(holds > 50, "\(holds)")
  }

  /// What a trainer counts of a partition is every example in the offsets that it names, once.
  static func expectOwnCounts(_ harness: ClusterHarness, _ label: String) {
    for node in harness.nodes where node.isUp {
      for (partition, counted) in node.machine.validation where counted.examples > 0 {
        let log = harness.logs[Int(partition.value)].examples
        let named = log.filter { $0.offset >= counted.from.value && $0.offset < counted.to.value }
        #expect(counted.examples == UInt64(named.count), "\(label): \(partition)")
        #expect(counted.tasks[0].total.count == UInt64(named.count), "\(label): \(partition)")
        for (slot, slices) in zip([0, 2], counted.slices) {
          let missing = slices.slices(task: 0).first { $0.value == .missing }?.validation.total.count ?? 0
          #expect(missing == UInt64(named.count { $0.slots[slot].isEmpty }), "\(label): \(partition)")
        }
      }
    }
  }

  /// The batch that is too bad is not pushed, nor is anything after it; no claim is made until somebody resumes.
  @Test func aHeldTrainerPushesNothingAndClaimsAgainWhenItIsResumed() throws {
    let model = TestModel.tiny
    let map = ShardMap(shardCount: 2, serverCount: 1)
    let (partition, id, now) = (PartitionID(0), ServerID(0), Instant(nanoseconds: 1))
    let server = model.server(of: map)
    var configuration = Trainer.Configuration(
      tables: model.tables, map: map, batchSize: 4, microBatchSize: .max, pipelineDepth: 2, maximumUnacknowledged: 8,
      allowsGap: false, seed: 1)
    configuration.validation = PartitionValidation.Settings(window: 100, slots: [], valuesPerSlot: 1)
    // Weights begin at 0: every prediction is one half until something is learned.
    configuration.guardBounds = TrainingGuard.Bounds(
      window: 8, maximumLogloss: 0.7, maximumNormalizedEntropy: nil)
    let trainer = Trainer(configuration: configuration)
    var random = SeededGenerator(seed: 2)
    // One user and one item: after two batches of ones, a zero is a surprise.
    let examples = (0..<40).map { offset -> TestExample in
      var example = model.example(offset: Int64(offset), fids: 1, random: &random)
      example.labels = [offset < 16 ? 1 : 0]
      return example
    }
    var queue = trainer.handle(.assigned(partition), now: now) + trainer.handle(.connected(id), now: now)
    var (pushes, claims, held, fetches, isHeld) = ([Int64](), 0, 0, [Int64](), false)
    func run() throws {
      while !queue.isEmpty {
        switch queue.removeFirst() {
        case .claim(_, _, let attempt):
          claims += 1
          queue += trainer.handle(
            .claimed(id, partition, attempt: attempt, .success(server.claim(partition))), now: now)
        case .locate(_, let attempt):
          queue += trainer.handle(.located(partition, attempt: attempt, start: Offset(0), end: Offset(40)), now: now)
        case .fetch(_, let attempt, let from):
          fetches.append(from.value)
          let rest = examples.filter { $0.offset >= from.value }
          queue += trainer.handle(.examples(partition, attempt: attempt, model.batch(rest)), now: now)
        case .pull(_, _, let attempt, let number, let body):
          try server.pull(body).withUnsafeBytes {
            queue += trainer.handle(.pulled(id, partition, attempt: attempt, batch: number, .success($0)), now: now)
          }
        case .push(_, _, let attempt, let number, let epoch, let from, let to, let body):
          #expect(!isHeld)
          pushes.append(to.value)
          _ = try server.push(body, partition, epoch, from.value, to.value)
          queue += trainer.handle(.pushed(id, partition, attempt: attempt, batch: number, .success(())), now: now)
        case .held:
          held += 1
          isHeld = true
        case .fail(let error): throw error
        default: break
        }
      }
    }
    try run()
    #expect(held == 1 && claims == 1 && trainer.statistics.holds == 1)
    #expect(trainer.holdReason?.measure == .logloss && trainer.progress.map(\.phase) == ["held"] && trainer.isIdle)
    let stood = try #require(pushes.last)
    // Judged were the batches before the zeros, at least one with zeros, and none of the latter was pushed too many.
    #expect((16...20).contains(stood))
    #expect(server.watermarks.allSatisfy { $0.offset == Offset(stood) })
    #expect(server.validation(taskCount: 1).tasks[0].total.count == UInt64(stood))
    #expect(trainer.validation[0].validation.examples == UInt64(stood))
    // Neither time, nor a lost connection, nor a rebalance ends a hold.
    queue += trainer.handle(.tick, now: now.advanced(byMs: 60_000))
    queue += trainer.handle(.disconnected(id, reason: "gone"), now: now) + trainer.handle(.connected(id), now: now)
    queue += trainer.handle(.assigned(PartitionID(1)), now: now)
    queue += trainer.handle(.revoked(PartitionID(1)), now: now)
    try run()
    #expect(claims == 1 && pushes.last == stood)
    var resumptions = 0
    while trainer.holdReason != nil {
      resumptions += 1
      isHeld = false
      queue += trainer.handle(.resume, now: now)
      try run()
      try #require(resumptions < 10)
    }
    #expect(fetches[0...1] == [0, stood] && claims == 1 + resumptions)
    #expect(server.watermarks.allSatisfy { $0.offset == Offset(40) })
    #expect(server.statistics.duplicates == 0 && server.statistics.watermarkRefusals == 0)
    #expect(server.validation(taskCount: 1).tasks[0].total.count == 40)
    #expect(trainer.validation[0].validation.examples == 40)
    #expect(trainer.handle(.resume, now: now).isEmpty)
  }
}

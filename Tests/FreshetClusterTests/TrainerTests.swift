import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

@Suite struct TrainerTests {
  let model = TestModel.tiny
  let partition = PartitionID(0)
  let server = ServerID(0)
  let map = ShardMap(shardCount: 2, serverCount: 1)
  let now = Instant(nanoseconds: 1)

  func trainer(
    allowsGap: Bool = false, depth: Int = 1, batchSize: Int = 4, maximumOccurrences: Int = .max
  ) -> Trainer {
    var configuration = Trainer.Configuration(
      tables: model.tables, map: map, batchSize: batchSize, microBatchSize: .max, pipelineDepth: depth,
      maximumUnacknowledged: 4, allowsGap: allowsGap, seed: 1)
    #expect(configuration.maximumOccurrences == 100_000)
    configuration.maximumOccurrences = min(maximumOccurrences, configuration.maximumOccurrences)
    return Trainer(configuration: configuration)
  }

  /// - Parameter origin: Of the shards that have anything.
  func claimReply(_ watermarks: [Int64], origin: Int64) -> ClaimReply {
    ClaimReply(
      epoch: Epoch(1),
      watermarks: watermarks.enumerated().map {
        ClaimReply.ShardWatermark(
          shard: ShardID($0), watermark: Offset($1), origin: $1 < 0 ? .none : Offset(origin))
      })
  }

  /// Brings a trainer to where the servers' watermarks and the log's bounds are known.
  func locate(
    _ trainer: Trainer, _ watermarks: [Int64], origin: Int64 = 0, start: Int64, end: Int64
  ) -> [TrainerAction] {
    var actions = trainer.handle(.assigned(partition), now: now)
    actions += trainer.handle(.connected(server), now: now)
    guard case .claim(_, _, let attempt)? = actions.first else {
      Issue.record("no claim in \(actions)")
      return []
    }
    _ = trainer.handle(
      .claimed(server, partition, attempt: attempt, .success(claimReply(watermarks, origin: origin))), now: now)
    return trainer.handle(
      .located(partition, attempt: attempt, start: Offset(start), end: Offset(end)), now: now)
  }

  func failure(_ actions: [TrainerAction]) -> ClusterError? {
    actions.lazy.compactMap { if case .fail(let error) = $0 { error } else { nil } }.first
  }

  func fetch(_ actions: [TrainerAction]) -> Int64? {
    actions.lazy.compactMap { if case .fetch(_, _, let from) = $0 { from.value } else { nil } }.first
  }

  func claims(_ actions: [TrainerAction], after attempt: UInt64) -> Bool {
    actions.contains { if case .claim(_, _, let next) = $0 { next > attempt } else { false } }
  }

  func batch(_ offsets: some Sequence<Int64>) -> ExampleBatch {
    var random = SeededGenerator(seed: 5)
    return model.batch(offsets.map { model.example(offset: $0, fids: 9, random: &random) })
  }

  // MARK: - Where training begins

  @Test func trainingBeginsAtTheSmallestWatermarkAndOnAnEmptyServerAtTheLogsStart() {
    #expect(fetch(locate(trainer(), [30, 20], start: 5, end: 50)) == 20)
    #expect(fetch(locate(trainer(), [20, 20], start: 20, end: 20)) == 20)
    #expect(fetch(locate(trainer(), [-1, -1], start: 5, end: 50)) == 5)
    #expect(fetch(locate(trainer(), [-1, 30], start: 0, end: 50)) == 0)
  }

  @Test func examplesThatKafkaDeletedStopTrainingWithAnErrorThatNamesThem() throws {
    let actions = locate(trainer(), [30, 20], start: 25, end: 50)
    let error = try #require(failure(actions))
    #expect(error.kind == .gap)
    for part in ["partition 0", "starts at 25", "shard 1", "below 20", "5 offsets, 20 ..< 25", "--allow-gap"] {
      #expect(error.message.contains(part), "\(part)")
    }
    #expect(fetch(actions) == nil)
  }

  /// Nobody can tell by its watermark what an empty shard has missed; the others know where training began.
  @Test func aServerThatComesBackEmptyOnAShortenedLogStopsTraining() throws {
    let error = try #require(failure(locate(trainer(), [30, -1], origin: 5, start: 25, end: 50)))
    #expect(error.kind == .gap)
    for part in ["partition 0", "starts at 25", "shard 1", "lost its state", "20 offsets, 5 ..< 25"] {
      #expect(error.message.contains(part), "\(part)")
    }
    #expect(fetch(locate(trainer(), [30, -1], origin: 5, start: 5, end: 50)) == 5)
    let allowing = trainer(allowsGap: true)
    #expect(fetch(locate(allowing, [30, -1], origin: 5, start: 25, end: 50)) == 25)
    #expect(allowing.statistics.lostOffsets == 20)
  }

  @Test func theLargestGapOfAllShardsIsTold() {
    func gap(_ shards: [(watermark: Int64, origin: Int64)], start: Int64) -> LogGap? {
      LogGap(
        shards.enumerated().map {
          ClaimReply.ShardWatermark(shard: ShardID($0), watermark: Offset($1.watermark), origin: Offset($1.origin))
        }, start: Offset(start))
    }
    #expect(gap([(-1, -1), (-1, -1)], start: 9) == nil)
    #expect(gap([(9, 3), (12, 3)], start: 9) == nil)
    #expect(gap([(9, 3), (-1, -1)], start: 3) == nil)
    let lost = gap([(9, 4), (-1, -1), (7, 3)], start: 8)
    #expect(lost?.begin == Offset(3) && lost?.end == Offset(8) && lost?.shard == ShardID(1))
    #expect(lost?.watermark == Offset.none)
    let old = gap([(9, 3), (5, 3), (6, 3)], start: 8)
    #expect(old?.begin == Offset(5) && old?.shard == ShardID(1) && old?.watermark == Offset(5))
  }

  /// The first push of all tells every shard where its log began, and carries nothing.
  @Test func everyShardRemembersWhereItsLogBegan() {
    for seed in UInt64(0)..<10 {
      var options = ExactlyOnceTests.options(seed)
      options.faults = [.disconnect, .crashTrainer, .secondOwner, .restartServer]
      options.batchSize = 1...4
      let harness = ClusterHarness(options, seed: seed)
      #expect(harness.run(limit: ExactlyOnceTests.stepLimit), "seed \(seed)")
      for shard in harness.servers.flatMap(\.hostedShards) {
        for (number, log) in harness.logs.enumerated() {
          #expect(shard.origin(of: PartitionID(Int32(number))).value == log.start, "seed \(seed)")
        }
      }
    }
  }

  /// Retention takes what a trainer was to read next: it must not go on with what comes after.
  @Test func aLogThatNoLongerHoldsWhatIsNextIsComparedWithTheWatermarksAgain() throws {
    let trainer = trainer()
    let actions = locate(trainer, [20, 20], start: 20, end: 50)
    guard case .fetch(_, let attempt, from: Offset(20))? = actions.last else {
      Issue.record("no fetch in \(actions)")
      return
    }
    #expect(trainer.handle(.unreadable(partition, attempt: attempt + 1, reason: "old"), now: now).isEmpty)
    let stopped = trainer.handle(.unreadable(partition, attempt: attempt, reason: "gone"), now: now)
    #expect(stopped.contains { if case .stopFetching = $0 { true } else { false } })
    let later = now.advanced(byMs: 10_000)
    guard case .claim(_, _, let next)? = trainer.handle(.tick, now: later).first else {
      Issue.record("no claim")
      return
    }
    _ = trainer.handle(
      .claimed(server, partition, attempt: next, .success(claimReply([20, 20], origin: 0))), now: later)
    let located = trainer.handle(.located(partition, attempt: next, start: Offset(30), end: Offset(50)), now: later)
    #expect(try #require(failure(located)).kind == .gap)
  }

  @Test func withAllowGapTrainingGoesOnAndCountsWhatIsLost() {
    let trainer = trainer(allowsGap: true)
    let actions = locate(trainer, [30, 20], start: 25, end: 50)
    #expect(failure(actions) == nil)
    #expect(fetch(actions) == 25)
    #expect(trainer.statistics.lostOffsets == 5)
    #expect(actions.contains { if case .notice(let text) = $0 { text.contains("20 ..< 25") } else { false } })
  }

  @Test(arguments: [false, true])
  func aTopicThatEndsBeforeTheWatermarkStopsTraining(allowsGap: Bool) throws {
    let error = try #require(failure(locate(trainer(allowsGap: allowsGap), [30, 20], start: 0, end: 29)))
    #expect(error.kind == .gap)
    for part in ["partition 0", "ends at 29", "up to 30"] { #expect(error.message.contains(part), "\(part)") }
  }

  @Test func aClusterThatLostExamplesTrainsAllThatAreLeft() {
    for seed in UInt64(0)..<10 {
      var options = ExactlyOnceTests.options(seed)
      options.faults = [.disconnect, .crashTrainer, .secondOwner]
      options.batchSize = 1...4
      options.allowsGap = true
      let harness = ClusterHarness(options, seed: seed)
      for _ in 0..<150 { harness.step() }
      for (partition, log) in harness.logs.enumerated() {
        harness.loseExamples(of: partition, below: log.examples[12].offset)
      }
      #expect(harness.run(limit: ExactlyOnceTests.stepLimit), "seed \(seed)")
      #expect(harness.failures.isEmpty, "seed \(seed)")
    }
  }

  // MARK: - Cuts

  /// Shards at different watermarks and no example at some of them: every push begins where the one before ended, and none
  /// spans a watermark.
  @Test(arguments: [1, 2, 3, 4], [1, 3, 100])
  func noBatchSpansAWatermarkAndPushesFollowEachOther(depth: Int, batchSize: Int) throws {
    let machine = model.server(of: map)
    machine.shards[0]!.advance(partition, to: Offset(10), minutes: 0)
    machine.shards[1]!.advance(partition, to: Offset(20), minutes: 0)
    let trainer = trainer(depth: depth, batchSize: batchSize)
    var queue: [TrainerAction] = []
    var pushes: [(from: Int64, to: Int64)] = []
    queue += trainer.handle(.assigned(partition), now: now)
    queue += trainer.handle(.connected(server), now: now)
    // Requests and replies in order, as on one connection.
    while !queue.isEmpty {
      switch queue.removeFirst() {
      case .claim(_, _, let attempt):
        queue += trainer.handle(
          .claimed(server, partition, attempt: attempt, .success(machine.claim(partition))), now: now)
      case .locate(_, let attempt):
        queue += trainer.handle(.located(partition, attempt: attempt, start: Offset(0), end: Offset(40)), now: now)
      case .fetch(_, let attempt, let from):
        #expect(from.value == 10)
        for offsets in [[10, 11, 12], [13, 25], [26, 27, 28, 29]] as [[Int64]] {
          queue += trainer.handle(.examples(partition, attempt: attempt, batch(offsets)), now: now)
        }
      case .pull(_, _, let attempt, let number, let body):
        try machine.pull(body).withUnsafeBytes {
          queue += trainer.handle(.pulled(server, partition, attempt: attempt, batch: number, .success($0)), now: now)
        }
      case .push(_, _, let attempt, let number, let epoch, let from, let to, let body):
        pushes.append((from.value, to.value))
        _ = try machine.push(body, partition, epoch, from.value, to.value)
        queue += trainer.handle(.pushed(server, partition, attempt: attempt, batch: number, .success(())), now: now)
      case .fail(let error): throw error
      default: break
      }
    }
    #expect(pushes.first?.from == 10)
    #expect(pushes.last?.to == 30)
    for (one, next) in zip(pushes, pushes.dropFirst()) { #expect(one.to == next.from) }
    #expect(pushes.allSatisfy { $0.to <= 20 || $0.from >= 20 })
    #expect(machine.watermarks.allSatisfy { $0.offset == Offset(30) })
    #expect(machine.statistics.watermarkRefusals == 0)
    #expect(trainer.statistics.restarts == 0)
    #expect(machine.validation(taskCount: 1).tasks[0].total.count == 9)
  }

  /// A batch is no larger than what servers take, and at least one example.
  @Test(arguments: [1, 6, 40])
  func aBatchIsCutWhereItHasTooManyOccurrences(maximumOccurrences: Int) throws {
    let trainer = trainer(batchSize: 64, maximumOccurrences: maximumOccurrences)
    let examples = batch(0..<40)
    let actions = locate(trainer, [0, 0], start: 0, end: 40)
    guard case .fetch(_, let attempt, _)? = actions.last else { throw ClusterError(.refused, "no fetch") }
    let machine = model.server(of: map)
    var counts: [Int] = []
    var queue = trainer.handle(.examples(partition, attempt: attempt, examples), now: now)
    while !queue.isEmpty {
      switch queue.removeFirst() {
      case .consumed(_, _, let count): counts.append(count)
      case .pull(_, _, let attempt, let number, let body):
        try machine.pull(body).withUnsafeBytes {
          queue += trainer.handle(.pulled(server, partition, attempt: attempt, batch: number, .success($0)), now: now)
        }
      case .push(_, _, let attempt, let number, _, _, _, _):
        queue += trainer.handle(.pushed(server, partition, attempt: attempt, batch: number, .success(())), now: now)
      case .fail(let error): throw error
      default: break
      }
    }
    #expect(counts.reduce(0, +) == 40)
    var first = 0
    for count in counts {
      let occurrences = examples.fidRange(examples: first..<first + count).count
      #expect(count == 1 || occurrences <= maximumOccurrences)
      first += count
    }
    #expect(maximumOccurrences > 1 ? counts.count < 40 : counts.allSatisfy { $0 == 1 })
  }

  // MARK: - The end

  @Test func aTrainerThatIsToEndFinishesWhatIsInFlightCommitsAndBeginsNothing() throws {
    let machine = model.server(of: map)
    let trainer = trainer(depth: 2)
    machine.shards[0]!.advance(partition, to: Offset(0), minutes: 0)
    machine.shards[1]!.advance(partition, to: Offset(0), minutes: 0)
    var queue = trainer.handle(.assigned(partition), now: now) + trainer.handle(.connected(server), now: now)
    var pushes: [(from: Int64, to: Int64)] = []
    var commits: [Int64] = []
    #expect(trainer.isIdle)
    while !queue.isEmpty {
      switch queue.removeFirst() {
      case .claim(_, _, let attempt):
        queue += trainer.handle(
          .claimed(server, partition, attempt: attempt, .success(machine.claim(partition))), now: now)
      case .locate(_, let attempt):
        queue += trainer.handle(.located(partition, attempt: attempt, start: Offset(0), end: Offset(40)), now: now)
      case .fetch(_, let attempt, _):
        queue += trainer.handle(.examples(partition, attempt: attempt, batch(0..<40)), now: now)
        #expect(!trainer.isIdle)
        queue += trainer.handle(.stopping, now: now)
        queue += trainer.handle(.examples(partition, attempt: attempt, batch(40..<50)), now: now)
      case .pull(_, _, let attempt, let number, let body):
        try machine.pull(body).withUnsafeBytes {
          queue += trainer.handle(.pulled(server, partition, attempt: attempt, batch: number, .success($0)), now: now)
        }
      case .push(_, _, let attempt, let number, let epoch, let from, let to, let body):
        pushes.append((from.value, to.value))
        _ = try machine.push(body, partition, epoch, from.value, to.value)
        queue += trainer.handle(.pushed(server, partition, attempt: attempt, batch: number, .success(())), now: now)
      case .commit(_, let offset): commits.append(offset.value)
      case .fail(let error): throw error
      default: break
      }
    }
    // Two batches of four were in flight.
    #expect(pushes.map(\.to) == [4, 8] && commits == [8] && trainer.isIdle)
    #expect(
      trainer.handle(.disconnected(server, reason: "gone"), now: now).allSatisfy { action in
        if case .claim = action { false } else { true }
      })
    #expect(trainer.handle(.tick, now: now.advanced(byMs: 60_000)).isEmpty)
  }

  // MARK: - Refusals

  /// A trainer with one batch in flight.
  func inFlight(_ trainer: Trainer) -> (attempt: UInt64, batches: [UInt64]) {
    let actions = locate(trainer, [0, 0], start: 0, end: 50)
    guard case .fetch(_, let attempt, _)? = actions.last else { return (0, []) }
    let pulls = trainer.handle(.examples(partition, attempt: attempt, batch(0..<40)), now: now)
    return (
      attempt, pulls.compactMap { if case .pull(_, _, _, let batch, _) = $0 { batch } else { nil } }
    )
  }

  @Test func aBatchIsLearnedWhenItIsAcknowledgedAndIsAsOldAsItsOldestExample() throws {
    let trainer = trainer(batchSize: 4)
    var learned: [[Int64]] = []
    trainer.learnedObserver = { learned.append([Int64($0), $1.milliseconds]) }
    let actions = locate(trainer, [0, 0], start: 0, end: 40)
    guard case .fetch(_, let attempt, _)? = actions.last else { throw ClusterError(.refused, "no fetch") }
    let machine = model.server(of: map)
    var acknowledgements: [TrainerEvent] = []
    var queue = trainer.handle(.examples(partition, attempt: attempt, batch(3..<9)), now: now)
    while !queue.isEmpty {
      switch queue.removeFirst() {
      case .pull(_, _, let attempt, let number, let body):
        try machine.pull(body).withUnsafeBytes {
          queue += trainer.handle(.pulled(server, partition, attempt: attempt, batch: number, .success($0)), now: now)
        }
      case .push(_, _, let attempt, let number, _, _, _, _):
        acknowledgements.append(.pushed(server, partition, attempt: attempt, batch: number, .success(())))
      case .fail(let error): throw error
      default: break
      }
    }
    #expect(learned.isEmpty && acknowledgements.count == 2)
    for event in acknowledgements { _ = trainer.handle(event, now: now) }
    // An example's action is at 1,000 ms and its offset.
    #expect(learned == [[4, 1_003], [2, 1_007]])
  }

  @Test(arguments: [ClusterError.Code.fenced, .watermark, .moved, .refused])
  func aRefusalThatAnotherClaimCanMendClaimsAgainAfterAPause(kind: ClusterError.Code) {
    let trainer = trainer()
    let (attempt, batches) = inFlight(trainer)
    let error = ClusterError(kind, "no")
    let actions = trainer.handle(
      .pushed(server, partition, attempt: attempt, batch: batches[0], .failure(error)), now: now)
    #expect(failure(actions) == nil)
    #expect(actions.contains { if case .stopFetching = $0 { true } else { false } })
    #expect(!claims(trainer.handle(.tick, now: now), after: 0))
    let later = trainer.handle(.tick, now: now.advanced(byMs: 10_000))
    #expect(claims(later, after: attempt))
    // What belonged to the old claim changes nothing.
    #expect(trainer.handle(.examples(partition, attempt: attempt, batch(40..<44)), now: now).isEmpty)
    #expect(
      trainer.handle(.pushed(server, partition, attempt: attempt, batch: batches[0], .failure(error)), now: now).isEmpty
    )
  }

  @Test(arguments: [ClusterError.Code.mismatch, .malformed, .gap])
  func aRefusalThatNoClaimCanMendStopsTraining(kind: ClusterError.Code) {
    let trainer = trainer()
    let (attempt, batches) = inFlight(trainer)
    let actions = trainer.handle(
      .pushed(server, partition, attempt: attempt, batch: batches[0], .failure(ClusterError(kind, "no"))), now: now)
    #expect(failure(actions)?.kind == kind)
    #expect(trainer.handle(.tick, now: now.advanced(byMs: 10_000)).isEmpty)
  }

  @Test func aReplyToAPullThatDoesNotFitStopsTrainingAndLaterRepliesChangeNothing() throws {
    let trainer = trainer(depth: 2)
    let (attempt, batches) = inFlight(trainer)
    #expect(batches.count == 2)
    func pulled(_ batch: UInt64, floats: Int) -> [TrainerAction] {
      [Float](repeating: 0, count: floats).withUnsafeBytes {
        trainer.handle(.pulled(server, partition, attempt: attempt, batch: batch, .success($0)), now: now)
      }
    }
    #expect(failure(pulled(batches[0], floats: 3))?.kind == .mismatch)
    for floats in 200..<400 { #expect(pulled(batches[1], floats: floats).isEmpty) }
  }

  @Test func aServerWithOtherShardsThanConfiguredStopsTraining() {
    let trainer = trainer()
    #expect(failure(locateWith(trainer, shards: [0]))?.kind == .mismatch)
  }

  func locateWith(_ trainer: Trainer, shards: [Int]) -> [TrainerAction] {
    _ = trainer.handle(.assigned(partition), now: now)
    _ = trainer.handle(.connected(server), now: now)
    let reply = ClaimReply(
      epoch: Epoch(1),
      watermarks: shards.map { ClaimReply.ShardWatermark(shard: ShardID($0), watermark: .none, origin: .none) })
    return trainer.handle(.claimed(server, partition, attempt: 1, .success(reply)), now: now)
  }
}

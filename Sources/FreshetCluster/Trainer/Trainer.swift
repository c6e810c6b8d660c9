import FreshetCore
import FreshetModel

/// A trainer without its sockets and its consumer: claims partitions, cuts batches, and moves each through pull, training
/// step and push (docs/exactly-once.md).
///
/// The push of a batch and the pull of the next travel on one connection in this order, so with `pipelineDepth` 1 a batch
/// always sees the gradients of those before it: users act in bursts, and stale rows cost accuracy.
public final class Trainer {
  public struct Configuration: Sendable {
    public let tables: ModelTables
    public let map: ShardMap
    /// Examples in a batch, at most.
    public let batchSize: Int
    /// Examples of a batch that do not see what the others of them taught (`TrainingStep`).
    public let microBatchSize: Int
    /// Batches of a partition that may be between their pull and their push.
    public let pipelineDepth: Int
    /// Batches of a partition that may be pushed and not acknowledged.
    public let maximumUnacknowledged: Int
    /// Whether to go on, and count, when Kafka has deleted examples that were not trained on.
    public let allowsGap: Bool
    public let seed: UInt64
    /// Over each partition's log before its stream is followed, at most `PartitionID.maximumPasses`.
    public let passes: Int
    /// What is counted of the trainer's own predictions; nil: nothing.
    public var validation: PartitionValidation.Settings?
    /// Beyond which training is held; only with `validation`. nil: it never is.
    public var guardBounds: TrainingGuard.Bounds?
    /// Occurrences of fids in a batch, at most, where it has more than one example: pull and push stay well below what servers
    /// take at once (262,144 rows, 32 MiB).
    var maximumOccurrences: Int

    public init(
      tables: ModelTables, map: ShardMap, batchSize: Int, microBatchSize: Int, pipelineDepth: Int,
      maximumUnacknowledged: Int, allowsGap: Bool, seed: UInt64, passes: Int = 0
    ) {
      precondition((0...PartitionID.maximumPasses).contains(passes))
      precondition(batchSize > 0 && microBatchSize > 0 && pipelineDepth > 0 && maximumUnacknowledged > 0)
      self.tables = tables
      self.map = map
      self.batchSize = batchSize
      self.microBatchSize = microBatchSize
      self.pipelineDepth = pipelineDepth
      self.maximumUnacknowledged = maximumUnacknowledged
      self.allowsGap = allowsGap
      self.seed = seed
      self.passes = passes
      let widest = tables.layouts.prefix(tables.slotTableCount).reduce(1) { max($0, $1.width + $1.copiedStateWidth) }
      maximumOccurrences = min(100_000, (16 << 20) / (4 * (widest + 2)))
    }
  }

  public struct Statistics: Sendable, Equatable {
    /// Examples in pushed batches; one that is trained again after a fault counts again here, but not in `METRICS`.
    public var examples: UInt64 = 0
    public var batches: UInt64 = 0
    public var claims: UInt64 = 0
    public var restarts: UInt64 = 0
    /// Offsets that Kafka deleted before they were trained on, under `allowsGap`.
    public var lostOffsets: UInt64 = 0
    /// How often the guard has held training.
    public var holds: UInt64 = 0
  }

  let configuration: Configuration
  private var connected: Set<ServerID> = []
  var partitions: [PartitionID: PartitionTraining] = [:]
  private var freeSteps: [TrainingStep] = []
  var batchNumber: UInt64 = 0
  private var attemptNumber: UInt64 = 0
  var actions: [TrainerAction] = []
  /// After `fail` nothing more is done: batches may be missing.
  private var hasFailed = false
  private var isStopping = false
  public internal(set) var statistics = Statistics()
  /// Of the streams that are assigned.
  var validations: [PartitionID: PartitionValidation] = [:]
  /// nil without bounds.
  public internal(set) var trainingGuard: TrainingGuard?
  /// Why nothing is trained, until `TrainerEvent.resume`; nil if training goes on.
  public internal(set) var holdReason: TrainingGuard.Breach?
  /// Gets the logits of each batch, row-major `examples × tasks`, once they are computed; valid during the call. An example that
  /// is trained again after a fault is predicted again.
  public var predictionObserver: ((PartitionID, UnsafeBufferPointer<Float>) -> Void)?
  /// Gets, when all servers have acknowledged a batch of the stream, its number of examples and when Kafka had the oldest of their
  /// actions.
  public var learnedObserver: ((Int, UnixTime) -> Void)?

  public init(configuration: Configuration) {
    precondition(configuration.guardBounds == nil || configuration.validation != nil)
    self.configuration = configuration
    trainingGuard = configuration.guardBounds.map { TrainingGuard($0, taskCount: configuration.tables.shape.tasks) }
  }

  /// Partition, phase and the offset up to which all servers have acknowledged; for status displays.
  public var progress: [(partition: PartitionID, phase: String, applied: Offset, queued: Int)] {
    partitions.sorted { $0.key < $1.key }.map { partition, state in
      let phase =
        switch state.phase {
        case .waiting: holdReason == nil ? "waiting" : "held"
        case .claiming: "claiming"
        case .locating: "locating"
        case .running: "running"
        }
      if partition.pass > 0 {
        return (partition.stream, "pass-\(partition.pass)-\(phase)", state.applied, state.queuedCount)
      }
      return (partition, phase, state.applied, state.queuedCount)
    }
  }

  /// - Returns: What to do now, in order.
  public func handle(_ event: TrainerEvent, now: Instant) -> [TrainerAction] {
    actions.removeAll(keepingCapacity: true)
    guard !hasFailed else { return [] }
    switch event {
    case .connected(let server):
      connected.insert(server)
      for partition in partitions.keys.sorted() { claimIfPossible(partition, now) }
    case .disconnected(let server, let reason):
      connected.remove(server)
      for partition in partitions.keys.sorted() { restart(partition, "server \(server): \(reason)", now) }
    case .assigned(let partition):
      let first = firstPass(of: partition)
      validations[partition] = configuration.validation.map {
        PartitionValidation($0, taskCount: configuration.tables.shape.tasks)
      }
      partitions[first] = PartitionTraining(now: now, seed: configuration.seed ^ UInt64(partition.value))
      claimIfPossible(first, now)
    case .revoked(let partition):
      for pass in partitions.keys.filter({ $0.stream == partition }) { revoke(pass) }
      validations[partition] = nil
    case .claimed(let server, let partition, let attempt, let result):
      guard isCurrent(partition, attempt) else { break }
      claimed(server, partition, result, now)
      startNextPassIfEnded(partition, now)
    case .located(let partition, let attempt, let start, let end):
      guard isCurrent(partition, attempt) else { break }
      located(partition, start: start, end: end)
    case .examples(let partition, let attempt, let batch):
      guard isCurrent(partition, attempt), !batch.isEmpty else { break }
      partitions[partition]!.queue.append(batch)
      startBatches(partition)
    case .unreadable(let partition, let attempt, let reason):
      guard isCurrent(partition, attempt) else { break }
      // The next claim compares watermarks and log, and tells what is missing.
      restart(partition, reason, now)
    case .passEnded(let partition, let attempt):
      guard isCurrent(partition, attempt) else { break }
      partitions[partition]!.hasAllExamples = true
      endPassIfPossible(partition)
    case .pulled(let server, let partition, let attempt, let batch, let result):
      guard isCurrent(partition, attempt) else { break }
      pulled(server, partition, batch, result, now)
    case .pushed(let server, let partition, let attempt, let batch, let result):
      guard isCurrent(partition, attempt) else { break }
      pushed(server, partition, batch, result, now)
      startNextPassIfEnded(partition, now)
    case .tick:
      for partition in partitions.keys.sorted() {
        claimIfPossible(partition, now)
        commit(partition)
      }
    case .resume:
      resume(now)
    case .stopping:
      isStopping = true
    }
    if isStopping && isIdle {
      for partition in partitions.keys.sorted() { commit(partition) }
    }
    hasFailed = actions.contains { if case .fail = $0 { true } else { false } }
    return actions
  }

  /// Whether no batch is between its pull and its last acknowledgement.
  public var isIdle: Bool { partitions.values.allSatisfy { $0.inFlight.isEmpty && $0.unacknowledged.isEmpty } }

  private func isCurrent(_ partition: PartitionID, _ attempt: UInt64) -> Bool {
    partitions[partition]?.attempt == attempt
  }

  // MARK: - Claims

  func claimIfPossible(_ partition: PartitionID, _ now: Instant) {
    guard !isStopping, holdReason == nil, let state = partitions[partition], case .waiting(let until) = state.phase,
      now >= until, connected.count == configuration.map.serverCount
    else { return }
    attemptNumber += 1
    partitions[partition]!.attempt = attemptNumber
    partitions[partition]!.phase = .claiming
    statistics.claims += 1
    for server in 0..<configuration.map.serverCount {
      actions.append(.claim(ServerID(server), partition, attempt: attemptNumber))
    }
  }

  private func claimed(
    _ server: ServerID, _ partition: PartitionID, _ result: Result<ClaimReply, ClusterError>, _ now: Instant
  ) {
    switch result {
    case .failure(let error): handleRefusal(partition, error, now)
    case .success(let reply):
      let hosted = configuration.map.shards(of: server)
      guard reply.watermarks.map(\.shard).sorted() == hosted else {
        actions.append(
          .fail(
            ClusterError(
              .mismatch,
              "server \(server) hosts other shards than configured: check cluster.shards and cluster.servers there")))
        return
      }
      partitions[partition]!.epochs[server] = reply.epoch
      partitions[partition]!.watermarks += reply.watermarks
      if partitions[partition]!.epochs.count == configuration.map.serverCount {
        if hasEndedEverywhere(partition) { return }
        partitions[partition]!.phase = .locating
        actions.append(.locate(partition, attempt: partitions[partition]!.attempt))
      }
    }
  }

  private func located(_ partition: PartitionID, start: Offset, end: Offset) {
    if partition.pass > 0 { return locatedPass(partition, start: start, end: end) }
    var state = partitions[partition]!
    let distinct = Set(state.watermarks.map(\.watermark)).sorted()
    let smallest = distinct[0]
    guard holdsWhatIsNeeded(partition, start: start, end: end, ahead: distinct[distinct.count - 1]) else { return }
    state.next = smallest
    state.applied = smallest
    // A shard that has nothing yet is taken to the start by a push of its own, which tells it where its log began.
    state.cuts = Set(distinct).union([start, state.validatedBelow, countedBelow(partition)])
      .filter { $0 > smallest }.sorted()
    state.phase = .running
    state.backoff.reset()
    partitions[partition] = state
    let first = max(smallest, start)
    actions.append(.notice("partition \(partition): training from offset \(first)"))
    actions.append(.fetch(partition, attempt: state.attempt, from: first))
  }

  /// Whether the log, or the archive before it, has what the servers lack; says so if not.
  func holdsWhatIsNeeded(_ partition: PartitionID, start: Offset, end: Offset, ahead: Offset) -> Bool {
    if ahead > end {
      actions.append(
        .fail(
          ClusterError(
            .gap,
            "partition \(partition.stream) of the examples ends at \(end), but the servers have applied up to \(ahead): "
              + "was the topic deleted and made anew? Restart the servers without their state, or restore the topic")))
      return false
    }
    if let gap = LogGap(partitions[partition]!.watermarks, start: start) {
      guard configuration.allowsGap else {
        actions.append(.fail(gap.error(partition.stream)))
        return false
      }
      statistics.lostOffsets += UInt64(gap.end.value - gap.begin.value)
      actions.append(.notice("partition \(partition.stream): offsets \(gap.begin) ..< \(gap.end) are lost"))
    }
    return true
  }

  private func restart(_ partition: PartitionID, _ reason: String, _ now: Instant) {
    guard giveUp(partition, until: { now.advanced(byMs: $0.next()) }) else { return }
    statistics.restarts += 1
    actions.append(.notice("partition \(partition.stream) will be claimed again: \(reason)"))
  }

  /// Forgets everything of the current claim; the next one begins with the first pass, since a server may have lost what it had
  /// of earlier ones.
  /// - Parameter until: When that may be.
  /// - Returns: Whether there was a claim.
  @discardableResult
  func giveUp(_ partition: PartitionID, until: (inout Backoff) -> Instant) -> Bool {
    guard var state = partitions.removeValue(forKey: partition) else { return false }
    defer { partitions[firstPass(of: partition.stream)] = state }
    if case .waiting = state.phase { return false }
    recycle(state.inFlight)
    state.abandon(until: until(&state.backoff))
    actions.append(.stopFetching(partition))
    return true
  }

  private func revoke(_ partition: PartitionID) {
    commit(partition)
    guard let state = partitions.removeValue(forKey: partition) else { return }
    recycle(state.inFlight)
    actions.append(.stopFetching(partition))
  }

  /// A server's refusal ends the claim; only a wrong configuration ends the trainer.
  private func handleRefusal(_ partition: PartitionID, _ error: ClusterError, _ now: Instant) {
    switch error.kind {
    case .mismatch, .gap, .malformed: actions.append(.fail(error))
    case .fenced, .watermark, .moved, .loading, .refused: restart(partition, error.description, now)
    }
  }

  // MARK: - Batches

  /// Cuts batches while the pipeline has room, and asks for their rows.
  private func startBatches(_ partition: PartitionID) {
    while !isStopping, let state = partitions[partition], state.phase == .running, !state.queue.isEmpty,
      state.inFlight.count < configuration.pipelineDepth,
      state.unacknowledged.count < configuration.maximumUnacknowledged
    {
      if let cut = state.cuts.first, state.queue[0].offsets[state.taken] >= cut.value {
        // Pushes go in order: those of the batches before the cut come first.
        guard state.inFlight.isEmpty else { return }
        skipToCut(partition, cut)
      } else {
        startBatch(partition)
      }
    }
    endPassIfPossible(partition)
  }

  /// The log has no example between the last batch and the cut: moves the shards that are behind up to it.
  func skipToCut(_ partition: PartitionID, _ cut: Offset) {
    batchNumber += 1
    partitions[partition]!.cuts.removeFirst()
    push(
      partition,
      PartitionTraining.InFlight(
        number: batchNumber, step: takeStep(), from: partitions[partition]!.next, to: cut, examples: nil),
      hasExamples: false)
  }

  private func startBatch(_ partition: PartitionID) {
    let state = partitions[partition]!
    let block = state.queue[0]
    let first = state.taken
    batchNumber += 1
    var end = min(block.count, first + configuration.batchSize)
    if let cut = state.cuts.first { end = min(end, block.firstExample(atOrAfter: cut.value)) }
    while end - first > 1, block.fidRange(examples: first..<end).count > configuration.maximumOccurrences {
      end = first + (end - first) / 2
    }
    let to = Offset(block.offsets[end - 1] + 1)
    if let cut = state.cuts.first, cut <= to { partitions[partition]!.cuts.removeFirst() }
    let step = takeStep()
    let examples = block.slice(first..<end)
    step.begin(examples)
    partitions[partition]!.inFlight.append(
      PartitionTraining.InFlight(
        number: batchNumber, step: step, from: state.next, to: to, examples: hasSlices ? examples : nil))
    partitions[partition]!.next = to
    if end == block.count {
      partitions[partition]!.queue.removeFirst()
      partitions[partition]!.taken = 0
    } else {
      partitions[partition]!.taken = end
    }
    actions.append(.consumed(partition, attempt: state.attempt, count: end - first))
    for server in 0..<configuration.map.serverCount {
      var writer = BinaryWriter(capacity: step.pullByteCount(ServerID(server)))
      step.encodePull(ServerID(server), into: &writer)
      actions.append(
        .pull(ServerID(server), partition, attempt: state.attempt, batch: batchNumber, body: writer.bytes))
    }
  }

  private func pulled(
    _ server: ServerID, _ partition: PartitionID, _ batch: UInt64,
    _ result: Result<UnsafeRawBufferPointer, ClusterError>, _ now: Instant
  ) {
    guard let position = partitions[partition]!.inFlight.firstIndex(where: { $0.number == batch }) else { return }
    let flight = partitions[partition]!.inFlight[position]
    do {
      guard try flight.step.accept(result.get(), from: server) else { return }
    } catch {
      handleRefusal(partition, error, now)
      return
    }
    // Servers answer in order, so the first batch is always the first to be complete.
    precondition(position == 0)
    flight.step.compute()
    predictionObserver?(partition, flight.step.logits)
    if let breach = validate(partition, flight) { return hold(breach, now) }
    partitions[partition]!.inFlight.removeFirst()
    push(partition, flight, hasExamples: true)
    startBatches(partition)
  }

  func push(_ partition: PartitionID, _ flight: PartitionTraining.InFlight, hasExamples: Bool) {
    let state = partitions[partition]!
    let map = configuration.map
    let reportServer = map.owner(of: ShardServer.reportShard(of: partition, shardCount: map.shardCount))
    let isValidated = isValidated(partition, to: flight.to)
    for number in 0..<map.serverCount {
      let server = ServerID(number)
      var writer = BinaryWriter(capacity: hasExamples ? flight.step.pushByteCount(server) : 64)
      if hasExamples {
        flight.step.encodePush(server, reportsHere: isValidated && server == reportServer, into: &writer)
      } else {
        PushRequest.encodeHead(
          minutes: 0, report: nil, sections: [], fids: UnsafeBufferPointer(start: nil, count: 0), into: &writer)
      }
      actions.append(
        .push(
          server, partition, attempt: state.attempt, batch: flight.number, epoch: state.epochs[server]!,
          from: flight.from, to: flight.to, body: writer.bytes))
    }
    if hasExamples {
      statistics.batches += 1
      statistics.examples += UInt64(flight.step.examples)
    } else {
      partitions[partition]!.next = flight.to
      skipInValidation(partition, from: flight.from, to: flight.to)
    }
    partitions[partition]!.unacknowledged.append(
      PartitionTraining.Unacknowledged(
        number: flight.number, to: flight.to, awaited: map.serverCount,
        exampleCount: hasExamples ? flight.step.examples : 0, oldestIngest: flight.step.report.oldestIngest))
    freeSteps.append(flight.step)
  }

  private func pushed(
    _ server: ServerID, _ partition: PartitionID, _ batch: UInt64, _ result: Result<Void, ClusterError>, _ now: Instant
  ) {
    if case .failure(let error) = result {
      handleRefusal(partition, error, now)
      return
    }
    guard let position = partitions[partition]!.unacknowledged.firstIndex(where: { $0.number == batch }) else { return }
    partitions[partition]!.unacknowledged[position].awaited -= 1
    while let oldest = partitions[partition]!.unacknowledged.first, oldest.awaited == 0 {
      partitions[partition]!.applied = oldest.to
      partitions[partition]!.unacknowledged.removeFirst()
      if oldest.exampleCount > 0, partition.pass == 0 { learnedObserver?(oldest.exampleCount, oldest.oldestIngest) }
    }
    startBatches(partition)
  }

  private func commit(_ partition: PartitionID) {
    guard partition.pass == 0, let state = partitions[partition], state.applied > state.committed else { return }
    partitions[partition]!.committed = state.applied
    actions.append(.commit(partition, state.applied))
  }

  func takeStep() -> TrainingStep {
    freeSteps.popLast()
      ?? TrainingStep(
        tables: configuration.tables, map: configuration.map, microBatchSize: configuration.microBatchSize,
        keepsOutcomes: hasSlices)
  }

  private var hasSlices: Bool { configuration.validation.map { !$0.slots.isEmpty } ?? false }

  private func recycle(_ flights: [PartitionTraining.InFlight]) {
    freeSteps += flights.map(\.step)
  }
}

import FreshetCluster
import FreshetCore
import FreshetModel

/// A joiner: one `JoinerPartition` for each partition, and in place of `JoinerLoop`'s thread a loop of calls to the broker, each
/// of which takes its time: nothing else happens meanwhile.
///
/// Output and input positions are committed in one transaction; a partition is taken up again from the text that the last commit
/// left (docs/joiner.md).
final class JoinerProcess: SimulatedProcess, GroupMember {
  static let group = "joiner"

  private enum GroupEvent {
    case revoked(() -> Void)
    case lost
    case assigned([Int], member: Int, generation: Int)
  }

  /// How far a topic of a partition has been read.
  private struct Input {
    var position: Int64
    var isPaused = false
    /// Whether the last read found the end.
    var isAtEnd = false
  }

  private struct Joining {
    let machine: JoinerPartition
    let state: SimulatedState?
    var inputs: [Input]
    var committed: JoinerCommitPoint
  }

  let number: Int
  private let scenario: Scenario
  private let model: SimulatedModel
  private let broker: Broker
  private let consumers: ConsumerGroup
  private let application: InputProducer
  private let config: JoinerConfig
  /// Where its states are, if it keeps any on disk.
  private let disk: SimulatedStateDisk?
  /// Partitions whose state was of no use when it was open.
  private var useless: Set<Int> = []
  private var lastStateCheck: [Int: Instant] = [:]

  private var joining: [Int: Joining] = [:]
  /// Given by the group; those that are not in `joining` are still to be taken up.
  private var assigned: Set<Int> = []
  private var member = 0
  private var generation = 0
  private var producerEpoch = 0
  private var groupEvents: [GroupEvent] = []
  private var isInTransaction = false
  private var mustRestart = false
  private var lastCommit = Instant(nanoseconds: 0)
  private var lastEndCheck: [TopicPartition: Instant] = [:]
  private var catalog = ItemCatalog(capacity: 1000)
  private var itemsRead = 0
  private var itemsAsOf = UnixTime(milliseconds: 0)
  private let output = JoinerOutput()
  private let reader = JSONRecordReader(maxBytes: 1 << 16, maxDepth: 8)
  private let scratch: FeatureScratch
  private var backoff = Backoff(baseMs: 50, capMs: 1_000, seed: 1)
  /// Called when the joiner ends by itself.
  var onExit: (String) -> Void = { _ in }

  init(
    number: Int, scenario: Scenario, model: SimulatedModel, broker: Broker, consumers: ConsumerGroup,
    application: InputProducer, disk: SimulatedStateDisk?, world: World, network: Network
  ) {
    self.disk = disk
    self.number = number
    self.scenario = scenario
    self.model = model
    self.broker = broker
    self.consumers = consumers
    self.application = application
    scratch = model.extractor.makeScratch()
    var config = JoinerConfig()
    config.windowMs = Workload.windowMs
    config.graceMs = Workload.graceMs
    config.negativeRate = scenario.negativeRate
    config.idleTimeoutMs = 400
    config.idleHoldMs = 50
    config.maxQueuedRecords = 16
    config.maxOutputBytes = 2_000
    if disk != nil {
      config.maxWaitingFeatureBytes = scenario.joinerMemoryBytes
      config.maxUnwrittenBytes = scenario.joinerUnwrittenBytes
      config.closingsInMemory = scenario.joinerClosings
    }
    self.config = config
    super.init(world: world, network: network, name: "joiner \(number)")
  }

  private var transactionalID: String { name }

  // MARK: - Life

  override func didStart() {
    backoff = Backoff(baseMs: 50, capMs: 1_000, seed: world.drawSeed())
    lastCommit = world.now
    initialise()
  }

  override func didEnd() {
    disk?.crash(joining.values.compactMap(\.state))
    lastStateCheck = [:]
    joining = [:]
    assigned = []
    groupEvents = []
    isInTransaction = false
    mustRestart = false
    lastEndCheck = [:]
    catalog = ItemCatalog(capacity: 1000)
    itemsRead = 0
  }

  private func initialise() {
    let id = transactionalID
    broker.call(from: self, { [broker] in broker.initTransactions(id) }) { [unowned self] result in
      switch result {
      case .success(let epoch):
        producerEpoch = epoch
        refreshItems { [self] in
          consumers.join(self)
          step()
        }
      case .failure: after(milliseconds: backoff.next()) { [self] in initialise() }
      }
    }
  }

  // MARK: - The group: heard of when the loop polls

  func groupRevokes(_ done: @escaping () -> Void) { groupEvents.append(.revoked(done)) }
  func groupLoses() { groupEvents.append(.lost) }
  func groupAssigns(_ partitions: [Int], member: Int, generation: Int) {
    groupEvents.append(.assigned(partitions, member: member, generation: generation))
  }

  private func handleGroupEvents(_ then: @escaping () -> Void) {
    guard !groupEvents.isEmpty else { return then() }
    switch groupEvents.removeFirst() {
    case .revoked(let done):
      commit { [self] in
        retireAll()
        done()
        handleGroupEvents(then)
      }
    case .lost:
      // What the open transaction has of them is another joiner's to write now.
      if isInTransaction { mustRestart = true }
      retireAll()
      handleGroupEvents(then)
    case .assigned(let partitions, let member, let generation):
      note("is given {0} partitions in generation {1}", Int64(partitions.count), Int64(generation))
      self.member = member
      self.generation = generation
      for partition in joining.keys.sorted() where !partitions.contains(partition) { joining[partition] = nil }
      assigned = Set(partitions)
      handleGroupEvents(then)
    }
  }

  private func retireAll() {
    joining = [:]
    assigned = []
  }

  // MARK: - The loop

  private func step() {
    handleGroupEvents { [self] in
      abortIfNeeded { [self] in
        takeUp { [self] in
          poll { [self] found in
            join(joining.keys.sorted()[...]) { [self] in
              commitIfDue { [self] in
                after(milliseconds: found ? 1 : 15) { [self] in step() }
              }
            }
          }
        }
      }
    }
  }

  /// Gives up the open transaction; every partition starts again from what is committed.
  private func abortIfNeeded(_ then: @escaping () -> Void) {
    guard mustRestart else { return then() }
    note("aborts")
    mustRestart = false
    joining = [:]
    guard isInTransaction else { return then() }
    isInTransaction = false
    world.met(.transactionAborted)
    let (id, epoch) = (transactionalID, producerEpoch)
    broker.call(from: self, { [broker] in broker.endTransaction(id, epoch, commits: false) }) { [self] error in
      if error != nil { return onExit("fenced") }
      then()
    }
  }

  /// Starts the machines of assigned partitions where the group has committed.
  private func takeUp(_ then: @escaping () -> Void) {
    let isDue = { [self] (partition: Int) in
      lastStateCheck[partition].map { world.now.milliseconds(since: $0) >= 100 } ?? true
    }
    guard let partition = assigned.filter({ joining[$0] == nil && isDue($0) }).min() else { return then() }
    let features = TopicPartition(topic: .features, partition: partition)
    broker.call(
      from: self,
      { [broker] in
        (
          broker.stableCommitted(Self.group, features), broker.log(.features, partition).start,
          broker.log(.actions, partition).start
        )
      }
    ) { [self] committed, featureStart, actionStart in
      do {
        let text = try committed.get()?.metadata
        let point = try text.map { try JoinerCommitPoint(text: $0) } ?? .start
        if point.featureLow < point.featureNext || point.actionLow < point.actionNext { world.met(.joinerRestored) }
        guard let (state, stateAt) = try openState(partition, point, (featureStart, actionStart)) else {
          lastStateCheck[partition] = world.now
          return takeUp(then)
        }
        lastStateCheck[partition] = nil
        note("takes up partition {0}", Int64(partition), text: "\(point.text), on disk \(stateAt?.text ?? "nothing")")
        let machine = try JoinerPartition(
          config: config, extractor: model.extractor, from: point, state: state, stateAt: stateAt, itemsAsOf: itemsAsOf,
          now: world.now)
        if stateAt == nil, featureStart > point.featureLow || actionStart > point.actionLow {
          world.fail("the log holds what a state is rebuilt from", "\(name) partition \(partition): \(point.text)")
        }
        joining[partition] = Joining(
          machine: machine, state: state,
          inputs: [
            Input(position: max(machine.readFrom.features, featureStart)),
            Input(position: max(machine.readFrom.actions, actionStart)),
          ],
          committed: point)
        takeUp(then)
      } catch is BrokerError {
        after(milliseconds: backoff.next(), then)
      } catch {
        world.fail("a joiner takes up what it committed", "\(name) partition \(partition): \(error)")
      }
    }
  }

  /// The state of a partition on disk and where it is; nil if somebody else has it open or it cannot be read.
  private func openState(
    _ partition: Int, _ committed: JoinerCommitPoint, _ logStarts: (features: Int64, actions: Int64)
  ) throws -> (SimulatedState?, JoinerCommitPoint?)? {
    guard let disk else { return (nil, nil) }
    guard let state = disk.open(partition) else { return nil }
    if useless.remove(partition) != nil { disk.clear(partition) }
    for _ in 0..<2 {
      do throws(JoinerStateError) {
        switch try JoinerStateCheck.run(
          state, identity: config.stateIdentity(schema: 0, place: "\(partition)"), committed: committed,
          logStarts: logStarts)
        {
        case .empty: return (state, nil)
        case .usable(let point):
          world.met(.joinerStateUsed)
          return (state, point)
        case .useless(let reason):
          note("clears the state of partition {0}", Int64(partition), text: reason)
          disk.clear(partition)
        }
      } catch {
        note("cannot open the state of partition {0}", Int64(partition), text: error.message)
        if error.kind == .damaged { useless.insert(partition) }
        state.close()
        return nil
      }
    }
    world.fail("an empty state can be used", "\(name) partition \(partition)")
    return nil
  }

  // MARK: - Reading

  private func poll(_ then: @escaping (Bool) -> Void) {
    var wanted: [(partition: Int, topic: JoinerTopic, position: Int64, limit: Int)] = []
    for partition in joining.keys.sorted() {
      for topic in JoinerTopic.allCases {
        let input = joining[partition]!.inputs[topic.rawValue]
        // A fetch brings from one topic more than from the other.
        if !input.isPaused, !world.chance(200) {
          wanted.append((partition, topic, input.position, world.draw(1...12)))
        }
      }
    }
    guard !wanted.isEmpty else { return then(false) }
    let requests = wanted
    broker.call(
      from: self,
      { [broker] in
        requests.map { broker.log(Self.topic($0.topic), $0.partition).read(from: $0.position, limit: $0.limit) }
      }
    ) { [self] results in
      var found = false
      for (request, result) in zip(requests, results) {
        guard var state = joining[request.partition] else { continue }
        for record in result.records { receive(record, request.topic, state.machine) }
        state.inputs[request.topic.rawValue].position = result.next
        state.inputs[request.topic.rawValue].isAtEnd = result.isAtEnd
        joining[request.partition] = state
        if result.isAtEnd { state.machine.reachedEnd(request.topic, now: world.now) }
        found = found || !result.records.isEmpty
        checkBounds(state.machine)
      }
      then(found)
    }
  }

  private static func topic(_ topic: JoinerTopic) -> Topic { topic == .features ? .features : .actions }

  private func receive(_ record: LogRecord, _ topic: JoinerTopic, _ machine: JoinerPartition) {
    (record.payload ?? []).withUnsafeBytes {
      machine.receive(
        topic, JoinerRecord(offset: record.offset, appendTimeMs: record.appendTimeMs, payload: $0), now: world.now)
    }
  }

  private func checkBounds(_ machine: JoinerPartition) {
    if machine.queuedRecordCount > 2 * (config.maxQueuedRecords + 12) {
      world.fail("queues stay within their bounds", "\(name): \(machine.queuedRecordCount) records")
    }
  }

  // MARK: - Joining

  private func join(_ partitions: ArraySlice<Int>, _ then: @escaping () -> Void) {
    guard let partition = partitions.first else { return then() }
    guard !mustRestart, let state = joining[partition] else { return join(partitions.dropFirst(), then) }
    output.removeAll()
    let progress = state.machine.run(catalog: catalog, now: world.now, output: output)
    write(partition)
    switch progress {
    case .outputFull: join(partitions, then)
    case .commitNeeded:
      world.met(.joinerCommitNeeded)
      commit { [self] in join(partitions, then) }
    case .diskFull: join(partitions.dropFirst(), then)
    case .stateFailed:
      note("cannot use the state of partition {0}", Int64(partition), text: state.machine.stateProblem?.message)
      useless.insert(partition)
      mustRestart = true
      join(partitions.dropFirst(), then)
    case .waitingForItems:
      refreshItems { [self] in
        for partition in joining.keys.sorted() { joining[partition]!.machine.itemsRefreshed(asOf: itemsAsOf) }
        join(partitions, then)
      }
    case .drained:
      guard let topic = output.needsEnd else { return join(partitions.dropFirst(), then) }
      confirmEnd(topic, partition) { [self] isConfirmed in join(isConfirmed ? partitions : partitions.dropFirst(), then)
      }
    }
  }

  /// Asks the broker whether everything in a topic has been fed to the machine; not more often than every 20 ms.
  private func confirmEnd(_ topic: JoinerTopic, _ partition: Int, _ then: @escaping (Bool) -> Void) {
    let entry = TopicPartition(topic: Self.topic(topic), partition: partition)
    if let last = lastEndCheck[entry], world.now.milliseconds(since: last) < 20 { return then(false) }
    lastEndCheck[entry] = world.now
    guard let reached = joining[partition]?.inputs[topic.rawValue].position else { return then(false) }
    let log = broker.log(entry.topic, partition)
    broker.call(from: self, { log.end }) { [self] end in
      guard end <= reached, let state = joining[partition] else { return then(false) }
      state.machine.confirmedEnd(topic, now: world.now)
      then(true)
    }
  }

  private func write(_ partition: Int) {
    for (topic, isPaused) in output.flow { joining[partition]!.inputs[topic.rawValue].isPaused = isPaused }
    guard !output.examples.isEmpty || !output.deadLetters.isEmpty else { return }
    var records = output.examples.map {
      (TopicPartition(topic: .examples, partition: partition), Array(output.value($0)))
    }
    records += output.deadLetters.map {
      (TopicPartition(topic: .deadLetter, partition: 0), Array($0.reason.rawValue.utf8))
    }
    note("writes {0} records of partition {1}", Int64(records.count), Int64(partition))
    isInTransaction = true
    let (id, epoch) = (transactionalID, producerEpoch)
    broker.call(from: self, { [broker, records] in broker.produce(id, epoch, records) }) { [self] error in
      if error != nil { onExit("fenced") }
    }
  }

  private func refreshItems(_ then: @escaping () -> Void) {
    let application = application
    broker.call(from: self, { (application.items, application.world.unixTime) }) { [self] items, asOf in
      for item in items[itemsRead...] {
        do {
          try Array(item.utf8).withUnsafeBytes { try catalog.upsert($0, model.extractor, reader, scratch) }
        } catch {
          world.fail("items are readable", "\(item): \(error)")
        }
      }
      itemsRead = items.count
      itemsAsOf = asOf
      then()
    }
  }

  // MARK: - Transactions

  private func commitIfDue(_ then: @escaping () -> Void) {
    let elapsed = world.now.milliseconds(since: lastCommit)
    guard elapsed >= Double(isInTransaction ? scenario.commitIntervalMs : 500) else { return then() }
    commit(then)
  }

  /// Commits the output written since the last commit together with the positions that belong to it.
  private func commit(_ then: @escaping () -> Void) {
    lastCommit = world.now
    guard !mustRestart else { return then() }
    var positions: [TopicPartition: Broker.CommittedOffset] = [:]
    var points: [Int: JoinerCommitPoint] = [:]
    for partition in joining.keys.sorted() {
      guard let point = joining[partition]!.machine.commitPoint, point != joining[partition]!.committed else {
        continue
      }
      points[partition] = point
      for (topic, next) in [(Topic.features, point.featureNext), (.actions, point.actionNext)] {
        positions[TopicPartition(topic: topic, partition: partition)] = Broker.CommittedOffset(
          offset: next, metadata: point.text)
      }
    }
    guard isInTransaction || !positions.isEmpty else { return then() }
    isInTransaction = true
    sendOffsets(positions) { [self] in
      endTransaction { [self] in
        for partition in points.keys.sorted() {
          joining[partition]?.committed = points[partition]!
          joining[partition]?.machine.committed(points[partition]!, now: world.now)
        }
        then()
      }
    } failed: {
      then()
    }
  }

  private func sendOffsets(
    _ positions: [TopicPartition: Broker.CommittedOffset], _ then: @escaping () -> Void,
    failed: @escaping () -> Void
  ) {
    guard !positions.isEmpty else { return then() }
    let (id, epoch, member, generation) = (transactionalID, producerEpoch, member, generation)
    broker.call(
      from: self,
      { [broker, consumers] in
        broker.sendOffsets(id, epoch, positions, of: consumers, member: member, generation: generation)
      }
    ) { [self] error in
      switch error {
      case nil: then()
      case .retriable: after(milliseconds: backoff.next()) { [self] in sendOffsets(positions, then, failed: failed) }
      case .fencedMember:
        note("is not in the group any more")
        mustRestart = true
        failed()
      default: onExit("fenced")
      }
    }
  }

  private func endTransaction(_ then: @escaping () -> Void) {
    let (id, epoch) = (transactionalID, producerEpoch)
    broker.call(from: self, { [broker] in broker.endTransaction(id, epoch, commits: true) }) { [self] error in
      switch error {
      case nil:
        isInTransaction = false
        then()
      case .retriable: after(milliseconds: backoff.next()) { [self] in endTransaction(then) }
      default: onExit("fenced")
      }
    }
  }
}

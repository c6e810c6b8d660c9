import FreshetCluster
import FreshetCore

/// A trainer: the `Trainer`, its links to the servers, and its feed (`ExampleFeed`).
final class TrainerProcess: SimulatedProcess, GroupMember {
  let number: Int
  private let scenario: Scenario
  private let model: SimulatedModel
  private let oracle: Oracle
  private let servers: [ServerProcess]
  private let broker: Broker
  private let group: ConsumerGroup
  private var machine: Trainer?
  private var links: [ServerLink] = []
  private var feed: ExampleFeed?
  private var lifeSeed: UInt64 = 0
  /// Called when the trainer ends by itself.
  var onExit: (ClusterError) -> Void = { _ in }
  var onStopped: () -> Void = {}

  init(
    number: Int, scenario: Scenario, model: SimulatedModel, oracle: Oracle, servers: [ServerProcess], broker: Broker,
    group: ConsumerGroup, world: World, network: Network
  ) {
    self.number = number
    self.scenario = scenario
    self.model = model
    self.oracle = oracle
    self.servers = servers
    self.broker = broker
    self.group = group
    super.init(world: world, network: network, name: "trainer \(number)")
  }

  override func didStart() {
    machine = Trainer(
      configuration: Trainer.Configuration(
        tables: model.tables, map: oracle.map, batchSize: scenario.batchSize,
        microBatchSize: scenario.microBatchSize, pipelineDepth: scenario.pipelineDepth,
        maximumUnacknowledged: scenario.maximumUnacknowledged, allowsGap: false, seed: world.drawSeed()))
    feed = ExampleFeed(
      owner: self, broker: broker, consumers: group, layout: model.extractor.layout, limit: scenario.queuedExamples
    ) { [unowned self] in handle($0) }
    links = servers.map { server in
      ServerLink(
        owner: self, server: server,
        onConnect: { [unowned self] in handle(.connected(ServerID(server.number))) },
        onDisconnect: { [unowned self] in handle(.disconnected(ServerID(server.number), reason: $0)) })
    }
    for link in links { link.start() }
    every(milliseconds: 100) { [unowned self] in handle(.tick) }
    group.join(self)
  }

  override func didEnd() {
    if let machine { world.coverage[.claimAgain] += Int(machine.statistics.restarts) }
    machine = nil
    links = []
    feed = nil
  }

  /// SIGTERM: finishes what is in flight, then ends.
  func stop() {
    guard isUp, machine != nil else { return }
    world.met(.gracefulStop)
    note("is asked to stop")
    handle(.stopping)
    endWhenIdle(by: world.now.advanced(byMs: 2_000))
  }

  private func endWhenIdle(by deadline: Instant) {
    guard let machine else { return }
    guard !machine.isIdle, world.now < deadline else { return onStopped() }
    after(milliseconds: 10) { [unowned self] in endWhenIdle(by: deadline) }
  }

  var stateText: String {
    guard let machine else { return "down" }
    return machine.progress.map { "\($0.partition): \($0.phase) applied \($0.applied) queued \($0.queued)" }
      .joined(separator: "; ")
  }

  // MARK: - The group

  func groupRevokes(_ done: @escaping () -> Void) {
    feed?.revokeAll()
    done()
  }

  func groupLoses() { feed?.revokeAll() }

  func groupAssigns(_ partitions: [Int], member: Int, generation: Int) {
    note("is given {0} partitions", Int64(partitions.count))
    feed?.assign(partitions, member: member, generation: generation)
  }

  // MARK: - The machine

  private func handle(_ event: TrainerEvent) {
    guard let machine else { return }
    for action in machine.handle(event, now: world.now) { perform(action) }
    checkBounds(machine)
  }

  private func checkBounds(_ machine: Trainer) {
    for state in machine.progress where state.queued > scenario.queuedExamples + ExampleFeed.recordsPerPoll {
      world.fail("queues stay within their bounds", "\(name) partition \(state.partition): \(state.queued) examples")
    }
  }

  private func perform(_ action: TrainerAction) {
    guard isUp, let feed else { return }
    switch action {
    case .claim(let server, let partition, let attempt):
      links[server.value].send(.claim(partition)) { [unowned self] reply in
        if case .claimed(let claim) = reply {
          handle(.claimed(server, partition, attempt: attempt, .success(claim)))
        } else if let error = reply.error {
          handle(.claimed(server, partition, attempt: attempt, .failure(error)))
        }
      }
    case .pull(let server, let partition, let attempt, let batch, let body):
      links[server.value].send(.pull(body)) { [unowned self] reply in
        if case .rows(let rows) = reply {
          rows.withUnsafeBytes {
            handle(.pulled(server, partition, attempt: attempt, batch: batch, .success($0)))
          }
        } else if let error = reply.error {
          handle(.pulled(server, partition, attempt: attempt, batch: batch, .failure(error)))
        }
      }
    case .push(let server, let partition, let attempt, let batch, let epoch, let from, let to, let body):
      links[server.value].send(.push(partition, epoch, from: from, to: to, body)) { [unowned self] reply in
        let result: Result<Void, ClusterError> = reply.error.map { .failure($0) } ?? .success(())
        handle(.pushed(server, partition, attempt: attempt, batch: batch, result))
      }
    case .locate(let partition, let attempt): feed.locate(partition, attempt: attempt)
    case .fetch(let partition, let attempt, let from): feed.fetch(partition, attempt: attempt, from: from)
    case .fetchPass: preconditionFailure("the simulated trainer makes no passes")
    case .stopFetching(let partition): feed.stop(partition)
    case .consumed(let partition, let attempt, let count): feed.consumed(partition, attempt: attempt, count: count)
    case .commit(let partition, let offset):
      note("commits partition {0} at {1}", Int64(partition.value), offset.value)
      oracle.checkCommit(Int(partition.value), offset.value)
      feed.commit(partition, offset)
    case .notice(let text): note("says", text: text)
    case .held: preconditionFailure("the simulated trainer has no guard")
    case .fail(let error):
      note("fails", text: error.description)
      onExit(error)
    }
  }
}

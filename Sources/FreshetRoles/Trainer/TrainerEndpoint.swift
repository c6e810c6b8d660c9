import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import Logging
import NIOCore

/// Carries out what the `Trainer` wants: requests to servers, commands to the feed. Lives on one event loop.
final class TrainerEndpoint {
  private let trainer: Trainer
  private let feed: any ExampleSource
  private let outcome: RoleOutcome
  private let names: ValidationNames
  /// nil: no records of the validation are written.
  private let writer: ValidationWriter?
  private let logger: Logger
  private var links: [ServerLink] = []
  private let startedAt = Instant.now()
  /// Which servers' loss has been logged; a server that stays away is not worth a line for every attempt.
  private var reportedLost: Set<ServerID> = []
  private var whenIdle: (() -> Void)?
  /// Round trips to servers.
  private var pulls = RecentHistogram.latencies()
  private var pushes = RecentHistogram.latencies()
  /// How old actions were when all servers had learned them.
  private var freshness = RecentHistogram.freshness()

  init(
    machine: Trainer.Configuration, cluster: ClusterSettings, loop: any EventLoop, feed: any ExampleSource,
    outcome: RoleOutcome, names: ValidationNames, writer: ValidationWriter?, logger: Logger
  ) {
    trainer = Trainer(configuration: machine)
    self.feed = feed
    self.outcome = outcome
    self.names = names
    self.writer = writer
    self.logger = logger
    trainer.learnedObserver = { [unowned self] count, oldest in
      freshness.record(UnixTime.now().milliseconds - oldest.milliseconds, count: count, now: Instant.now())
    }
    links = cluster.servers.enumerated().map { index, address in
      let server = ServerID(index)
      return ServerLink(
        server: server, address: address, password: cluster.password, loop: loop,
        onConnect: { [weak self] in self?.connected(server, address) },
        onDisconnect: { [weak self] in self?.disconnected(server, address, $0) })
    }
  }

  /// - Parameter observe: As `Trainer.predictionObserver`.
  func observePredictions(_ observe: @escaping (PartitionID, UnsafeBufferPointer<Float>) -> Void) {
    trainer.predictionObserver = observe
  }

  func start() { for link in links { link.start() } }

  func stop() {
    writer?.finish(trainer.validation)
    for link in links { link.stop() }
  }

  /// To be called ten times a second.
  func tick() {
    handle(.tick)
    writer?.tick(trainer.validation, now: Instant.now())
  }

  /// Goes on with what the guard holds.
  /// - Returns: Whether it held anything.
  func resume() -> Bool {
    guard trainer.holdReason != nil else { return false }
    logger.info("resumed")
    handle(.resume)
    return true
  }

  /// Begins no more batches; `whenIdle` is called once those in flight are acknowledged, at once if there are none.
  func drain(whenIdle: @escaping () -> Void) {
    self.whenIdle = whenIdle
    handle(.stopping)
  }

  func handle(_ event: TrainerEvent) {
    for action in trainer.handle(event, now: Instant.now()) { perform(action) }
    if let whenIdle, trainer.isIdle {
      self.whenIdle = nil
      whenIdle()
    }
  }

  private func connected(_ server: ServerID, _ address: ServerAddress) {
    reportedLost.remove(server)
    logger.info("connected", metadata: ["server": "\(server)", "address": "\(address)"])
    handle(.connected(server))
  }

  private func disconnected(_ server: ServerID, _ address: ServerAddress, _ reason: String) {
    if reportedLost.insert(server).inserted {
      logger.warning("no connection: \(reason)", metadata: ["server": "\(server)", "address": "\(address)"])
    }
    handle(.disconnected(server, reason: reason))
  }

  private func perform(_ action: TrainerAction) {
    switch action {
    case .claim(let server, let partition, let attempt):
      links[server.value].send({ ParameterServerCommand.claim(partition).encode(into: &$0) }) { [weak self] result in
        self?.handle(.claimed(server, partition, attempt: attempt, Self.claimReply(result)))
      }
    case .pull(let server, let partition, let attempt, let batch, let body):
      let sentAt = Instant.now()
      links[server.value].send({ encoder in
        encoder.writeCommand("PULL", argumentCount: 1)
        body.withUnsafeBytes { encoder.writeBulk($0) }
      }) { [weak self] result in
        if case .success = result { self?.pulls.record(since: sentAt) }
        self?.pulled(server, partition, attempt, batch, result)
      }
    case .push(let server, let partition, let attempt, let batch, let epoch, let from, let to, let body):
      let sentAt = Instant.now()
      links[server.value].send({ encoder in
        ParameterServerCommand.encodePushHeader(partition, epoch, from: from, to: to, into: &encoder)
        body.withUnsafeBytes { encoder.writeBulk($0) }
      }) { [weak self] result in
        if case .success = result { self?.pushes.record(since: sentAt) }
        self?.handle(
          .pushed(server, partition, attempt: attempt, batch: batch, result.map { _ in }.mapError { ClusterError($0) }))
      }
    case .locate(let partition, let attempt): feed.send(.locate(partition, attempt: attempt))
    case .fetch(let partition, let attempt, let from): feed.send(.fetch(partition, attempt: attempt, from: from))
    case .fetchPass(let partition, let attempt, let from, let until):
      feed.send(.fetchPass(partition, attempt: attempt, from: from, until: until))
    case .stopFetching(let partition): feed.send(.stop(partition))
    case .consumed(let partition, let attempt, let count):
      feed.send(.consumed(partition, attempt: attempt, count: count))
    case .commit(let partition, let offset): feed.send(.commit(partition, offset))
    case .notice(let text): logger.info("\(text)")
    case .held(let breach):
      logger.error(
        "training is held: \(breach.text(tasks: names.tasks)). Nothing is pushed until `freshet ctl trainer resume`")
    case .fail(let error): outcome.fail(error)
    }
  }

  private func pulled(
    _ server: ServerID, _ partition: PartitionID, _ attempt: UInt64, _ batch: UInt64,
    _ result: Result<RESPValue, WireError>
  ) {
    switch result {
    case .failure(let error):
      handle(.pulled(server, partition, attempt: attempt, batch: batch, .failure(ClusterError(error))))
    case .success(let value):
      guard let rows = value.buffer else {
        let error = ClusterError(.refused, "server \(server) answered a pull with something else than a bulk string")
        handle(.pulled(server, partition, attempt: attempt, batch: batch, .failure(error)))
        return
      }
      rows.withUnsafeReadableBytes {
        handle(.pulled(server, partition, attempt: attempt, batch: batch, .success($0)))
      }
    }
  }

  private static func claimReply(_ result: Result<RESPValue, WireError>) -> Result<ClaimReply, ClusterError> {
    switch result {
    case .failure(let error): return .failure(ClusterError(error))
    case .success(let value):
      let integers = value.elements?.compactMap(\.integer)
      guard let integers, integers.count == value.elements?.count, let reply = ClaimReply(integers: integers) else {
        return .failure(ClusterError(.refused, "the answer to a claim is not a list of integers"))
      }
      return .success(reply)
    }
  }

  /// What the trainer waits for before it trains; nil if nothing.
  var notReady: String? {
    if let breach = trainer.holdReason { return "training is held: " + breach.text(tasks: names.tasks) }
    let missing = links.filter { !$0.isConnected }.map(\.address.description)
    guard !missing.isEmpty else { return nil }
    return "no connection to the parameter server at " + missing.joined(separator: ", ")
  }

  var info: InfoText {
    var info = InfoText()
    info.addProcess(role: "trainer", startedAt: startedAt, now: Instant.now())
    info.add(notReady: notReady)
    let statistics = trainer.statistics
    let read = feed.statistics
    info.section("training")
    info.add("examples", statistics.examples)
    info.add("batches", statistics.batches)
    info.add("claims", statistics.claims)
    info.add("restarts", statistics.restarts)
    info.add("lost_offsets", statistics.lostOffsets)
    info.add("examples_read", read.examplesRead)
    info.add("dead_letters", read.deadLetters)
    info.add("waits_for_training", read.waits)
    info.section("partitions")
    for (partition, phase, applied, queued) in trainer.progress {
      let key = InfoKey.of(["partition": partition])
      info.add(
        "partition_\(partition)",
        [InfoField("phase", phase, key), InfoField("applied", applied, key), InfoField("queued", queued, key)])
    }
    info.add(read.lags)
    info.section("latency")
    info.add(pulls, prefix: "pull_", unit: "us", as: .named("round_trip", of: ["command": "pull"]))
    info.add(pushes, prefix: "push_", unit: "us", as: .named("round_trip", of: ["command": "push"]))
    info.section("freshness")
    info.add(freshness, prefix: "", unit: "ms", as: .named("freshness"))
    info.add(
      trainer.trainingGuard, held: trainer.holdReason?.text(tasks: names.tasks), holds: statistics.holds,
      taskCount: names.tasks.count)
    info.section("validation")
    if let written = writer?.statistics {
      info.add("records_written", written.records)
      info.add("records_failed", written.failures)
    }
    info.add(trainer.validation, names)
    return info
  }
}

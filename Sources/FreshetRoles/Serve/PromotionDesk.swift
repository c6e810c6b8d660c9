import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire
import Logging
import Synchronization

/// Answers `PROMOTE`: opens a second model beside the one that answers, watches it catch up, exchanges them, and closes the one
/// that is no longer needed. `Promotion` decides; docs/serving.md says what it looks like from outside.
actor PromotionDesk {
  private static let tick = Duration.milliseconds(100)

  /// A second model that is being copied.
  private struct Candidate {
    var promotion: Promotion
    let model: ServedModel
    let directory: StateDirectory?
  }

  private let threads: ServingThreads
  /// The replica's own, with the configured model.
  private let configured: FreshetConfiguration
  private let state: StateDirectory?
  private let makeItems: @Sendable (KafkaSettings) throws -> any ItemFeed
  private let logger: Logger
  private var candidate: Candidate?
  /// A command that has begun and not ended: each of them takes the candidate through several steps.
  private var isOccupied = false
  private var isStopping = false
  private var watching: Task<Void, Never>?
  /// For INFO, which no actor may hold up.
  private let published = Mutex(InfoText())

  /// - Parameters:
  ///   - configured: The replica's configuration as it was started with.
  ///   - state: `serve.state`; nil for none.
  ///   - makeItems: For each candidate a feed of its own.
  init(
    threads: ServingThreads, configured: FreshetConfiguration, state: StateDirectory?,
    makeItems: @escaping @Sendable (KafkaSettings) throws -> any ItemFeed, logger: Logger
  ) {
    self.threads = threads
    self.configured = configured
    self.state = state
    self.makeItems = makeItems
    self.logger = logger
  }

  /// What INFO says of a promotion that is under way, or of the last one.
  nonisolated func addStatus(to info: inout InfoText) {
    let status = published.withLock { $0 }
    info.append(contentsOf: status)
  }

  /// - Returns: Where the promotion is then.
  func perform(_ command: PromotionCommand) async throws(WireError) -> InfoText {
    candidate?.promotion.noteInterest(now: .now())
    switch command {
    case .status: break
    case .prepare(let request): try await occupied { () async throws(WireError) in try await prepare(request) }
    case .activate(let version): try await occupied { () async throws(WireError) in try await activate(version) }
    case .abort:
      try await occupied { () async throws(WireError) in await giveUp("it was called off", to: .info) }
    }
    var info = published.withLock { $0 }
    info.add(model: threads.served.configuration)
    return info
  }

  /// At the end of the process: gives up what is under way.
  func stop() async {
    isStopping = true
    while isOccupied { try? await Task.sleep(for: Self.tick) }
    await giveUp("the replica is stopping", to: .info)
  }

  private func occupied(_ body: () async throws(WireError) -> Void) async throws(WireError) {
    guard !isStopping else { throw WireError(.busy, "the replica is stopping") }
    guard !isOccupied else { throw WireError(.busy, "another step of a promotion is under way; ask again") }
    isOccupied = true
    defer { isOccupied = false }
    try await body()
  }

  // MARK: - Preparing

  private func prepare(_ request: PromotionCommand.Request) async throws(WireError) {
    if let candidate {
      throw WireError(.busy, "\(candidate.model.configuration.modelDescription) is being promoted; wait, or abort that")
    }
    let target: FreshetConfiguration
    do throws(ConfigurationError) {
      target = configured.serving(try .parse(modelText: request.configuration, source: "candidate"))
    } catch {
      throw WireError(.err, error.message)
    }
    try check(target, request)
    let isConfigured = target.isSameModel(as: configured)
    let directory = isConfigured ? state : state?.promoted(version: target.model.version)
    var log = logger
    log[metadataKey: "candidate"] = "\(target.model.version)"
    let model: ServedModel
    do {
      model = try await ServedModel.open(target, directory: directory, items: makeItems(target.kafka), logger: log)
      try await model.start()
    } catch {
      throw WireError(.err, "cannot open the candidate: \((error as? any DescribedError)?.message ?? "\(error)")")
    }
    let settings = Promotion.Settings(
      version: target.model.version, maximumLagMs: Double(request.maximumLagMs), isForced: request.isForced)
    candidate = Candidate(promotion: Promotion(settings, now: .now()), model: model, directory: directory)
    logger.notice(
      "copying another model beside the one that answers",
      metadata: [
        "candidate": "\(target.modelDescription)", "expected_bytes": "\(request.expectedBytes)",
        "available_bytes": "\(ProcessMemory.availableBytes ?? 0)",
      ])
    publish()
    watching = Task { [weak self] in
      while !Task.isCancelled {
        try? await Task.sleep(for: Self.tick)
        guard let desk = self else { return }
        await desk.watch()
      }
    }
  }

  /// - Throws: Why the target cannot be promoted here.
  private func check(_ target: FreshetConfiguration, _ request: PromotionCommand.Request) throws(WireError) {
    let live = threads.served.configuration
    if target.isSameModel(as: live) { throw WireError(.err, "\(live.modelDescription) is what answers already") }
    if target.model.version == live.model.version {
      throw WireError(
        .err, "both models are version \(live.model.version); give the candidate another model.version")
    }
    if let shared = target.cluster.servers.first(where: { live.cluster.servers.contains($0) }) {
      throw WireError(.err, "\(shared) is a server of the model that answers; the candidate needs servers of its own")
    }
    let obstacles = target.model.obstacles(toReplacing: live.model)
    if !obstacles.isEmpty, !request.isForced || target.model.name != live.model.name {
      throw WireError(.err, "requests that are answered now would fail: \(obstacles.joined(separator: "; "))")
    }
    if target.kafka.topics.examples != live.kafka.topics.examples, !request.isForced {
      throw WireError(
        .err,
        "the candidate learns from \(target.kafka.topics.examples), not from \(live.kafka.topics.examples): how far it is "
          + "behind cannot be told; force it to promote it all the same")
    }
    if state == nil, !request.untilRestart {
      throw WireError(
        .err,
        "this replica has no serve.state to remember the promotion in, and would come back with "
          + "\(configured.modelDescription); set it, or say that the promotion is to last until the restart")
    }
    if let available = ProcessMemory.availableBytes, available - request.expectedBytes < Promotion.reserveBytes,
      !request.isForced
    {
      throw WireError(
        .err,
        "the candidate takes about \(request.expectedBytes >> 20) MiB beside the model that answers, \(available >> 20) MiB "
          + "are available, and \(Promotion.reserveBytes >> 20) MiB must stay free")
    }
  }

  // MARK: - Watching

  private func watch() async {
    guard !isOccupied, let current = candidate else { return }
    let live = threads.served
    let seen = Promotion.Observation(
      live: live.readers.status, candidate: current.model.readers.status,
      serverCount: current.model.configuration.cluster.servers.count,
      hasItems: current.model.progress.hasItems || !live.progress.hasItems, trouble: current.model.progress.trouble,
      availableBytes: ProcessMemory.availableBytes)
    let reason = candidate?.promotion.observe(seen, now: .now())
    publish()
    guard let reason else { return }
    isOccupied = true
    await giveUp(reason, to: .error)
    isOccupied = false
  }

  private func giveUp(_ reason: String, to level: Logger.Level) async {
    watching?.cancel()
    guard let current = candidate else { return }
    candidate = nil
    logger.log(
      level: level, "the promotion is given up; the model that answers stays",
      metadata: ["candidate": "\(current.model.configuration.modelDescription)", "reason": "\(reason)"])
    publishEnd("failed", current, reason)
    await close(current.model, current.directory)
  }

  // MARK: - Taking over

  private func activate(_ version: Int) async throws(WireError) {
    guard let current = candidate else { throw WireError(.err, "no promotion is under way") }
    do throws(ClusterError) {
      try candidate?.promotion.beginSwitch(version: version)
    } catch {
      throw WireError(error, servers: [])
    }
    publish()
    let previous = threads.served
    do {
      try await threads.prepare(current.model)
      // First the record, then the exchange: whoever has seen the new model sees it after a restart as well.
      try record(current.model.configuration)
    } catch {
      candidate?.promotion.cancelSwitch()
      try? await threads.unprepare()
      let reason = (error as? any DescribedError)?.message ?? "\(error)"
      throw WireError(.err, "nothing was switched: \(reason)")
    }
    threads.exchange(to: current.model)
    candidate = nil
    watching?.cancel()
    logger.notice(
      "another model answers now",
      metadata: [
        "model": "\(current.model.configuration.modelDescription)",
        "previous": "\(previous.configuration.modelDescription)",
      ])
    publishEnd("switched", current, nil)
    do {
      try await threads.retirePrevious()
    } catch {
      throw WireError(.err, "switched, and the serving threads ended: \(error)")
    }
    let isConfigured = previous.configuration.isSameModel(as: configured)
    await close(previous, isConfigured ? nil : state?.promoted(version: previous.model.version))
  }

  private func record(_ target: FreshetConfiguration) throws {
    guard let state else { return }
    if target.isSameModel(as: configured) {
      try PromotionRecord.remove(from: state)
    } else {
      try PromotionRecord(configured: configured.modelDescription, promoted: target.modelText).write(to: state)
    }
  }

  /// - Parameter directory: Whose files are of no use any more.
  private func close(_ model: ServedModel, _ directory: StateDirectory?) async {
    await model.stop()
    do {
      try await model.close()
      try directory?.discard()
    } catch {
      logger.warning(
        "a model that is no longer served was not cleared away",
        metadata: ["model": "\(model.configuration.modelDescription)", "reason": "\(error)"])
    }
  }

  // MARK: - Telling

  private func publish() {
    guard let current = candidate else { return }
    let (promotion, status) = (current.promotion, current.model.readers.status)
    var info = InfoText()
    info.section("promotion")
    info.add("promotion", promotion.phase.rawValue)
    info.add("candidate_version", promotion.settings.version)
    info.add("candidate_servers_connected", status.connectedServers)
    info.add("candidate_shards", status.positions.count)
    info.add("candidate_shards_complete", status.positions.count { $0.isComplete })
    info.add("candidate_rows", status.rows)
    info.add("candidate_bytes", status.tables.reduce(0) { $0 + $1.bytes })
    if let age = status.ageMs(now: .now()) { info.add("candidate_age_ms", Int(age)) }
    info.add("candidate_lag_examples", promotion.lagExamples)
    if let lag = promotion.lagMs { info.add("candidate_lag_ms", Int(lag)) }
    if !promotion.obstacles.isEmpty { info.add("candidate_waits_for", promotion.obstacles.joined(separator: "; ")) }
    if let trouble = current.model.progress.trouble { info.add("candidate_trouble", Self.line(trouble)) }
    published.withLock { $0 = info }
  }

  private func publishEnd(_ outcome: String, _ ended: Candidate, _ reason: String?) {
    var info = InfoText()
    info.section("promotion")
    info.add("promotion", outcome)
    info.add("candidate_version", ended.promotion.settings.version)
    if let reason { info.add("promotion_error", Self.line(reason)) }
    published.withLock { $0 = info }
  }

  private static func line(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}

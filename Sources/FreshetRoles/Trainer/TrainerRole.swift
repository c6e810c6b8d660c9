import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetModel
import FreshetNet
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// `freshet trainer`: one thread that reads examples, one event loop that trains on them.
public struct TrainerRole: Service {
  public struct Options: Sendable {
    /// Of the status port; nil takes `trainer.port`, 0 opens none.
    public var port: Int?
    /// Of the metrics port; nil takes `trainer.metrics_port`, 0 opens none.
    public var metricsPort: Int?
    public var failsFast: Bool
    public var allowsGap: Bool
    public var stage: BatchStage

    public init(port: Int?, metricsPort: Int?, failsFast: Bool, allowsGap: Bool, stage: BatchStage) {
      self.port = port
      self.metricsPort = metricsPort
      self.failsFast = failsFast
      self.allowsGap = allowsGap
      self.stage = stage
    }
  }

  private let configuration: FreshetConfiguration
  private let options: Options
  private let tables: ModelTables
  private let logger: Logger

  public init(configuration: FreshetConfiguration, options: Options, logger: Logger) throws {
    if options.stage.source == .archive, configuration.archive.store == nil {
      throw UsageError(
        "--from archive needs archive.store: the directory or the bucket that `freshet archive` writes to")
    }
    self.configuration = configuration
    self.options = options
    tables = try ModelTables(configuration.model)
    self.logger = logger
  }

  public func run() async throws {
    Network.useOneThread()
    let outcome = RoleOutcome()
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let settings = configuration.trainer
    var machine = Trainer.Configuration(
      tables: tables, map: configuration.cluster.map, batchSize: settings.batchSize,
      microBatchSize: settings.microBatchSize, pipelineDepth: settings.pipelineDepth,
      maximumUnacknowledged: settings.maximumUnacknowledged,
      allowsGap: options.allowsGap, seed: UInt64.random(in: 0 ... .max), passes: options.stage.passes)
    machine.validation = configuration.validation
    machine.guardBounds = settings.guardSettings.bounds
    let port = options.port ?? settings.port
    let instance = StatusPort.instance(port: port)
    let feed = ExampleFeed(
      configuration: configuration, instance: instance, stage: options.stage, logger: logger)
    let cluster = configuration.cluster
    let names = ValidationNames(configuration.model, slices: settings.validation.slices)
    let endpoint = try await loop.submit { [machine, logger] in
      let writer = try makeWriter(names, trainer: instance ?? "\(ProcessMemory.processID)")
      return NIOLoopBound(
        TrainerEndpoint(
          machine: machine, cluster: cluster, loop: loop, feed: feed, outcome: outcome, names: names, writer: writer,
          logger: logger),
        eventLoop: loop)
    }.get()
    var listener: RESPServer?
    if port > 0 {
      listener = try await StatusPort.start(
        host: settings.host, port: port, password: cluster.password, name: "freshet-trainer",
        settings: configuration.settings,
        commands: [
          StatusPort.Command(description: Self.resume) { .integer(endpoint.value.resume() ? 1 : 0) }
        ], on: group
      ) {
        endpoint.value.info
      }
    }
    var metrics: HTTPServer?
    let metricsPort = options.metricsPort ?? settings.metricsPort
    if metricsPort > 0 {
      metrics = try await MetricsPort.start(
        host: settings.host, port: metricsPort, password: cluster.password, logger: logger
      ) {
        try await loop.submit { RoleReport(info: endpoint.value.info, notReady: endpoint.value.notReady) }.get()
      }
    }
    loop.execute { endpoint.value.start() }
    let ticks = loop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(100)) { _ in
      endpoint.value.tick()
    }
    logger.info("started", metadata: ["group": "\(settings.group)", "port": "\(port)"])
    async let polling: Void = WorkerThread.run("trainer-feed") { [options] in
      feed.run(failsFast: options.failsFast, outcome: outcome) { event in
        loop.execute { endpoint.value.handle(event.trainerEvent) }
      }
    }
    let result: Result<Void, any Error>
    do {
      try await outcome.wait()
      result = .success(())
    } catch {
      result = .failure(error)
    }
    outcome.finish()
    if case .success = result { await drain(endpoint, on: loop) }
    feed.finish()
    await polling
    ticks.cancel()
    try await loop.submit { endpoint.value.stop() }.get()
    await metrics?.shutdown(graceMs: 500)
    await listener?.shutdown(graceMs: 500)
    try await group.shutdownGracefully()
    try result.get()
  }

  static let resume = CommandDescription(
    name: "RESUME", arity: 1, syntax: "RESUME",
    summary: "Go on with training that the guard holds; 1 if it held any, else 0")

  /// nil if there is no topic for it.
  private func makeWriter(_ names: ValidationNames, trainer: String) throws -> ValidationWriter? {
    guard let topic = configuration.kafka.topics.validation else { return nil }
    return try ValidationWriter(
      KafkaStartup.configuration(configuration.kafka, clientID: "freshet-trainer-validation", logger: logger),
      topic: topic, names: names, trainer: trainer, intervalMs: configuration.trainer.validation.intervalMs,
      deliveryTimeoutMs: 30_000, logger: logger)
  }

  /// Most time for servers to acknowledge what they have been sent. What they have not is trained on again by the next life.
  private static let drainMs: Int64 = 2_000

  private func drain(_ endpoint: NIOLoopBound<TrainerEndpoint>, on loop: any EventLoop) async {
    let idle = loop.makePromise(of: Void.self)
    loop.execute {
      endpoint.value.drain { idle.succeed() }
      loop.assumeIsolated().scheduleTask(in: .milliseconds(Self.drainMs)) {
        endpoint.value.drain {}
        idle.succeed()
      }
    }
    // It never fails.
    try? await idle.futureResult.get()
  }
}

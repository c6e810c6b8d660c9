import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetKafka
import FreshetModel
import FreshetNet
import FreshetStore
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// What the command line of `freshet serve` may say beside the configuration.
public struct ServeOptions: Sendable {
  /// Stands above `serve.port`; 0 lets the system choose.
  public var port: Int?
  /// Stands above `serve.http_port`; 0 opens none.
  public var httpPort: Int?
  /// Whether a broker that cannot be reached at the start ends the process.
  public var failFast: Bool

  public init(port: Int?, httpPort: Int?, failFast: Bool) {
    self.port = port
    self.httpPort = httpPort
    self.failFast = failFast
  }
}

/// `freshet serve`: a weights-only copy of all shards and the item catalog, behind a RESP port.
public struct ServeRole: Service {
  private let configuration: FreshetConfiguration
  private let options: ServeOptions
  private let tables: ModelTables
  private let logger: Logger
  private let items: any ItemFeed
  private let onListening: @Sendable (Int) -> Void

  /// What saving the copy may take after SIGTERM.
  private static let lastStateMs = 5_000

  /// - Throws: `ClusterError` or `KafkaError` if the model or a Kafka property cannot be used.
  public init(configuration: FreshetConfiguration, options: ServeOptions, logger: Logger) throws {
    try self.init(
      configuration: configuration, options: options, logger: logger,
      items: KafkaItemFeed(configuration.kafka, logger: logger)
    ) { _ in }
  }

  /// - Parameter onListening: Called with the port once it is listened on.
  init(
    configuration: FreshetConfiguration, options: ServeOptions, logger: Logger, items: any ItemFeed,
    onListening: @escaping @Sendable (Int) -> Void
  ) throws {
    self.configuration = configuration
    self.options = options
    self.logger = logger
    self.items = items
    self.onListening = onListening
    tables = try ModelTables(configuration.model)
  }

  public func run() async throws {
    Network.useOneThread()
    let replicaGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let servingGroup = MultiThreadedEventLoopGroup(numberOfThreads: configuration.serving.threads)
    do {
      try await run(replica: replicaGroup.next(), serving: servingGroup)
    } catch {
      try? await servingGroup.shutdownGracefully()
      try? await replicaGroup.shutdownGracefully()
      throw error
    }
    try await servingGroup.shutdownGracefully()
    try await replicaGroup.shutdownGracefully()
  }

  private func run(replica loop: any EventLoop, serving: MultiThreadedEventLoopGroup) async throws {
    let freshness = FreshnessRecord()
    let catalog = ServingCatalog(extractor: try FeatureExtractor(configuration.model))
    let (replica, readers, state) = try await loop.submit { try makeReplica(loop, catalog, freshness) }.get()
    let limits = ServingLimits(maxCandidates: configuration.serving.maximumCandidates)
    let model = configuration.model
    let threads = try await ServingThreads.start(
      on: Array(serving.makeIterator()), freshness: freshness, state: state,
      answerChecksum: { responder in loop.execute { replica.value.answerChecksum(responder) } },
      makeEngine: {
        try ServingEngine(model: model, reader: readers.makeReader(), catalog: catalog, limits: limits)
      })
    let listener = try await listen(serving, threads)
    threads.set(listener: listener)
    let http = try await listenHTTP(threads)
    threads.set(http: http)
    onListening(listener.port)
    logger.info(
      "listening",
      metadata: [
        "listen": "\(configuration.serving.host):\(listener.port)", "http_port": "\(http?.port ?? 0)",
        "model": "\(configuration.model.name)", "servers": "\(configuration.cluster.servers.count)",
        "threads": "\(configuration.serving.threads)",
      ])
    if options.failFast, let feed = items as? KafkaItemFeed {
      do {
        try await feed.checkBroker()
      } catch {
        await http?.shutdown(graceMs: 0)
        await listener.shutdown(graceMs: 0)
        throw error
      }
    }
    try await loop.submit { replica.value.start() }.get()
    items.start { batch, applied in
      loop.execute {
        replica.value.apply(batch)
        applied()
      }
    }
    try? await gracefulShutdown()
    // News first, then requests: those in hand are answered from what is there.
    await items.stop()
    try await loop.submit { replica.value.stop() }.get()
    await saveState(replica, on: loop)
    async let closing: Void = listener.shutdown(graceMs: 2_000)
    await http?.shutdown(graceMs: 2_000)
    await closing
  }

  private func saveState(_ replica: NIOLoopBound<ReplicaLoop>, on loop: any EventLoop) async {
    let saved = loop.makePromise(of: Void.self)
    loop.execute {
      replica.value.saveState(withinMs: Self.lastStateMs) { saved.succeed() }
    }
    try? await saved.futureResult.get()
  }

  /// Called on the loop.
  private func makeReplica(
    _ loop: any EventLoop, _ catalog: ServingCatalog, _ freshness: FreshnessRecord
  ) throws -> (loop: NIOLoopBound<ReplicaLoop>, readers: ReplicaReaders, state: ReplicaStateStatus?) {
    let state = try configuration.serving.state.map { directory in
      try ReplicaStateDesk(
        directory: directory, intervalMs: configuration.serving.stateIntervalMs, tables: tables,
        shardCount: configuration.cluster.shards, settings: configuration.serving, logger: logger)
    }
    let replica = Replica(
      tables: tables, map: configuration.cluster.map, weightFormat: configuration.serving.weights,
      compressor: ZstdCompressor(level: 1), seed: UInt64.random(in: 0 ... .max), isSaved: state != nil,
      restored: state?.takeRestored())
    state?.start(replica, on: loop)
    let replicaLoop = ReplicaLoop(
      replica: replica, state: state, catalog: catalog, freshness: freshness, cluster: configuration.cluster,
      loop: loop, logger: logger)
    return (NIOLoopBound(replicaLoop, eventLoop: loop), replica.readers, state?.status)
  }

  /// - Parameter threads: What answers; they must outlive the port.
  private func listenHTTP(_ threads: ServingThreads) async throws -> HTTPServer? {
    let settings = configuration.serving
    let port = options.httpPort ?? settings.httpPort
    guard port > 0 else { return nil }
    let gateway = ServingGateway(
      service: ReplicaScoring(model: configuration.model, threads: threads),
      credentials: HTTPCredentials(password: configuration.cluster.password),
      limits: ServingLimits(maxCandidates: settings.maximumCandidates))
    return try await HTTPServer.start(.serving(host: settings.host, port: port), logger: logger) {
      await gateway.answer($0)
    }
  }

  private func listen(
    _ group: MultiThreadedEventLoopGroup, _ threads: ServingThreads
  ) async throws -> RESPServer {
    try await RESPServer.start(
      .standard(
        host: configuration.serving.host, port: options.port ?? configuration.serving.port,
        password: configuration.cluster.password, serverName: "freshet-serve", serverVersion: FreshetVersion.current,
        commands: ServingCommand.descriptions,
        settings: configuration.settings),
      on: group, handlerOn: { threads.handler(on: $0) })
  }
}

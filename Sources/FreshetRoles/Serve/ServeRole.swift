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
  private let logger: Logger
  private let makeItems: @Sendable (KafkaSettings) throws -> any ItemFeed
  private let onListening: @Sendable (Int) -> Void

  /// - Throws: `ClusterError` or `KafkaError` if the model or a Kafka property cannot be used.
  public init(configuration: FreshetConfiguration, options: ServeOptions, logger: Logger) throws {
    try configuration.checkDerived()
    self.init(
      configuration: configuration, options: options, logger: logger,
      makeItems: { try KafkaItemFeed($0, logger: logger) }
    ) { _ in }
  }

  /// - Parameters:
  ///   - makeItems: For each model that is served a feed of its own.
  ///   - onListening: Called with the port once it is listened on.
  init(
    configuration: FreshetConfiguration, options: ServeOptions, logger: Logger,
    makeItems: @escaping @Sendable (KafkaSettings) throws -> any ItemFeed,
    onListening: @escaping @Sendable (Int) -> Void
  ) {
    self.configuration = configuration
    self.options = options
    self.logger = logger
    self.makeItems = makeItems
    self.onListening = onListening
  }

  public func run() async throws {
    Network.useOneThread()
    let servingGroup = MultiThreadedEventLoopGroup(numberOfThreads: configuration.serving.threads)
    do {
      try await run(serving: servingGroup)
    } catch {
      try? await servingGroup.shutdownGracefully()
      throw error
    }
    try await servingGroup.shutdownGracefully()
  }

  private func run(serving: MultiThreadedEventLoopGroup) async throws {
    let state = try configuration.serving.state.map { try StateDirectory($0) }
    let model = try await openModel(state)
    let threads: ServingThreads
    do {
      threads = try await ServingThreads.start(
        on: Array(serving.makeIterator()), serving: model,
        limits: ServingLimits(maxCandidates: configuration.serving.maximumCandidates))
      try await run(serving, threads, state)
    } catch {
      await model.stop()
      try? await model.close()
      throw error
    }
  }

  private func run(
    _ serving: MultiThreadedEventLoopGroup, _ threads: ServingThreads, _ state: StateDirectory?
  ) async throws {
    let promotions = PromotionDesk(
      threads: threads, configured: configuration, state: state, makeItems: makeItems, logger: logger)
    threads.set(promotions: promotions)
    let listener = try await listen(serving, threads)
    threads.set(listener: listener)
    let http: HTTPServer?
    do {
      http = try await listenHTTP(threads)
      threads.set(http: http)
      noteListening(listener, http, threads)
      if options.failFast, let feed = threads.served.items as? KafkaItemFeed {
        do {
          try await feed.checkBroker()
        } catch {
          await http?.shutdown(graceMs: 0)
          throw error
        }
      }
    } catch {
      await listener.shutdown(graceMs: 0)
      throw error
    }
    try await threads.served.start()
    try? await gracefulShutdown()
    // News first, then requests: those in hand are answered from what is there.
    await promotions.stop()
    let model = threads.served
    await model.stop()
    async let closing: Void = listener.shutdown(graceMs: 2_000)
    await http?.shutdown(graceMs: 2_000)
    await closing
    try await model.close()
  }

  private func noteListening(_ listener: RESPServer, _ http: HTTPServer?, _ threads: ServingThreads) {
    onListening(listener.port)
    let configuration = threads.served.configuration
    logger.info(
      "listening",
      metadata: [
        "listen": "\(configuration.serving.host):\(listener.port)", "http_port": "\(http?.port ?? 0)",
        "model": "\(configuration.model.name)", "version": "\(configuration.model.version)",
        "servers": "\(configuration.cluster.servers.count)", "threads": "\(configuration.serving.threads)",
      ])
  }

  /// The model that the replica was promoted to last, or the configured one.
  private func openModel(_ state: StateDirectory?) async throws -> ServedModel {
    let promoted = try state.flatMap { try promotedConfiguration($0) }
    try state?.discardPromoted(but: promoted?.model.version)
    let served = promoted ?? configuration
    return try await ServedModel.open(
      served, directory: promoted.map { state?.promoted(version: $0.model.version) } ?? state,
      items: makeItems(served.kafka), logger: logger)
  }

  /// - Returns: nil if there was no promotion, or the configuration has been changed since then.
  private func promotedConfiguration(_ state: StateDirectory) throws -> FreshetConfiguration? {
    guard let record = try PromotionRecord(from: state) else { return nil }
    guard record.configured == configuration.modelDescription else {
      logger.notice(
        "the configuration names another model than the one that a promotion stood above; the promotion no longer counts",
        metadata: ["configured": "\(configuration.modelDescription)", "then": "\(record.configured)"])
      try PromotionRecord.remove(from: state)
      return nil
    }
    let promoted = configuration.serving(
      try .parse(modelText: record.promoted, source: "\(state.root)/\(PromotionRecord.fileName)"))
    logger.notice(
      "serving the model of the last promotion", metadata: ["model": "\(promoted.modelDescription)"])
    return promoted
  }

  /// - Parameter threads: What answers; they must outlive the port.
  private func listenHTTP(_ threads: ServingThreads) async throws -> HTTPServer? {
    let settings = configuration.serving
    let port = options.httpPort ?? settings.httpPort
    guard port > 0 else { return nil }
    let gateway = ServingGateway(
      service: ReplicaScoring(threads: threads),
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
      on: group, serviceOn: { threads.service(on: $0) })
  }
}

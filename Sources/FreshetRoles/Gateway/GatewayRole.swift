import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetKafka
import FreshetModel
import FreshetNet
import Logging
import NIOPosix
import ServiceLifecycle

/// `freshet gateway`: an HTTP port through which records go to Kafka.
public struct GatewayRole: Service {
  public struct Options: Sendable {
    /// The HTTP port; nil takes `gateway.port`.
    public var port: Int?
    /// The status port; nil takes `gateway.status_port`, 0 opens none.
    public var statusPort: Int?
    public var failsFast: Bool

    public init(port: Int?, statusPort: Int?, failsFast: Bool) {
      self.port = port
      self.statusPort = statusPort
      self.failsFast = failsFast
    }
  }

  /// What is in flight gets so much longer than a record may take.
  private static let graceMs = 2_000

  private let configuration: FreshetConfiguration
  private let options: Options
  private let extractor: FeatureExtractor
  private let logger: Logger

  public init(configuration: FreshetConfiguration, options: Options, logger: Logger) throws {
    try configuration.checkDerived()
    extractor = try FeatureExtractor(configuration.model)
    self.configuration = configuration
    self.options = options
    self.logger = logger
  }

  /// What the ports and the threads share.
  private struct Parts: Sendable {
    let topics: [String]
    let directory: TopicDirectory
    let sink: KafkaRecordSink
    let status: GatewayStatus

    private var notReady: String? { status.notReady(directory: directory) }
    var info: InfoText { status.info(sink: sink, topics: topics, notReady: notReady) }
    var report: RoleReport { RoleReport(info: info, notReady: notReady) }
  }

  public func run() async throws {
    let settings = configuration.gateway
    let kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-gateway", logger: logger)
    let topics = settings.writableTopics(of: configuration.kafka.topics)
    let parts = Parts(
      topics: topics, directory: TopicDirectory(kafka, topics: topics, logger: logger),
      sink: KafkaRecordSink(
        kafka, topics: topics + eventTopics.values, timeoutMs: settings.timeoutMs, bounds: settings.bounds,
        logger: logger),
      status: GatewayStatus())
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      try await run(parts, statusOn: group)
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
    try await group.shutdownGracefully()
  }

  private func run(_ parts: Parts, statusOn group: MultiThreadedEventLoopGroup) async throws {
    let http = try await listen(parts)
    let listener: RESPServer?
    do {
      listener = try await listenForStatus(parts, on: group)
    } catch {
      await http.shutdown(graceMs: 0)
      throw error
    }
    let outcome = RoleOutcome()
    // Ends when the last request has been answered, later than `outcome`.
    let answered = RoleOutcome()
    async let writing: Void = WorkerThread.run("gateway") { write(parts.sink, parts.status, outcome, until: answered) }
    async let looking: Void = WorkerThread.run("gateway-topics") {
      do {
        // What is missing is created first.
        try parts.directory.run(isReady: { parts.status.isRunning }, isStopped: { outcome.isEnded })
      } catch {
        outcome.fail(error)
      }
    }
    let result: Result<Void, any Error>
    do {
      try await outcome.wait()
      result = .success(())
    } catch {
      result = .failure(error)
    }
    parts.status.stop()
    await http.shutdown(graceMs: configuration.gateway.timeoutMs + Self.graceMs)
    answered.finish()
    await writing
    await looking
    await listener?.shutdown(graceMs: 500)
    try result.get()
  }

  /// Serves the producer. Blocks.
  private func write(
    _ sink: KafkaRecordSink, _ status: GatewayStatus, _ outcome: RoleOutcome, until answered: RoleOutcome
  ) {
    do {
      try KafkaStartup.prepare(
        configuration.kafka, clientID: "freshet-gateway", failsFast: options.failsFast, logger: logger
      ) {
        outcome.isEnded
      }
      status.run()
      try sink.run { answered.isEnded }
    } catch {
      if !outcome.isEnded { outcome.fail(error) }
    }
  }

  private func listen(_ parts: Parts) async throws -> HTTPServer {
    let gateway = makeGateway(parts)
    let http = try await HTTPServer.start(
      httpConfiguration, logger: logger, refusal: { gateway.refuse($0, path: $1) },
      handler: { await gateway.answer($0) })
    parts.status.set(http: http)
    logger.info(
      "listening",
      metadata: [
        "listen": "\(configuration.gateway.host):\(http.port)", "topics": "\(parts.topics.joined(separator: ","))",
      ])
    return http
  }

  private func listenForStatus(_ parts: Parts, on group: MultiThreadedEventLoopGroup) async throws -> RESPServer? {
    let port = options.statusPort ?? configuration.gateway.statusPort
    guard port > 0 else { return nil }
    return try await StatusPort.start(
      host: configuration.gateway.host, port: port, password: configuration.cluster.password, name: "freshet-gateway",
      settings: configuration.settings, commands: [], on: group
    ) {
      parts.info
    }
  }

  private var eventTopics: [EventKind: String] {
    let topics = configuration.kafka.topics
    return [.impressions: topics.features, .actions: topics.actions, .items: topics.items]
  }

  private func makeGateway(_ parts: Parts) -> Gateway {
    let joiner = configuration.joiner.machine
    let maxBytes = configuration.kafka.maxRecordBytes
    let maxRecords = configuration.gateway.bounds.records
    let extractor = extractor
    let sink = CountingSink(sink: parts.sink, status: parts.status)
    return Gateway(
      proxy: RestProxy(names: parts.topics, directory: parts.directory, sink: sink, maxRecords: maxRecords),
      sink: sink, eventTopics: eventTopics,
      validators: ValidatorPool { RecordValidator(extractor, config: joiner, maxBytes: maxBytes) },
      maxRecords: maxRecords, credentials: HTTPCredentials(password: configuration.cluster.password),
      status: parts.status, clock: { UnixTime.now() }, report: { parts.report })
  }

  private var httpConfiguration: HTTPServerConfiguration {
    let settings = configuration.gateway
    var http = HTTPServerConfiguration.serving(
      host: settings.host, port: options.port ?? settings.port ?? GatewayConfiguration.standardPort)
    http.maxBodyBytes = settings.maxBodyBytes
    // Bodies wait for their records: what may be in flight bounds them too.
    http.maxBodyBytesInHand = settings.bounds.bytes
    return http
  }
}

/// Counts what becomes of the records that go through.
private struct CountingSink: RecordSink {
  let sink: KafkaRecordSink
  let status: GatewayStatus

  func write(_ records: [OutgoingRecord]) async throws(WriteRefusal) -> [KafkaDelivery] {
    let deliveries = try await sink.write(records)
    status.note(records, deliveries)
    return deliveries
  }
}

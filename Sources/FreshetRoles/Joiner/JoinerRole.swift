import Foundation
import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetModel
import FreshetNet
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// `freshet joiner`: one thread that joins the partitions it is assigned.
public struct JoinerRole: Service {
  public struct Options: Sendable {
    /// Of the status port; nil takes `joiner.port`, 0 opens none.
    public var port: Int?
    /// Of the metrics port; nil takes `joiner.metrics_port`, 0 opens none.
    public var metricsPort: Int?
    public var failsFast: Bool

    public init(port: Int?, metricsPort: Int?, failsFast: Bool) {
      self.port = port
      self.metricsPort = metricsPort
      self.failsFast = failsFast
    }
  }

  private let configuration: FreshetConfiguration
  private let options: Options
  private let extractor: FeatureExtractor
  private let logger: Logger

  public init(configuration: FreshetConfiguration, options: Options, logger: Logger) throws {
    self.configuration = configuration
    self.options = options
    extractor = try FeatureExtractor(configuration.model)
    self.logger = logger
  }

  public func run() async throws {
    let outcome = RoleOutcome()
    let status = JoinerStatus()
    let settings = configuration.joiner
    let port = options.port ?? settings.port
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    var listener: RESPServer?
    if port > 0 {
      listener = try await StatusPort.start(
        host: settings.host, port: port, password: configuration.cluster.password, name: "freshet-joiner",
        settings: configuration.settings, commands: [], on: group
      ) {
        status.info
      }
    }
    var metrics: HTTPServer?
    let metricsPort = options.metricsPort ?? settings.metricsPort
    if metricsPort > 0 {
      metrics = try await MetricsPort.start(
        host: settings.host, port: metricsPort, password: configuration.cluster.password, logger: logger
      ) {
        RoleReport(info: status.info, notReady: status.notReady)
      }
    }
    logger.info("started", metadata: ["group": "\(settings.group)", "port": "\(port)"])
    async let joining: Void = WorkerThread.run("joiner") { [self] in
      do {
        try KafkaStartup.prepare(
          configuration.kafka, clientID: "freshet-joiner", failsFast: options.failsFast, logger: logger
        ) {
          outcome.isEnded
        }
        let instance = StatusPort.instance(port: port)
        let id =
          try instance.map {
            try JoinerLives(configuration, instance: $0, logger: logger).begin { outcome.isEnded }
          } ?? "\(settings.group)-\(UUID().uuidString)"
        let loop = try JoinerLoop(
          configuration: configuration, extractor: extractor, instance: instance, transactionalID: id, status: status,
          logger: logger)
        status.update { $0.isRunning = true }
        try loop.run { outcome.isEnded }
        outcome.finish()
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
    await joining
    await metrics?.shutdown(graceMs: 500)
    await listener?.shutdown(graceMs: 500)
    try await group.shutdownGracefully()
    try result.get()
  }
}

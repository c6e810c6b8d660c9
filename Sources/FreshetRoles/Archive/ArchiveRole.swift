import Foundation
import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetKafka
import FreshetNet
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// `freshet archive`: one thread that reads topics and writes them to files.
public struct ArchiveRole: Service {
  public struct Options: Sendable {
    /// Instead of `archive.topics`; empty takes those.
    public var topics: [String]
    /// Of the status port; nil takes `archive.port`, 0 opens none.
    public var port: Int?
    /// Of the metrics port; nil takes `archive.metrics_port`, 0 opens none.
    public var metricsPort: Int?
    public var failsFast: Bool
    public var allowsGap: Bool

    public init(topics: [String], port: Int?, metricsPort: Int?, failsFast: Bool, allowsGap: Bool) {
      self.topics = topics
      self.port = port
      self.metricsPort = metricsPort
      self.failsFast = failsFast
      self.allowsGap = allowsGap
    }
  }

  private let configuration: FreshetConfiguration
  private let options: Options
  private let topics: [ArchivedTopic]
  private let logger: Logger

  public init(configuration: FreshetConfiguration, options: Options, logger: Logger) throws {
    guard configuration.archive.store != nil else {
      throw UsageError(
        "archive.store is not set: it names the directory or the bucket (s3://bucket/prefix) of the archive")
    }
    topics = try ArchivedTopic.all(configuration, named: options.topics)
    self.configuration = configuration
    self.options = options
    self.logger = logger
  }

  public func run() async throws {
    let outcome = RoleOutcome()
    let status = ArchiveStatus()
    let settings = configuration.archive
    let port = options.port ?? settings.port
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    var listener: RESPServer?
    if port > 0 {
      listener = try await StatusPort.start(
        host: settings.host, port: port, password: configuration.cluster.password, name: "freshet-archive",
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
    logger.info(
      "started",
      metadata: [
        "group": "\(settings.group)", "port": "\(port)", "topics": "\(topics.map(\.name).joined(separator: ","))",
      ])
    async let archiving: Void = WorkerThread.run("archive") { [self] in
      do {
        try KafkaStartup.prepare(
          configuration.kafka, clientID: "freshet-archive", failsFast: options.failsFast, logger: logger
        ) {
          outcome.isEnded
        }
        let loop = try ArchiveLoop(
          configuration: configuration, topics: topics, instance: StatusPort.instance(port: port),
          allowsGap: options.allowsGap, status: status, logger: logger)
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
    await archiving
    await metrics?.shutdown(graceMs: 500)
    await listener?.shutdown(graceMs: 500)
    try await group.shutdownGracefully()
    try result.get()
  }
}

/// A topic and what its files hold.
struct ArchivedTopic: Sendable {
  let name: String
  let content: ArchiveContent

  /// The examples are kept as they are, so that they can be trained on; every other topic becomes lines of JSON.
  static func all(_ configuration: FreshetConfiguration, named names: [String]) throws(UsageError) -> [ArchivedTopic] {
    let examples = configuration.kafka.topics.examples
    let chosen = !names.isEmpty ? names : configuration.archive.topics
    let wanted = chosen.isEmpty ? [examples] : chosen
    if let twice = wanted.first(where: { name in wanted.count { $0 == name } > 1 }) {
      throw UsageError("the topic \(twice) is named twice")
    }
    var topics: [ArchivedTopic] = []
    for name in wanted {
      let content = name == examples ? ArchiveContent.records : .jsonLines
      let longest = ArchiveFileName(
        topic: name, partition: PartitionID(.max), first: Offset(.max), day: ArchiveDay(days: 0), content: content)
      guard StoredFileName.isValid(longest.name) else {
        throw UsageError(
          "the topic `\(name)` cannot be part of a file's name: it is too long, or has other than A-Z a-z 0-9 . _ -")
      }
      topics.append(ArchivedTopic(name: name, content: content))
    }
    return topics
  }
}

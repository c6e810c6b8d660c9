import Foundation
import FreshetCore
import FreshetKafka
import FreshetNet
import FreshetWire
import Histogram
import Logging
import NIOPosix

/// `freshet bench e2e`: a whole cluster under events at a fixed rate, and how long it takes from the writing of an action
/// to Kafka until a score that a replica gives has learned from it. Measured from outside: nothing of the cluster's own
/// bookkeeping is used, which is printed beside it.
public struct EndToEndBenchmark: Sendable {
  public struct Settings: Sendable {
    /// Impressions with an action each.
    public var eventsPerSecond: Double
    public var probesPerSecond: Double
    public var warmUpSeconds: Double
    public var seconds: Double
    public var users: Int
    public var items: Int
    public var trainers: Int
    public var seed: UInt64
    public var logPath: String

    public init(
      eventsPerSecond: Double, probesPerSecond: Double, warmUpSeconds: Double, seconds: Double, users: Int, items: Int,
      trainers: Int, seed: UInt64, logPath: String
    ) {
      self.eventsPerSecond = eventsPerSecond
      self.probesPerSecond = probesPerSecond
      self.warmUpSeconds = warmUpSeconds
      self.seconds = seconds
      self.users = users
      self.items = items
      self.trainers = trainers
      self.seed = seed
      self.logPath = logPath
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    public var events_per_s: Double
    public var events_per_s_written: Double
    public var seconds: Double
    public var sync_interval_ms: Int
    public var trainers: Int
    public var probes: Int
    /// Probes whose score had not moved when the run ended.
    public var lost: Int
    public var p50_ms: Double
    public var p90_ms: Double
    public var p99_ms: Double
    public var max_ms: Double
    /// Of the replica's own estimates over five seconds each, the median.
    public var replica_p50_ms: Double?
    public var replica_p99_ms: Double?
  }

  /// A number beyond those of `users`.
  private static let control = 900_000_000
  private static let pollMs = 4
  private static let startSeconds = 60.0
  private static let lastProbesSeconds = 30.0

  private let settings: Settings
  private let configuration: FreshetConfiguration
  private let executable: String
  /// Of `freshet up`.
  private let arguments: [String]
  private let logger: Logger

  /// - Parameters:
  ///   - configuration: With topics and groups that nobody else uses.
  ///   - executable: This program.
  ///   - arguments: What makes a child process load the same configuration.
  public init(
    _ settings: Settings, configuration: FreshetConfiguration, executable: String, arguments: [String], logger: Logger
  ) {
    self.settings = settings
    self.configuration = configuration
    self.executable = executable
    self.arguments = ["up", "--trainers", "\(settings.trainers)", "--replicas", "1"] + arguments
    self.logger = logger
  }

  /// - Throws: If the broker cannot be reached, the cluster does not come up, or nothing more can be written.
  public func run(progress: (String) -> Void) async throws -> Report {
    let kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-bench", logger: logger)
    try KafkaStartup.prepare(configuration.kafka, clientID: "freshet-bench", failsFast: true, logger: logger) { false }
    let load = EventLoad(
      EventLoad.Settings(
        eventsPerSecond: settings.eventsPerSecond, users: settings.users, items: settings.items, seed: settings.seed),
      model: configuration.model, kafka: kafka, topics: configuration.kafka.topics)
    try load.writeItems()
    progress("starting the cluster; its log is \(settings.logPath)")
    let cluster = try ClusterProcess(executable: executable, arguments: arguments, logPath: settings.logPath)
    do {
      let report = try await measure(load, cluster, progress)
      await cluster.stop()
      return report
    } catch {
      load.stop()
      await cluster.stop()
      throw error
    }
  }

  private func measure(
    _ load: EventLoad, _ cluster: ClusterProcess, _ progress: (String) -> Void
  ) async throws -> Report {
    let connection = try await connect(cluster)
    let client = ProbeClient(connection: connection, model: configuration.model, control: Self.control)
    try await waitUntilReady(client, cluster)
    async let writing: Void = WorkerThread.run("events") { load.run() }
    progress("\(Int(settings.eventsPerSecond)) events/s; measuring \(Int(settings.seconds)) s after a warm-up")
    try await Task.sleep(for: .seconds(settings.warmUpSeconds))
    var run = ProbeRun(
      settings.probesPerSecond, seconds: settings.seconds, items: settings.items, control: Self.control)
    while !run.isOver(now: .now(), lastProbesSeconds: Self.lastProbesSeconds) {
      if let failure = load.failure { throw UsageError("cannot write events: \(failure)") }
      guard cluster.isRunning else { throw UsageError("the cluster has ended; see \(settings.logPath)") }
      try await run.step(client, load)
      try await Task.sleep(for: .milliseconds(Self.pollMs))
    }
    let written = load.achievedRate
    load.stop()
    await writing
    await connection.close()
    return report(run, written: written)
  }

  private func connect(_ cluster: ClusterProcess) async throws -> RESPConnection {
    let deadline = Instant.now().advanced(bySeconds: Self.startSeconds)
    let serving = configuration.serving
    while true {
      do {
        return try await RESPConnection.connect(
          .standard(host: serving.host, port: serving.port, password: configuration.cluster.password),
          on: MultiThreadedEventLoopGroup.singleton)
      } catch {
        guard cluster.isRunning, Instant.now() < deadline else {
          throw UsageError("the cluster did not come up (\(error)); see \(settings.logPath)")
        }
        try await Task.sleep(for: .milliseconds(100))
      }
    }
  }

  private func waitUntilReady(_ client: ProbeClient, _ cluster: ClusterProcess) async throws {
    let deadline = Instant.now().advanced(bySeconds: Self.startSeconds)
    while true {
      do {
        _ = try await client.difference(user: Self.control, item: 1)
        return
      } catch let error as WireError {
        guard error.kind == .loading, cluster.isRunning, Instant.now() < deadline else { throw error }
        try await Task.sleep(for: .milliseconds(100))
      }
    }
  }

  private func report(_ run: ProbeRun, written: Double) -> Report {
    let latencies = run.latencies
    func milliseconds(_ percent: Double) -> Double {
      Double(min(latencies.maxRecorded, latencies.valueAtPercentile(percent))) / 1000
    }
    func median(_ key: String) -> Double? {
      let values = run.estimates.compactMap { $0[key] }.sorted()
      return values.isEmpty ? nil : values[values.count / 2]
    }
    return Report(
      events_per_s: settings.eventsPerSecond, events_per_s_written: written, seconds: settings.seconds,
      sync_interval_ms: configuration.parameterServer.syncIntervalMs, trainers: settings.trainers,
      probes: Int(latencies.totalCount), lost: run.outstanding, p50_ms: milliseconds(50), p90_ms: milliseconds(90),
      p99_ms: milliseconds(99), max_ms: Double(latencies.maxRecorded) / 1000,
      replica_p50_ms: median("recent_p50_ms"), replica_p99_ms: median("recent_p99_ms"))
  }
}

extension EndToEndBenchmark.Report {
  /// Lines for people.
  public var text: String {
    func number(_ value: Double?) -> String { value.map { String(format: "%.0f", $0) } ?? "-" }
    return """
      events       \(number(events_per_s_written))/s of \(number(events_per_s))/s asked for, \(number(seconds)) s; \
      \(trainers) trainers, sync every \(sync_interval_ms) ms
      freshness    p50 \(number(p50_ms)) ms   p90 \(number(p90_ms))   p99 \(number(p99_ms))   max \(number(max_ms))   \
      (\(probes) probes, \(lost) lost)
      replica says p50 \(number(replica_p50_ms)) ms   p99 \(number(replica_p99_ms))
      """
  }
}

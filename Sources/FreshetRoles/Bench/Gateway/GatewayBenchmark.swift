import Foundation
import FreshetCore
import FreshetKafka
import FreshetModel
import FreshetWire
import Logging
import NIOCore
import NIOPosix

/// `freshet bench gateway`: impressions through a running gateway, and how long their acknowledgements take; or the same
/// records by a producer of Kafka's, for comparison. For clusters that were made for measuring: the records stay.
public struct GatewayBenchmark: Sendable {
  public struct Settings: Sendable {
    public var host: String
    public var port: Int
    public var recordsPerRequest: Int
    /// Requests a second; nil sends as many as are answered.
    public var rate: Double?
    public var connections: Int
    /// Requests under way on each connection when there is no rate.
    public var pipeline: Int
    public var warmUpSeconds: Double
    public var seconds: Double
    public var seed: UInt64

    public init(
      host: String, port: Int, recordsPerRequest: Int, rate: Double?, connections: Int, pipeline: Int,
      warmUpSeconds: Double, seconds: Double, seed: UInt64
    ) {
      self.host = host
      self.port = port
      self.recordsPerRequest = recordsPerRequest
      self.rate = rate
      self.connections = connections
      self.pipeline = pipeline
      self.warmUpSeconds = warmUpSeconds
      self.seconds = seconds
      self.seed = seed
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    /// Of requests asked for; missing when as many were sent as were answered.
    public var rate: Double?
    public var connections: Int
    public var pipeline: Int
    public var records_per_request: Int
    public var bytes_per_record: Double
    public var seconds: Double
    public var requests: UInt64
    public var requests_per_s: Double
    public var records_per_s: Double
    public var errors: Int
    public var first_error: String?
    public var p50_us: Double
    public var p90_us: Double
    public var p99_us: Double
    public var p999_us: Double
    public var max_us: Double
  }

  /// Fields as `--native --json` prints them.
  public struct NativeReport: Codable, Sendable {
    public var records: Int
    public var bytes_per_record: Double
    public var seconds: Double
    public var records_per_s: Double
  }

  private typealias Record = (key: [UInt8], value: [UInt8])

  /// Different requests that are made before the clock runs, and then sent in turn.
  private static let requestCount = 64
  private static let users = 6_040
  private static let items = 3_952
  private static let path = "/v1/impressions"

  private let settings: Settings
  private let configuration: FreshetConfiguration

  public init(_ settings: Settings, configuration: FreshetConfiguration) {
    self.settings = settings
    self.configuration = configuration
  }

  // MARK: - Through the gateway

  /// - Throws: If there is no connection.
  public func run() async throws -> Report {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      let report = try await run(on: group.next())
      try await group.shutdownGracefully()
      return report
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
  }

  private func run(on loop: any EventLoop) async throws -> Report {
    let requests = makeRequests()
    let bodies = requests.map { records in
      var body = ByteBuffer(string: "[")
      for (index, record) in records.enumerated() {
        if index > 0 { body.writeString(",") }
        body.writeBytes(record.value)
      }
      body.writeString("]")
      return body
    }
    var connections: [NIOLoopBound<HTTPLoadConnection>] = []
    for _ in 0..<settings.connections {
      connections.append(
        try await HTTPLoadConnection.connect(
          host: settings.host, port: settings.port, path: Self.path, password: configuration.cluster.password, on: loop
        ).get())
    }
    let load = RequestLoad.Settings(
      rate: settings.rate, pipeline: settings.pipeline, warmUpSeconds: settings.warmUpSeconds, seconds: settings.seconds
    )
    let connected = connections
    let outcome = try await loop.flatSubmit {
      RequestLoad(load, clients: connected.map(\.value), requests: bodies, loop: loop).run()
    }.get()
    try await loop.submit { for connection in connected { connection.value.close() } }.get()
    return Report(
      rate: settings.rate, connections: settings.connections, pipeline: settings.pipeline,
      records_per_request: settings.recordsPerRequest, bytes_per_record: Self.meanBytes(requests),
      seconds: outcome.seconds, requests: outcome.latencies.totalCount, requests_per_s: outcome.requestsPerSecond,
      records_per_s: outcome.requestsPerSecond * Double(settings.recordsPerRequest), errors: outcome.errors,
      first_error: outcome.firstError?.description, p50_us: outcome.microseconds(50), p90_us: outcome.microseconds(90),
      p99_us: outcome.microseconds(99), p999_us: outcome.microseconds(99.9), max_us: outcome.microseconds(100))
  }

  // MARK: - By Kafka's own protocol

  /// Writes the same records with an idempotent producer in this process, as many as the broker acknowledges.
  /// - Throws: `KafkaError` if the broker does not take them.
  public func runNative(logger: Logger) throws -> NativeReport {
    let kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-bench", logger: logger)
    let producer = try KafkaProducer(kafka)
    let topic = try producer.topic(configuration.kafka.topics.features)
    let records = makeRequests().flatMap { $0 }
    try producer.produce(topic, partition: nil, key: records[0].key, value: records[0].value)
    try producer.flush(timeoutMs: 30_000)
    let start = Instant.now()
    let end = start.advanced(bySeconds: settings.seconds)
    var count = 0
    while Instant.now() < end {
      for _ in 0..<1_000 {
        let record = records[count % records.count]
        try producer.produce(topic, partition: nil, key: record.key, value: record.value)
        count += 1
      }
    }
    try producer.flush(timeoutMs: 60_000)
    let seconds = Instant.now().milliseconds(since: start) / 1000
    return NativeReport(
      records: count, bytes_per_record: Self.meanBytes([records]), seconds: seconds,
      records_per_s: Double(count) / seconds)
  }

  private func makeRequests() -> [[Record]] {
    var generator = SeededGenerator(seed: settings.seed)
    let events = EventRecords(
      model: configuration.model, prefix: "bench-" + String(UInt64.random(in: 0 ... .max), radix: 16))
    var request = 0
    return (0..<Self.requestCount).map { _ in
      (0..<settings.recordsPerRequest).map { _ in
        request += 1
        var record: Record = ([], [])
        events.impression(
          request: request, user: Int.random(in: 1...Self.users, using: &generator),
          item: Int.random(in: 1...Self.items, using: &generator), time: UnixTime.now()
        ) { record = (Array($0), Array($1)) }
        return record
      }
    }
  }

  private static func meanBytes(_ requests: [[Record]]) -> Double {
    let count = requests.reduce(0) { $0 + $1.count }
    return Double(requests.joined().reduce(0) { $0 + $1.value.count }) / Double(max(1, count))
  }
}

extension GatewayBenchmark.Report {
  /// Lines for people.
  public var text: String {
    func number(_ value: Double) -> String { String(format: value < 100 ? "%.2f" : "%.0f", value) }
    var lines = [
      "requests     \(requests) in \(number(seconds)) s on \(connections) connections, \(errors) errors",
      "rate         \(number(requests_per_s)) requests/s" + (rate.map { " of \(number($0)) asked for" } ?? "")
        + ", \(number(records_per_s)) records/s of \(number(bytes_per_record)) bytes",
      "latency      p50 \(number(p50_us)) µs   p90 \(number(p90_us))   p99 \(number(p99_us))   "
        + "p99.9 \(number(p999_us))   max \(number(max_us))",
    ]
    if let first_error { lines.append("first error  \(first_error)") }
    return lines.joined(separator: "\n")
  }
}

import Foundation
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore
import NIOPosix

/// `freshet bench serve`: requests to a serving replica (or to any RESP port), and how long their answers take.
public struct ServeBenchmark: Sendable {
  public struct Settings: Sendable {
    public var host: String
    public var port: Int
    public var password: String?
    /// The command, with `{a..b}` where random integers are to be (`RequestTemplate`).
    public var words: [String]
    /// Requests a second; nil sends as many as are answered.
    public var rate: Double?
    public var connections: Int
    /// Requests under way on each connection when there is no rate.
    public var pipeline: Int
    public var warmUpSeconds: Double
    public var seconds: Double
    public var seed: UInt64

    public init(
      host: String, port: Int, password: String?, words: [String], rate: Double?, connections: Int, pipeline: Int,
      warmUpSeconds: Double, seconds: Double, seed: UInt64
    ) {
      self.host = host
      self.port = port
      self.password = password
      self.words = words
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
    /// Asked for; missing when as many were sent as were answered.
    public var rate: Double?
    public var connections: Int
    public var pipeline: Int
    public var seconds: Double
    public var requests: UInt64
    public var requests_per_s: Double
    /// Candidates of one request, and of all in a second.
    public var candidates: Int
    public var candidates_per_s: Double
    public var errors: Int
    public var first_error: String?
    public var p50_us: Double
    public var p90_us: Double
    public var p99_us: Double
    public var p999_us: Double
    public var max_us: Double
  }

  /// Different requests that are made before the clock runs, and then sent in turn.
  private static let requestCount = 4096
  private static let requestBytes = 64 << 20

  private let settings: Settings
  private let template: RequestTemplate

  /// - Throws: If the command cannot be read.
  public init(_ settings: Settings) throws(UsageError) {
    self.settings = settings
    template = try RequestTemplate(settings.words)
  }

  /// - Throws: `NetError` if there is no connection.
  public func run() async throws -> Report {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      let outcome = try await run(on: group.next())
      try await group.shutdownGracefully()
      return report(outcome)
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
  }

  private func run(on loop: any EventLoop) async throws -> RequestLoad.Outcome {
    var configuration = RESPClientConfiguration.standard(
      host: settings.host, port: settings.port, password: settings.password)
    // An open loop sends whatever happens; what can be under way is bounded by rate and time.
    configuration.maxPendingRequests =
      settings.rate.map { Int($0 * (settings.warmUpSeconds + settings.seconds)) + 1 }
      ?? settings.pipeline
    configuration.replyTimeoutMs = 60_000
    let requests = makeRequests()
    var clients: [RESPClient] = []
    for _ in 0..<settings.connections {
      clients.append(try await RESPClient.connect(configuration, on: loop).get())
    }
    let load = RequestLoad.Settings(
      rate: settings.rate, pipeline: settings.pipeline, warmUpSeconds: settings.warmUpSeconds,
      seconds: settings.seconds)
    let connected = clients
    let outcome = try await loop.flatSubmit {
      RequestLoad(load, clients: connected, requests: requests, loop: loop).run()
    }.get()
    try await loop.submit { for client in connected { client.close() } }.get()
    return outcome
  }

  private func makeRequests() -> [ByteBuffer] {
    var generator = SeededGenerator(seed: settings.seed)
    var requests: [ByteBuffer] = []
    var bytes = 0
    while requests.count < Self.requestCount && bytes < Self.requestBytes {
      requests.append(template.encoded(using: &generator))
      bytes += requests.last!.readableBytes
    }
    return requests
  }

  private func report(_ outcome: RequestLoad.Outcome) -> Report {
    let perSecond = outcome.requestsPerSecond
    return Report(
      rate: settings.rate, connections: settings.connections, pipeline: settings.pipeline, seconds: outcome.seconds,
      requests: outcome.latencies.totalCount, requests_per_s: perSecond, candidates: template.candidates,
      candidates_per_s: perSecond * Double(template.candidates), errors: outcome.errors,
      first_error: outcome.firstError?.description, p50_us: outcome.microseconds(50), p90_us: outcome.microseconds(90),
      p99_us: outcome.microseconds(99), p999_us: outcome.microseconds(99.9), max_us: outcome.microseconds(100))
  }
}

extension ServeBenchmark.Report {
  /// Lines for people.
  public var text: String {
    func number(_ value: Double) -> String { String(format: value < 100 ? "%.2f" : "%.0f", value) }
    var lines = [
      "requests     \(requests) in \(number(seconds)) s on \(connections) connections, \(errors) errors",
      "rate         \(number(requests_per_s)) requests/s" + (rate.map { " of \(number($0)) asked for" } ?? "")
        + (candidates == 1 ? "" : ", \(number(candidates_per_s)) candidates/s"),
      "latency      p50 \(number(p50_us)) µs   p90 \(number(p90_us))   p99 \(number(p99_us))   "
        + "p99.9 \(number(p999_us))   max \(number(max_us))",
    ]
    if let first_error { lines.append("first error  \(first_error)") }
    return lines.joined(separator: "\n")
  }
}

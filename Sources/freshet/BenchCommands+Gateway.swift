import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct Gateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send impressions to a running gateway and take the time to their acknowledgement.",
      discussion: """
        The records fit the configured model and stay in the topic of impressions: for clusters made for measuring. With --rate \
        requests leave when they are due, answered or not, and a latency counts from the time the request was due. --native \
        writes the same records by Kafka's own protocol from this process, without the gateway: the limit.

        EXAMPLES:
          freshet bench gateway --json
          freshet bench gateway --records 20 --rate 500 --seconds 5
          freshet bench gateway --native
        """)

    @OptionGroup var configuration: ConfigurationOptions
    @OptionGroup var log: LogOptions
    @Option(name: .customLong("host"), help: "Where the gateway listens.") var address = "127.0.0.1"
    @Option(name: .shortAndLong, help: "Its HTTP port, instead of gateway.port.") var port: Int?
    @Option(help: "Impressions in a request.") var records = 100
    @Option(help: "Requests a second; default: as many as are answered.") var rate: Double?
    @Option(help: "Connections.") var connections = 16
    @Option(help: "Without --rate: requests under way on each connection.") var pipeline = 1
    @Option(help: "Seconds that are measured.") var seconds = 10.0
    @Option(help: "Seconds before them.") var warmUp = 1.0
    @Option(help: "Seed of users and items.") var seed: UInt64 = 1
    @Flag(help: "Without the gateway, by a producer in this process.") var native = false
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("records", Double(records), 1...100_000), ("rate", rate ?? 1, 0.1...10_000_000),
        ("connections", Double(connections), 1...10_000), ("pipeline", Double(pipeline), 1...1_000),
        ("seconds", seconds, 0.1...86_400), ("warm-up", warmUp, 0...3600),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() async throws {
      let settings = try configuration.load()
      let benchmark = GatewayBenchmark(
        GatewayBenchmark.Settings(
          host: address, port: port ?? settings.gateway.port ?? 8082, recordsPerRequest: records, rate: rate,
          connections: connections, pipeline: pipeline, warmUpSeconds: warmUp, seconds: seconds, seed: seed),
        configuration: settings)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      if native {
        let report = try benchmark.runNative(logger: log.logger(role: "bench"))
        return print(
          json
            ? String(decoding: try encoder.encode(report), as: UTF8.self)
            : "\(report.records) records of \(Int(report.bytes_per_record)) bytes, \(Int(report.records_per_s)) records/s"
        )
      }
      let report = try await benchmark.run()
      print(json ? String(decoding: try encoder.encode(report), as: UTF8.self) : report.text)
      if report.requests == 0 { throw ExitCode(1) }
    }
  }
}

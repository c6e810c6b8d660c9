import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send requests to a serving replica and take their latencies.",
      discussion: """
        With --rate requests leave when they are due, answered or not, and a latency counts from the time the request was \
        due: a server that stalls is charged for all that waited (no coordinated omission). Without it each connection \
        keeps --pipeline requests under way, which measures throughput.

        In the command, {a..b} stands for a random integer, and a word that ends with *n for n words: \
        item_id '{1..3952}*100' are a hundred candidates.

        EXAMPLES:
          freshet bench serve --rate 2000 SCORE movielens 'user_id={1..6040}'
          freshet bench serve --pipeline 16 RECOMMEND movielens user_id=1 TOPK 10
        """)

    @Option(name: .customLong("host"), help: "Where the replica listens.") var address = "127.0.0.1"
    @Option(name: .shortAndLong, help: "Its port.") var port = 7000
    @Option(help: "The password, if the port asks for one; else the variable FRESHET_PASSWORD.")
    var password: String?
    @Option(help: "Requests a second; default: as many as are answered.") var rate: Double?
    @Option(help: "Connections.") var connections = 50
    @Option(help: "Without --rate: requests under way on each connection.") var pipeline = 1
    @Option(help: "Seconds that are measured.") var seconds = 10.0
    @Option(help: "Seconds before them.") var warmUp = 1.0
    @Option(help: "Seed of the random integers.") var seed: UInt64 = 1
    @Flag(help: "Print one JSON object.") var json = false
    @Argument(parsing: .remaining, help: "The command.")
    var words: [String] = []

    func validate() throws {
      for (name, value, range) in [
        ("rate", rate ?? 1, 0.1...10_000_000), ("connections", Double(connections), 1...10_000),
        ("pipeline", Double(pipeline), 1...100_000), ("seconds", seconds, 0.1...86_400), ("warm-up", warmUp, 0...3600),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() async throws {
      let report = try await ServeBenchmark(
        ServeBenchmark.Settings(
          host: address, port: port, password: password ?? ProcessInfo.processInfo.environment["FRESHET_PASSWORD"],
          words: words, rate: rate, connections: connections, pipeline: pipeline, warmUpSeconds: warmUp,
          seconds: seconds, seed: seed)
      ).run()
      if json {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
      } else {
        print(report.text)
      }
      if report.requests == 0 { throw ExitCode(1) }
    }
  }
}

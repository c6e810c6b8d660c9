import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct EndToEnd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "e2e",
      abstract: "Run a cluster under events at a fixed rate and take the time until a replica's scores have learned.",
      discussion: """
        Starts parameter servers, joiner, trainers and one replica as processes of their own, on topics and groups of \
        their own on the configured broker, and stops them at the end. An event is an impression and its action. Probes are \
        actions of users that nobody knows; their time runs from the writing of the action to Kafka until a SCORE of the \
        replica, asked for every few milliseconds, has moved. `replica says` is the replica's own estimate from ingest times.

        EXAMPLES:
          freshet bench e2e --rate 10000 --seconds 60
        """)

    @OptionGroup var configuration: ConfigurationOptions
    @OptionGroup var log: LogOptions
    @Option(help: "Events a second.") var rate = 10_000.0
    @Option(help: "Probes a second.") var probes = 20.0
    @Option(help: "Seconds that are measured.") var seconds = 60.0
    @Option(help: "Seconds of events before them.") var warmUp = 10.0
    @Option(help: "Users that events are of.") var users = 6040
    @Option(help: "Items of the catalog.") var items = 3706
    @Option(help: "Trainers.") var trainers = 1
    @Option(help: "Seed of users and items.") var seed: UInt64 = 1
    @Option(help: "Where the cluster's output goes.") var clusterLog = ".freshet/bench-e2e/cluster.log"
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("rate", rate, 0.1...10_000_000), ("probes", probes, 0.1...1_000), ("seconds", seconds, 1...86_400),
        ("warm-up", warmUp, 0...3600), ("users", Double(users), 1...1e8), ("items", Double(items), 1...1e6),
        ("trainers", Double(trainers), 1...1000),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() async throws {
      let run = String(UInt32.random(in: 0 ... .max), radix: 16)
      var own = configuration
      for topic in ["features", "actions", "items", "examples", "dead_letter", "validation"] {
        own.overrides.append("kafka.topics.\(topic)=bench-\(run)-\(topic)")
      }
      // What an earlier cluster saved belongs to topics that this one does not read.
      let store = URL(fileURLWithPath: clusterLog).deletingLastPathComponent().appendingPathComponent(
        "snapshots-\(run)")
      defer { try? FileManager.default.removeItem(at: store) }
      own.overrides.append("snapshot.store=\(store.path)")
      for role in ["trainer", "joiner"] { own.overrides.append("\(role).group=bench-\(run)-\(role)") }
      guard let executable = Bundle.main.executablePath else {
        throw UsageError("the path of the program is not known")
      }
      let report = try await EndToEndBenchmark(
        EndToEndBenchmark.Settings(
          eventsPerSecond: rate, probesPerSecond: probes, warmUpSeconds: warmUp, seconds: seconds, users: users,
          items: items, trainers: trainers, seed: seed, logPath: clusterLog),
        configuration: try own.load(), executable: executable, arguments: own.arguments,
        logger: log.logger(role: "bench")
      ).run { line in FileHandle.standardError.write(Data("bench: \(line)\n".utf8)) }
      if json {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
      } else {
        print(report.text)
      }
      if report.lost > 0 || report.probes == 0 { throw ExitCode(1) }
    }
  }

  struct Push: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Push gradients of random rows to the parameter servers at a fixed rate, so that replicas have news.",
      discussion: """
        For a cluster that was made for measuring: the rows stay, in the model's first table.

        EXAMPLES:
          freshet bench push --rate 50000 --seconds 30
        """)

    @OptionGroup var configuration: ConfigurationOptions
    @Option(help: "Rows a second, over all servers.") var rate = 50_000
    @Option(help: "Rows that they are drawn from.") var rows = 1_000_000
    @Option(help: "How long.") var seconds = 60.0
    @Option(help: "Seed of rows and gradients.") var seed: UInt64 = 1
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("rate", Double(rate), 1...10_000_000), ("rows", Double(rows), 1...4e9), ("seconds", seconds, 0.1...86_400),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() async throws {
      let report = try await PushLoad(
        PushLoad.Settings(rows: rows, rowsPerSecond: rate, seconds: seconds, seed: seed),
        configuration: try configuration.load()
      ).run()
      if json {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
      } else {
        print("\(report.rows) rows in \(report.pushes) pushes, \(Int(report.rows_per_s)) rows/s")
      }
    }
  }
}

import ArgumentParser
import Foundation
import FreshetCore
import FreshetRoles

extension BenchCommand {
  struct Join: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Join impressions with actions, from JSON to example records: one partition, one thread, no broker.",
      discussion: """
        in-order and out-of-order: in memory. spilled: every lookup on disk. restart: seconds from the start to the first \
        example with --pending impressions waiting on an intact disk, and the rate at which they are rebuilt without one. \
        kills: lives that end at random moments, on two machines that lose disks, against the result of a sort-merge join; \
        run it by hand, it takes minutes. Without --case: the first four. events_per_second is that of the first case. The \
        topics are written to --directory first and read from there. RocksDB's own threads come on top: start it under \
        `taskset -c 1` to count them. Benchmarks/Join/run puts the figures beside other systems.

        EXAMPLES:
          freshet bench join --case in-order
          freshet bench join --case restart --pending 1000000
        """)

    @Option(name: .customLong("case"), help: "in-order, out-of-order, spilled, restart or kills; may be repeated.")
    var cases: [JoinBenchmark.Case] = []
    @Option(help: "Impressions.") var impressions = 1_000_000
    @Option(
      help: "Actions; 60 % of the impressions have one, the others belong to none. With kills, all belong to one.")
    var actions = 1_000_000
    @Option(help: "Impressions that wait in the restart case.") var pending = 5_000_000
    @Option(help: "Lives that end in the case with kills.") var kills = 20
    @Option(help: "Bytes of impressions in memory, in the cases restart and kills.") var stateBytes = 256 << 20
    @Option(help: "Records between two commits.") var commitEvery = 20_000
    @Option(help: "Where topics and states are: a new directory, removed at the end.")
    var directory = ".freshet/bench-join"
    @Option(help: "Of everything random.") var seed: UInt64 = 1
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("impressions", impressions, 1...1_000_000_000), ("actions", actions, 1...1_000_000_000),
        ("pending", pending, 100...1_000_000_000), ("kills", kills, 0...10_000),
        ("state-bytes", stateBytes, 1...1 << 40), ("commit-every", commitEvery, 1...10_000_000),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
      guard !cases.contains(.kills) || actions <= impressions else {
        throw ValidationError("--actions \(actions): with kills, each impression has at most one")
      }
      guard !FileManager.default.fileExists(atPath: directory) else {
        throw ValidationError("--directory \(directory) exists: it would be removed at the end")
      }
    }

    func run() throws {
      let report = try JoinBenchmark(
        JoinBenchmark.Settings(
          cases: cases.isEmpty ? [.inOrder, .outOfOrder, .spilled, .restart] : cases, impressions: impressions,
          actions: actions, pending: pending, kills: kills, stateBytes: stateBytes, commitEvery: commitEvery,
          directory: directory, seed: seed)
      ).run { step in FileHandle.standardError.write(Data("bench: \(step)\n".utf8)) }
      let encoder = JSONEncoder()
      encoder.outputFormatting = json ? [.sortedKeys] : [.sortedKeys, .prettyPrinted]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
      if report.cases.contains(where: { $0.isWrong }) { throw ExitCode.failure }
    }
  }
}

extension JoinBenchmark.Case: ExpressibleByArgument {}

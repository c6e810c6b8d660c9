import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct Snapshot: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write and restore snapshots of a parameter server's shards while pushes come at a fixed rate.",
      discussion: """
        write_mb_s: a base of all shards, before compression, beside zstd_mb_s: zstd -1 of the same bytes on one thread. \
        push_p999_ms_on and push_p999_ms_off: from the time a push was due to the end of its application, while bases are \
        written one after the other, and while none is. restore_s: from opening the store to the reply to the first pull. \
        Takes about rows × (dim × 8 + 60) bytes of memory and three times as many of disk.

        EXAMPLES:
          freshet bench snapshot --rows 1000000
        """)

    @Option(help: "Rows of the server.") var rows = 10_000_000
    @Option(help: "Weights of a row, 1...1024; Adagrad keeps as much state again.") var dim = 16
    @Option(help: "Shards of the server.") var shards = 8
    @Option(help: "Rows of a push.") var pushRows = 512
    @Option(help: "Pushes a second.") var rate = 1000
    @Option(help: "Seconds for which pushes are measured with and without snapshots.") var seconds = 10.0
    @Option(help: "Where snapshots are written: a new directory, removed at the end.")
    var directory = ".freshet/bench-snapshot"
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("rows", rows, 1_000...2_000_000_000), ("dim", dim, 1...1024), ("shards", shards, 1...4096),
        ("push-rows", pushRows, 1...100_000), ("rate", rate, 1...100_000),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
      guard (0.1...3600).contains(seconds) else { throw ValidationError("--seconds \(seconds) is outside 0.1...3600") }
      guard !FileManager.default.fileExists(atPath: directory) else {
        throw ValidationError("--directory \(directory) exists: it would be removed at the end")
      }
    }

    func run() throws {
      let report = try SnapshotBenchmark(
        SnapshotBenchmark.Settings(
          rows: rows, dimension: dim, shards: shards, pushRows: pushRows, pushesPerSecond: rate, seconds: seconds,
          directory: directory)
      ).run { step in FileHandle.standardError.write(Data("bench: \(step)\n".utf8)) }
      let encoder = JSONEncoder()
      encoder.outputFormatting = json ? [.sortedKeys] : [.sortedKeys, .prettyPrinted]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
  }
}

import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct Gate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Read rows that another thread may change: through the replica's gate, a mutex, and a seqlock of each row.",
      discussion: """
        Times are nanoseconds of one reading of rows-per-read random rows, while nobody writes. bare: nothing keeps a writer \
        away. docs/serving.md says what follows from the figures.

        EXAMPLES:
          freshet bench gate --threads 2
        """)

    @Option(help: "Rows to read from.") var rows = 100_000
    @Option(help: "Weights of a row, 1...1024.") var dim = 17
    @Option(help: "Threads that read at the same time, 1...64.") var threads = 2
    @Option(help: "Readings of each thread.") var reads = 2_000_000
    @Option(help: "Rows of one reading.") var rowsPerRead = 8
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("rows", rows, 1...100_000_000), ("dim", dim, 1...1024), ("threads", threads, 1...64),
        ("reads", reads, 1...1_000_000_000), ("rows-per-read", rowsPerRead, 1...10_000),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() throws {
      let report = try GateBenchmark(
        GateBenchmark.Settings(rows: rows, dimension: dim, threads: threads, reads: reads, rowsPerRead: rowsPerRead)
      ).run()
      let encoder = JSONEncoder()
      encoder.outputFormatting = json ? [.sortedKeys] : [.sortedKeys, .prettyPrinted]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
  }
}

import ArgumentParser
import Foundation
import FreshetCore
import FreshetRoles
import FreshetTable

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure a part of Freshet on this machine.",
    discussion: """
      Each prints its figures and settings; with --json as one object.

      EXAMPLES:
        freshet bench table --rows 1000000
        freshet bench train --data ml-1m --json
      """,
    subcommands: [
      Table.self, Join.self, Calibration.self, Snapshot.self, Score.self, Serve.self, Push.self, EndToEnd.self,
      Gate.self, Gateway.self, Train.self,
    ])

  struct Table: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fill an embedding table from empty, read it, train it, and let 90 % of it expire; one thread.",
      discussion: """
        Times are nanoseconds a fid. insert: fids that have no row, in updates of 256. gather: weights of random fids. \
        update: lookup and one step of the optimizer. max_insert_batch_ms: the slowest of those updates. bytes_per_row: \
        resident memory. resident_after_expiry and resident_after_return: shares of the memory with all rows. \
        Benchmarks/Table/run puts the figures beside hash maps in C++.

        With --on-request, reads and updates take turns with another program: once the table is full, {"ready":true} is \
        printed; each line of standard input, like "gather uniform" or "update zipf", is a pass over all queries and is \
        answered by {"ns":…}; expiry and the report follow the end of the input.

        EXAMPLES:
          freshet bench table --rows 10000000 --dim 32
          freshet bench table --on-request --json <<< "update zipf"
        """)

    @Option(help: "Rows of the table.") var rows = 10_000_000
    @Option(help: "Weights of a row, 1...1024.") var dim = 16
    @Option(help: "sgd, momentum, adagrad, rmsprop, adam or ftrl.") var optimizer = TableBenchmark.Kind.adagrad
    @Option(help: "How fids are drawn: uniform, or zipf with exponent 0.99.")
    var distribution = TableBenchmark.Distribution.uniform
    @Option(help: "Format of the weights: fp32, fp16 or bf16.") var weights = WeightFormat.float32
    @Option(help: "Fids that are read, and then updated.") var queries = 8_000_000
    @Option(help: "Fids in one call.") var batch = 4096
    @Flag(
      inversion: .prefixedNo,
      help: "Touch the table's memory before it is filled: otherwise the system's first touch of it counts.")
    var reserve = true
    @Flag(help: "Carry out the passes that standard input asks for, in place of one of each operation.")
    var onRequest = false
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("rows", rows, 1_000...2_000_000_000), ("dim", dim, 1...1024), ("queries", queries, 1...1_000_000_000),
        ("batch", batch, 1...1_000_000),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() throws {
      let benchmark = TableBenchmark(
        TableBenchmark.Settings(
          rows: rows, dimension: dim, optimizer: optimizer, distribution: distribution, weightFormat: weights,
          queries: queries, batch: batch, reservesMemory: reserve))
      let report = try onRequest ? benchmark.run(asking: answerRequests) : benchmark.run()
      let encoder = JSONEncoder()
      encoder.outputFormatting = json ? [.sortedKeys] : [.sortedKeys, .prettyPrinted]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }

    private func answerRequests(_ time: (TableBenchmark.Pass) -> Double) throws {
      // `print` would keep a line back from a pipe.
      func answer(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }
      answer(#"{"ready":true}"#)
      while let line = readLine() {
        let words = line.split(separator: " ").map(String.init)
        guard words.count == 2, let operation = TableBenchmark.Operation(rawValue: words[0]),
          let distribution = TableBenchmark.Distribution(rawValue: words[1])
        else {
          throw UsageError(
            "standard input: a pass is \"gather\" or \"update\", and \"uniform\" or \"zipf\", not \"\(line)\"")
        }
        answer("{\"ns\":\(time(TableBenchmark.Pass(operation, distribution)))}")
      }
    }
  }
}

extension TableBenchmark.Kind: ExpressibleByArgument {}
extension TableBenchmark.Distribution: ExpressibleByArgument {}
extension WeightFormat: ExpressibleByArgument {}

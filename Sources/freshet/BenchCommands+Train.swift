import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Train the configured model on MovieLens in one pass, predicting each rating before it is learned.",
      discussion: """
        Joins the ratings in memory first, which is not measured; then trains on them in the order of time, from an empty \
        model: with table and trainer in this thread, or with --servers over TCP to as many `freshet ps` on this machine. \
        auc and logloss are exact. What `freshet trainer` counts of its predictions is counted here too: \
        --set trainer.validation.slices=gender,age shows what slices cost. checksums: one value means that all runs ended with the same bits. \
        Benchmarks/Train/run puts the figures beside other learners.

        EXAMPLES:
          freshet bench train --data ml-1m
          freshet bench train --data ml-1m --servers 2 --set trainer.batch_size=256
        """)

    @OptionGroup var configuration: ConfigurationOptions
    @OptionGroup var log: LogOptions
    @Option(help: "A directory of MovieLens data, such as ml-1m.") var data: String
    @Option(help: "So many ratings; default: all.") var limit: Int?
    @Option(help: "Examples pulled and pushed together; default: trainer.batch_size.") var batchSize: Int?
    @Option(help: "Examples between two steps on the trainer's rows; default: trainer.micro_batch_size.")
    var microBatchSize: Int?
    @Option(help: "Runs, each from an empty model; the median's speed is reported.") var runs = 1
    @Option(help: "Parameter servers to start; 0: none, everything in this thread.") var servers = 0
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("limit", limit ?? 1, 1...1_000_000_000), ("batch-size", batchSize ?? 1, 1...65_536),
        ("micro-batch-size", microBatchSize ?? 1, 1...65_536), ("runs", runs, 1...100), ("servers", servers, 0...64),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() async throws {
      let loaded = try configuration.load()
      let benchmark = try TrainBenchmark(
        TrainBenchmark.Settings(
          data: data, limit: limit, batchSize: batchSize ?? loaded.trainer.batchSize,
          microBatchSize: microBatchSize ?? loaded.trainer.microBatchSize, runs: runs,
          validation: loaded.validation), model: loaded.model)
      let progress = { (line: String) in FileHandle.standardError.write(Data("bench: \(line)\n".utf8)) }
      let report: TrainBenchmark.Report
      if servers == 0 {
        report = try benchmark.runInMemory(progress: progress)
      } else {
        guard let executable = Bundle.main.executablePath else {
          throw UsageError("the path of the program is not known")
        }
        report = try await benchmark.runOverNetwork(
          servers: servers, configuration: loaded, executable: executable, arguments: configuration.arguments,
          directory: ".freshet/bench-train", logger: log.logger(role: "bench"), progress: progress)
      }
      let encoder = JSONEncoder()
      encoder.outputFormatting = json ? [.sortedKeys] : [.sortedKeys, .prettyPrinted]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
  }
}

import ArgumentParser
import Foundation
import FreshetRoles

extension BenchCommand {
  struct Calibration: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Compare served probabilities with what happened, on MovieLens as implicit feedback with dropped negatives.",
      discussion: """
        Each rating is an impression; those from --stars on have an action, the others have none. They go through joiner, \
        trainer, parameter server and replica in one process. The last part is scored, without sampling, before it is \
        learned. ratio: mean predicted / mean observed, 1 is calibrated. uncorrected: what it would be without the correction \
        for dropped negatives. joiner.emit, joiner.window_ms, trainer.batch_size, trainer.micro_batch_size and the model are the configuration's.

        EXAMPLES:
          freshet bench calibration --data ml-1m --negative-rate 0.1
        """)

    @OptionGroup var configuration: ConfigurationOptions
    @Option(help: "A directory of MovieLens data, such as ml-1m.") var data: String
    @Option(help: "joiner.negative_rate.") var negativeRate = 0.1
    @Option(help: "Ratings of so many stars and more have an action.") var stars = 4
    @Option(help: "Impressions without action, of movies that the user never rates, for each rating.") var unrated = 0
    @Option(help: "The share of the impressions, at the end, that is scored.") var heldOut = 0.1
    @Option(help: "Stretches of that share; each is learned when it has been scored.") var rounds = 1
    @Option(help: "Draws the times of impressions, and so which negatives are kept.") var seed: UInt64 = 1
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      for (name, value, range) in [
        ("negative-rate", negativeRate, 0.000001...1), ("stars", Double(stars), 0...5),
        ("unrated", Double(unrated), 0...100),
        ("held-out", heldOut, 0.001...0.9), ("rounds", Double(rounds), 1...1000),
      ] where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run() throws {
      let loaded = try configuration.load()
      let report = try CalibrationBenchmark(
        CalibrationBenchmark.Settings(
          data: data, negativeRate: negativeRate, stars: stars, unrated: unrated, heldOut: heldOut, rounds: rounds,
          batchSize: loaded.trainer.batchSize, microBatchSize: loaded.trainer.microBatchSize, emit: loaded.joiner.emit,
          windowMs: loaded.joiner.windowMs, seed: seed),
        model: loaded.model
      ).run()
      let encoder = JSONEncoder()
      encoder.outputFormatting = json ? [.sortedKeys] : [.sortedKeys, .prettyPrinted]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
  }
}

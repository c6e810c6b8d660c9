import ArgumentParser
import Foundation
import FreshetRoles

/// `freshet experiment`: claims of the Monolith paper, measured.
struct ExperimentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "experiment",
    abstract: "Measure what the Monolith paper claims, on MovieLens, in this process.",
    discussion: """
      Servers, trainer and replicas are those of the cluster, without sockets and Kafka. Each experiment writes a table as \
      Markdown and a chart as SVG. docs/experiments.md says what the paper has (arXiv 2209.07663) and what was found here.

      EXAMPLES:
        freshet experiment sync-interval --data ml-1m
      """,
    subcommands: [SyncInterval.self, Collision.self, FaultTolerance.self])

  struct Options: ParsableArguments {
    @OptionGroup var configuration: ConfigurationOptions
    @Option(help: "A directory of MovieLens data, such as ml-1m.") var data: String
    @Option(help: "Runs, each from other initial values; results are their mean and deviation.") var seeds = 3
    @Option(help: "So many ratings; default: all.") var limit: Int?
    @Option(help: "Where table and chart are written.") var out = ".freshet/experiments"

    func validate() throws {
      for (name, value, range) in [("seeds", seeds, 1...1000), ("limit", limit ?? 100, 100...1_000_000_000)]
      where !range.contains(value) {
        throw ValidationError("--\(name) \(value) is outside \(range.lowerBound)...\(range.upperBound)")
      }
    }

    func run(_ experiment: (ExperimentSettings, (String) -> Void) throws -> ExperimentReport) throws {
      let loaded = try configuration.load()
      let began = Date()
      let settings = ExperimentSettings(
        data: data, limit: limit, seeds: seeds, model: loaded.model, batchSize: loaded.trainer.batchSize,
        microBatchSize: loaded.trainer.microBatchSize)
      let report = try experiment(settings) { line in
        let seconds = Int(Date().timeIntervalSince(began).rounded())
        FileHandle.standardError.write(Data("experiment: \(seconds) s: \(line)\n".utf8))
      }
      try report.write(to: out)
      print(report.markdown, terminator: "")
      FileHandle.standardError.write(Data("experiment: wrote \(out)/\(report.name).md and .svg\n".utf8))
    }
  }

  struct SyncInterval: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "AUC of served predictions by sync interval, against a model that is only batch-trained.",
      discussion: """
        The first 70 % of the ratings make the batch model. Each later rating is scored by copies that are refreshed every \
        30 min, 1 h, 5 h, 24 h of event time or never, then learned. live: the trainer's own prediction.

        EXAMPLES:
          freshet experiment sync-interval --data ml-1m --seeds 3
        """)
    @OptionGroup var options: Options
    func run() throws { try options.run { try SyncIntervalExperiment($0).run(progress: $1) } }
  }

  struct Collision: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "AUC with a row for each user and movie, against ids hashed into fewer rows than ids.",
      discussion: """
        A seed sets the initial values and the hash. Rates are 1 - rows / ids, as the paper counts them.

        EXAMPLES:
          freshet experiment collision --data ml-1m
        """)
    @OptionGroup var options: Options
    func run() throws { try options.run { try CollisionExperiment($0).run(progress: $1) } }
  }

  struct FaultTolerance: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "AUC when parameter servers die and lose what came after their last snapshot, against exact recovery.",
      discussion: """
        A seed sets the initial values and which server dies when. Days are event time.

        EXAMPLES:
          freshet experiment fault-tolerance --data ml-1m
        """)
    @OptionGroup var options: Options
    func run() throws { try options.run { try FaultToleranceExperiment($0).run(progress: $1) } }
  }
}

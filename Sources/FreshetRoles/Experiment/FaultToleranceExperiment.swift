import FreshetCluster
import FreshetCore
import FreshetModel

/// `freshet experiment fault-tolerance`: the loss of recent updates against exact recovery (Monolith, 2.3 and 3.2.2).
///
/// One pass over the log, each example predicted before it is learned, while servers die at a given rate and go back to their last
/// snapshot.
public struct FaultToleranceExperiment {
  static let servers = 16

  struct Case {
    /// Of each server.
    var failuresPerDay: Double
    var snapshotDays: Int64
    var recovery: FaultyTraining.Recovery

    var rateText: String { "\(fixed(failuresPerDay * 100, decimals: failuresPerDay < 0.01 ? 2 : 0)) %" }
    var snapshotText: String { snapshotDays == 1 ? "1 day" : "\(snapshotDays) days" }
    var recoveryText: String { recovery == .exact ? "exact" : "loss" }
    var text: String { "\(rateText), \(snapshotText), \(recoveryText)" }
  }

  static let noFailure = Case(failuresPerDay: 0, snapshotDays: 1, recovery: .exact)
  /// What is compared with it.
  static let cases = [
    Case(failuresPerDay: 0.0001, snapshotDays: 1, recovery: .loss),
    Case(failuresPerDay: 0.01, snapshotDays: 1, recovery: .loss),
    Case(failuresPerDay: 0.1, snapshotDays: 1, recovery: .loss),
    Case(failuresPerDay: 0.1, snapshotDays: 1, recovery: .exact),
    Case(failuresPerDay: 0.1, snapshotDays: 7, recovery: .loss),
    Case(failuresPerDay: 0.1, snapshotDays: 7, recovery: .exact),
  ]

  struct Score {
    var auc: Double
    var aucLastHalf: Double
    var run: FaultyTraining.Run
  }

  private let settings: ExperimentSettings

  public init(_ settings: ExperimentSettings) { self.settings = settings }

  public func run(progress: (String) -> Void) throws -> ExperimentReport {
    progress("joining \(settings.data)")
    let log = try settings.readLog()
    let hours = EventWindows(log.times, in: 0..<log.count, lengthMs: 3_600_000)
    let cases = [Self.noFailure] + Self.cases
    var scores = Array(repeating: [Score](), count: cases.count)
    for seed in 0..<settings.seeds {
      let training = FaultyTraining(
        tables: try ModelTables(settings.model(seed: seed)), servers: Self.servers, batchSize: settings.batchSize,
        microBatchSize: settings.microBatchSize)
      for (number, one) in cases.enumerated() {
        let schedule = FailureSchedule(
          hours: hours, servers: Self.servers, failuresPerDay: one.failuresPerDay,
          snapshotHours: one.snapshotDays * 24, seed: Hashing.mix(UInt64(seed + 1)))
        var run = try training.run(log, hours: hours, schedule, one.recovery)
        let half = log.count / 2
        let auc = PredictionScore(logits: run.logits[...], labels: log.labels[...]).auc
        let lastHalf = PredictionScore(logits: run.logits[half...], labels: log.labels[half...]).auc
        run.logits = []
        scores[number].append(Score(auc: auc, aucLastHalf: lastHalf, run: run))
        progress(
          "seed \(seed): \(number == 0 ? "no failure" : one.text): \(run.failures) failures, "
            + "AUC \(fixed(auc, decimals: 4))")
      }
    }
    return report(log, scores)
  }

  private func report(_ log: ExampleLog, _ scores: [[Score]]) -> ExperimentReport {
    func mean(_ values: [Int]) -> String { grouped(Int(Spread(values.map { Double($0) }).mean.rounded())) }
    let rows = scores.indices.map { number in
      let ours = scores[number]
      let one = number == 0 ? nil : Self.cases[number - 1]
      return [
        one?.rateText ?? "0", one?.snapshotText ?? "–", one?.recoveryText ?? "–", mean(ours.map(\.run.failures)),
        fixed(Spread(ours.map { $0.run.lostShare * 100 }).mean, decimals: 3), mean(ours.map(\.run.replayed)),
        Spread(ours.map(\.auc)).text(decimals: 4),
        number == 0 ? "–" : difference(scores, number).text(decimals: 5, signed: true),
        Spread(ours.map(\.aucLastHalf)).text(decimals: 4),
      ]
    }
    return ExperimentReport(
      name: "fault-tolerance", title: "AUC by failures of parameter servers",
      notes: [
        settings.setup(log),
        "\(Self.servers) servers. Failures a day of each server, and how often snapshots are taken, both in event time. "
          + "Lost: the share of updates that servers forgot and never got again, if all servers' shares are alike. "
          + "Replayed: examples that went through the trainer again. Figures of failures are means over seeds.",
      ],
      table: MarkdownTable(
        header: [
          "failures a day", "snapshots every", "recovery", "failures", "lost, %", "replayed", "AUC",
          "against no failure",
          "AUC, last half",
        ], alignment: [.right, .right, .left, .right, .right, .right, .right, .right, .right], rows: rows),
      chart: PointChart(
        title: "AUC against a run without failures", yLabel: "difference in AUC",
        categories: Self.cases.map { "\($0.rateText) a day\n\($0.snapshotText), \($0.recoveryText)" },
        series: [
          PointChart.Series(
            name: "whole pass", points: Self.cases.indices.map { difference(scores, $0 + 1) })
        ]))
  }

  /// Seed by seed.
  private func difference(_ scores: [[Score]], _ number: Int) -> Spread {
    Spread(zip(scores[number], scores[0]).map { $0.auc - $1.auc })
  }
}

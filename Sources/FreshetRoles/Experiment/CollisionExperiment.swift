import FreshetCluster
import FreshetCore
import FreshetModel

/// `freshet experiment collision`: a row for each id against ids that share rows (Monolith, Table 1 and Figure 7).
///
/// One pass over the log, each example predicted before it is learned.
public struct CollisionExperiment {
  struct Case {
    var name: String
    /// Expected; nil: each id has its row.
    var rates: (users: Double, items: Double)?
  }

  static let cases = [
    Case(name: "none", rates: nil), Case(name: "Monolith's", rates: (0.0773, 0.0286)),
    Case(name: "25 %", rates: (0.25, 0.25)), Case(name: "50 %", rates: (0.5, 0.5)),
  ]

  struct Score {
    var auc: Double
    var aucLastHalf: Double
    var logloss: Double
    var userRate: Double
    var itemRate: Double
  }

  private let settings: ExperimentSettings

  public init(_ settings: ExperimentSettings) { self.settings = settings }

  public func run(progress: (String) -> Void) throws -> ExperimentReport {
    progress("joining \(settings.data)")
    let log = try settings.readLog()
    let users = try settings.slot(ofField: settings.model.userKey)
    let items = try settings.slot(ofField: settings.model.itemKey)
    var scores = Array(repeating: [Score](), count: Self.cases.count)
    for seed in 0..<settings.seeds {
      let tables = try ModelTables(settings.model(seed: seed))
      for (number, one) in Self.cases.enumerated() {
        var examples = log
        var measured = [0.0, 0.0]
        if let rates = one.rates {
          for (position, (slot, rate)) in [(users, rates.users), (items, rates.items)].enumerated() {
            let fids = log.fids(ofSlot: slot)
            let hashing = IdHashing(
              collisionRate: rate, ids: fids.count, seed: Hashing.mix(UInt64(seed + 1)) &+ UInt64(slot))
            examples = examples.replacingFids(ofSlot: slot) { hashing($0) }
            measured[position] = hashing.measuredRate(fids)
          }
        }
        let score = try Self.score(
          examples, tables: tables, batchSize: settings.batchSize, microBatchSize: settings.microBatchSize,
          userRate: measured[0], itemRate: measured[1])
        scores[number].append(score)
        progress("seed \(seed): \(one.name): AUC \(fixed(score.auc, decimals: 4))")
      }
    }
    return report(log, scores, ids: (log.fids(ofSlot: users).count, log.fids(ofSlot: items).count))
  }

  private static func score(
    _ log: ExampleLog, tables: ModelTables, batchSize: Int, microBatchSize: Int, userRate: Double, itemRate: Double
  ) throws -> Score {
    let training = try LocalTraining(tables: tables, batchSize: batchSize, microBatchSize: microBatchSize)
    let tasks = tables.shape.tasks
    var logits: [Float] = []
    training.observe { batch in for example in 0..<batch.count / tasks { logits.append(batch[example * tasks]) } }
    var batch = log.makeBatch()
    try log.forEachBatch(of: 0..<log.count, filling: &batch) { try training.train($0) }
    let all = PredictionScore(logits: logits[...], labels: log.labels[...])
    let half = log.count / 2
    return Score(
      auc: all.auc, aucLastHalf: PredictionScore(logits: logits[half...], labels: log.labels[half...]).auc,
      logloss: all.logloss, userRate: userRate, itemRate: itemRate)
  }

  private func report(
    _ log: ExampleLog, _ scores: [[Score]], ids: (users: Int, items: Int)
  ) -> ExperimentReport {
    func percent(_ values: [Double]) -> String {
      values.allSatisfy { $0 == 0 } ? "0" : Spread(values.map { $0 * 100 }).text(decimals: 2)
    }
    let rows = Self.cases.indices.map { number in
      [
        Self.cases[number].name, percent(scores[number].map(\.userRate)), percent(scores[number].map(\.itemRate)),
        Spread(scores[number].map(\.auc)).text(decimals: 4),
        number == 0
          ? "–" : Spread(zip(scores[number], scores[0]).map { $0.auc - $1.auc }).text(decimals: 4, signed: true),
        Spread(scores[number].map(\.aucLastHalf)).text(decimals: 4),
        Spread(scores[number].map(\.logloss)).text(decimals: 4),
      ]
    }
    return ExperimentReport(
      name: "collision", title: "AUC by rate of id collisions",
      notes: [
        settings.setup(log),
        "\(grouped(ids.users)) users and \(grouped(ids.items)) movies. Collision rate: 1 − rows / ids, as measured.",
      ],
      table: MarkdownTable(
        header: [
          "collisions", "users, %", "movies, %", "AUC", "against none", "AUC, last half", "logloss",
        ], alignment: [.left, .right, .right, .right, .right, .right, .right], rows: rows),
      chart: PointChart(
        title: "AUC by rate of id collisions", yLabel: "AUC", categories: Self.cases.map(\.name),
        series: [
          PointChart.Series(name: "whole pass", points: scores.map { Spread($0.map(\.auc)) }),
          PointChart.Series(name: "last half", points: scores.map { Spread($0.map(\.aucLastHalf)) }),
        ]))
  }
}

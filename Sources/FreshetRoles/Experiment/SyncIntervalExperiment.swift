import FreshetCluster
import FreshetCore
import FreshetModel

/// `freshet experiment sync-interval`: what scores are worth when serving lags behind training (Monolith, Table 2).
///
/// The first part of the log is learned as a batch model. From there on training is online, and copies of the model, each refreshed
/// at its own marks of event time, score every example before it is learned.
public struct SyncIntervalExperiment {
  /// The share of the log that makes the batch model: Monolith's 5 of 7 days, about.
  static let batchShare = 0.7
  /// Every interval is a multiple of it.
  static let stepMs: Int64 = 30 * 60_000

  struct Case {
    var name: String
    /// In steps; nil: never after the batch model.
    var steps: Int64?
  }

  static let cases = [
    Case(name: "30 min", steps: 1), Case(name: "1 h", steps: 2), Case(name: "5 h", steps: 10),
    Case(name: "24 h", steps: 48), Case(name: "never (batch)", steps: nil),
  ]

  /// One seed's predictions of the online part, in order.
  struct Run {
    /// The trainer's own, each before it learns the example.
    var live: [Float]
    /// By case.
    var served: [[Float]]
    /// By case; the first copy, of the batch model, is one.
    var refreshes: [Int]
  }

  private let settings: ExperimentSettings

  public init(_ settings: ExperimentSettings) { self.settings = settings }

  public func run(progress: (String) -> Void) throws -> ExperimentReport {
    progress("joining \(settings.data)")
    let log = try settings.readLog()
    let online = Int(Double(log.count) * Self.batchShare)..<log.count
    let known = log.isKnown(slot: try settings.slot(ofField: settings.model.userKey), in: online)
    let labels = Array(log.labels[online])
    var scores = Array(repeating: [Score](), count: Self.cases.count + 1)
    var refreshes: [Int] = []
    for seed in 0..<settings.seeds {
      let run = try Self.run(
        log, online: online, cases: Self.cases, tables: ModelTables(settings.model(seed: seed)),
        batchSize: settings.batchSize, microBatchSize: settings.microBatchSize)
      for (number, logits) in ([run.live] + run.served).enumerated() {
        scores[number].append(Score(logits, labels, known))
      }
      refreshes = run.refreshes
      let aucs = zip(["live"] + Self.cases.map(\.name), scores).map { name, scores in
        "\(name) \(fixed(scores.last!.auc, decimals: 4))"
      }
      progress("seed \(seed): " + aucs.joined(separator: ", "))
    }
    return report(log, online, known, scores, refreshes)
  }

  struct Score {
    var auc: Double
    var logloss: Double
    /// Of examples of users who occur in the batch part.
    var aucKnown: Double

    init(_ logits: [Float], _ labels: [Float], _ known: [Bool]) {
      let all = PredictionScore(logits: logits[...], labels: labels[...])
      auc = all.auc
      logloss = all.logloss
      let chosen = known.indices.filter { known[$0] }
      aucKnown = PredictionScore(logits: chosen.map { logits[$0] }[...], labels: chosen.map { labels[$0] }[...]).auc
    }
  }

  /// - Parameter online: The end of the log.
  static func run(
    _ log: ExampleLog, online: Range<Int>, cases: [Case], tables: ModelTables, batchSize: Int, microBatchSize: Int
  ) throws -> Run {
    let map = ShardMap(shardCount: 1, serverCount: 1)
    let training = try LocalTraining(
      tables: tables, map: map, batchSize: batchSize, microBatchSize: microBatchSize
    ) { id in
      // Deltas that are no longer held are made up for by a base.
      ShardServer(
        configuration: LocalTraining.configuration(
          tables: tables, map: map, server: id, deltaLogBytes: 64 << 20, isSnapshotted: false))
    }
    let tasks = tables.shape.tasks
    var live: [Float] = []
    var isOnline = false
    training.observe { logits in
      if isOnline { for example in 0..<logits.count / tasks { live.append(logits[example * tasks]) } }
    }
    var batch = log.makeBatch()
    try log.forEachBatch(of: 0..<online.lowerBound, filling: &batch) { try training.train($0) }
    isOnline = true
    let copies = cases.map { _ in ServedCopy(tables: tables, map: map) }
    var served = cases.map { _ in [Float]() }
    for copy in copies { try copy.refresh(from: training.servers) }
    func score(_ number: Int, upTo end: Int) {
      let range = online.lowerBound + served[number].count..<end
      log.forEachBatch(of: range, filling: &batch) { batch in
        let logits = copies[number].logits(batch)
        for example in 0..<batch.count { served[number].append(logits[example * tasks]) }
      }
    }
    let steps = EventWindows(log.times, in: online, lengthMs: stepMs)
    var windowOfCase = cases.map { _ in Int64?.none }
    for step in steps.windows {
      for (number, one) in cases.enumerated() {
        guard let length = one.steps else { continue }
        let window = steps.number(of: step, ofLengthMs: length * stepMs)
        // The batch model is what is there when the online part begins.
        if let last = windowOfCase[number], last != window {
          score(number, upTo: step.range.lowerBound)
          try copies[number].refresh(from: training.servers)
        }
        windowOfCase[number] = window
      }
      try log.forEachBatch(of: step.range, filling: &batch) { try training.train($0) }
    }
    for number in cases.indices { score(number, upTo: log.count) }
    return Run(live: live, served: served, refreshes: copies.map(\.refreshes))
  }

  private func report(
    _ log: ExampleLog, _ online: Range<Int>, _ known: [Bool], _ scores: [[Score]], _ refreshes: [Int]
  ) -> ExperimentReport {
    let names = ["live"] + Self.cases.map(\.name)
    let live = scores[0]
    let rows = names.indices.map { number in
      [
        names[number], number == 0 ? "–" : grouped(refreshes[number - 1] - 1),
        Spread(scores[number].map(\.auc)).text(decimals: 4),
        number == 0
          ? "–" : Spread(zip(scores[number], live).map { $0.auc - $1.auc }).text(decimals: 4, signed: true),
        Spread(scores[number].map(\.logloss)).text(decimals: 4),
        Spread(scores[number].map(\.aucKnown)).text(decimals: 4),
      ]
    }
    let knownCount = known.count(where: { $0 })
    return ExperimentReport(
      name: "sync-interval", title: "Served AUC by sync interval",
      notes: [
        settings.setup(log),
        "Batch model: the first \(grouped(online.lowerBound)) ratings. Scored: the \(grouped(online.count)) after them, "
          + "\(grouped(knownCount)) of users who occur in the first part (known users).",
      ],
      table: MarkdownTable(
        header: ["sync interval", "refreshes", "AUC", "against live", "logloss", "AUC, known users"],
        alignment: [.left, .right, .right, .right, .right, .right], rows: rows),
      chart: PointChart(
        title: "Served AUC by sync interval (event time)", yLabel: "AUC", categories: names,
        series: [
          PointChart.Series(name: "all users", points: scores.map { Spread($0.map(\.auc)) }),
          PointChart.Series(name: "known users", points: scores.map { Spread($0.map(\.aucKnown)) }),
        ]))
  }
}

import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// `freshet bench calibration`: whether served probabilities are those of the stream before negatives were dropped.
///
/// MovieLens as implicit feedback goes through the joiner, the trainer, a parameter server and a replica, all in one process.
/// The impressions of the last part of the time are scored before anything of that part is learned, all of them, and compared
/// with what became of them.
public struct CalibrationBenchmark {
  public struct Settings: Sendable {
    /// A directory of MovieLens data.
    public var data: String
    public var negativeRate: Double
    /// Ratings of so many stars and more were acted on.
    public var stars: Int
    /// Impressions of movies that the user does not rate, for each one that he does.
    public var unrated: Int
    /// The share of the time, at the end, that is scored.
    public var heldOut: Double
    /// Stretches of that share: each is learned when it has been scored.
    public var rounds: Int
    /// Examples in a batch.
    public var batchSize: Int
    public var microBatchSize: Int
    public var emit: JoinerEmit
    public var windowMs: Int
    public var seed: UInt64

    public init(
      data: String, negativeRate: Double, stars: Int, unrated: Int, heldOut: Double, rounds: Int, batchSize: Int,
      microBatchSize: Int,
      emit: JoinerEmit,
      windowMs: Int, seed: UInt64
    ) {
      self.data = data
      self.negativeRate = negativeRate
      self.stars = stars
      self.unrated = unrated
      self.heldOut = heldOut
      self.rounds = rounds
      self.batchSize = batchSize
      self.microBatchSize = microBatchSize
      self.emit = emit
      self.windowMs = windowMs
      self.seed = seed
    }
  }

  /// A tenth of the scored impressions, by what was predicted.
  public struct Decile: Codable, Sendable {
    public var predicted: Double
    public var observed: Double
    /// `predicted` / `observed`.
    public var ratio: Double
    /// The same without the correction: what the stream after sampling shows.
    public var uncorrected_ratio: Double
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    public var negative_rate: Double
    public var stars: Int
    public var unrated: Int
    public var held_out: Double
    public var rounds: Int
    public var emit: String
    public var window_ms: Int
    public var seed: UInt64
    public var impressions: Int
    public var examples_learned: Int
    public var negatives_learned: Int
    public var scored: Int
    public var auc: Double
    /// Of all scored impressions.
    public var predicted: Double
    public var observed: Double
    public var ratio: Double
    public var uncorrected_ratio: Double
    /// From the lowest predictions to the highest.
    public var deciles: [Decile]
    /// What progressive validation says of the examples learned.
    public var validation_calibration: Double
    public var validation_logloss: Double
    public var validation_auc: Double
    public var seconds: Double
  }

  private let settings: Settings
  private let model: ModelSpec
  private let action = "like"

  /// - Parameter model: Fields and tables as for MovieLens; its tasks give way to one that the action as such is a positive for.
  public init(_ settings: Settings, model: ModelSpec) {
    self.settings = settings
    var model = model
    model.tasks = [TaskSpec(name: "like", action: action)]
    self.model = model
  }

  public func run() throws -> Report {
    let start = Instant.now()
    let log = ImpressionLog(
      try MovieLensReader(directory: settings.data).read { row in
        throw ReplayError(code: "bad-row", message: "\(row.file):\(row.line): \(row.reason)")
      }, actedOnFrom: settings.stars, unrated: settings.unrated, seed: settings.seed)
    let items = itemRecords(log)
    let extractor = try FeatureExtractor(model)
    let server = try TrainedServer(
      model, items: items, batchSize: settings.batchSize, microBatchSize: settings.microBatchSize)
    let joined = try JoinedLog(
      extractor, config: joinerConfig, action: action, catalog: try catalog(items, extractor), profiles: log.profiles)
    let count = log.impressions.count
    let split = Int(Double(count) * (1 - settings.heldOut))
    try joined.run(log, 0..<split) { try server.train($0) }
    var scores = Scores()
    for round in 0..<settings.rounds {
      let range =
        split + (count - split) * round / settings.rounds..<split + (count - split) * (round + 1) / settings.rounds
      try server.synchronise()
      try score(log, range, server.engine, &scores)
      if round + 1 < settings.rounds { try joined.run(log, range) { try server.train($0) } }
    }
    if settings.rounds == 1 { try joined.end(log, split - 1) { try server.train($0) } }
    return report(scores, joined.counters, server.validation, seconds: Instant.now().milliseconds(since: start) / 1000)
  }

  private var joinerConfig: JoinerConfig {
    var config = JoinerConfig()
    config.emit = settings.emit
    config.windowMs = Int64(settings.windowMs)
    config.graceMs = 60_000
    config.negativeRate = Float(settings.negativeRate)
    return config
  }

  private func itemRecords(_ log: ImpressionLog) -> [ItemRecord] {
    var encoder = EventEncoder(profiles: [:])
    return log.movies.enumerated().map { position, movie in
      encoder.encode(movie)
      return ItemRecord(
        partition: PartitionID(0), offset: Offset(Int64(position)), key: nil, value: Array(encoder.payload))
    }
  }

  private func catalog(_ items: [ItemRecord], _ extractor: FeatureExtractor) throws -> ItemCatalog {
    let catalog = ItemCatalog(capacity: max(1, items.count))
    let reader = JSONRecordReader(maxBytes: 1 << 16, maxDepth: 8)
    let scratch = extractor.makeScratch()
    for case let value? in items.map(\.value) {
      try value.withUnsafeBytes { try catalog.upsert($0, extractor, reader, scratch) }
    }
    return catalog
  }

  // MARK: - Scoring

  private struct Scores {
    var predicted: [Float] = []
    var isPositive: [Bool] = []
  }

  /// One request for each run of impressions of a user.
  private func score(
    _ log: ImpressionLog, _ range: Range<Int>, _ engine: ServingEngine, _ scores: inout Scores
  ) throws {
    var first = range.lowerBound
    while first < range.upperBound {
      let user = log.impressions[first].user
      var end = first + 1
      while end < range.upperBound, end - first < 1000, log.impressions[end].user == user { end += 1 }
      var words = ["SCORE", model.name, "user_id=\(user)"]
      if let profile = log.profiles[user] {
        words += [
          "gender=\(profile.gender)", "age=\(profile.age)", "occupation=\(profile.occupation)", "zip=\(profile.zip)",
        ]
      }
      words += ["CANDIDATES", "item_id"] + (first..<end).map { String(log.impressions[$0].item) }
      let scored = try engine.score(RESPRequest(words))
      for candidate in 0..<scored.count {
        scores.predicted.append(engine.scores[candidate])
        scores.isPositive.append(log.impressions[first + candidate].actionTimeMs != nil)
      }
      first = end
    }
  }

  private func report(
    _ scores: Scores, _ counters: JoinerCounters, _ validation: ValidationWindow, seconds: Double
  ) -> Report {
    let order = scores.predicted.indices.sorted { scores.predicted[$0] < scores.predicted[$1] }
    var window = ValidationWindow()
    for index in order {
      let probability = scores.predicted[index]
      window.add(
        Prediction(logit: logf(probability / (1 - probability)), isPositive: scores.isPositive[index]))
    }
    let all = summary(order[...], scores)
    return Report(
      negative_rate: settings.negativeRate, stars: settings.stars, unrated: settings.unrated,
      held_out: settings.heldOut,
      rounds: settings.rounds, emit: settings.emit.rawValue, window_ms: settings.windowMs, seed: settings.seed,
      impressions: counters.features,
      examples_learned: counters.joined + counters.negatives, negatives_learned: counters.negatives,
      scored: order.count, auc: window.auc ?? .nan, predicted: all.predicted, observed: all.observed, ratio: all.ratio,
      uncorrected_ratio: all.uncorrected_ratio,
      deciles: (0..<10).map { summary(order[order.count * $0 / 10..<order.count * ($0 + 1) / 10], scores) },
      validation_calibration: validation.calibration ?? .nan, validation_logloss: validation.logloss ?? .nan,
      validation_auc: validation.auc ?? .nan, seconds: seconds)
  }

  private func summary(_ indices: ArraySlice<Int>, _ scores: Scores) -> Decile {
    var predicted = 0.0
    var uncorrected = 0.0
    var positives = 0.0
    for index in indices {
      let probability = Double(scores.predicted[index])
      predicted += probability
      // The odds that the sampled stream has.
      uncorrected += probability / (probability + settings.negativeRate * (1 - probability))
      positives += scores.isPositive[index] ? 1 : 0
    }
    let count = Double(max(1, indices.count))
    return Decile(
      predicted: predicted / count, observed: positives / count, ratio: predicted / positives,
      uncorrected_ratio: uncorrected / positives)
  }
}

import FreshetCluster
import FreshetCore
import FreshetModel

/// MovieLens as a trainer reads it from `examples`: joined by a real joiner, in the order of time, in memory.
///
/// Ratings of one second keep their file's order.
struct TrainingLog {
  private static let blockSize = 8192
  private static let eventsPerStep = 512

  /// Blocks of examples in order; offsets count them from 0.
  private(set) var blocks: [ExampleBatch] = []
  private(set) var count = 0

  /// - Parameters:
  ///   - directory: Of MovieLens data.
  ///   - limit: How many ratings; nil for all.
  /// - Throws: `ReplayError`, or what the model's features throw.
  init(model: ModelSpec, directory: String, limit: Int?) throws {
    let data = try MovieLensReader(directory: directory).read { row in
      throw ReplayError(code: "bad-row", message: "\(row.file):\(row.line): \(row.reason)")
    }
    let extractor = try FeatureExtractor(model)
    var encoder = EventEncoder(profiles: data.profiles)
    let catalog = try Self.catalog(data.movies, extractor, &encoder)
    var config = JoinerConfig()
    config.windowMs = 60_000
    config.graceMs = 60_000
    var now = Instant.now()
    let joiner = try JoinerPartition(
      config: config, extractor: extractor, from: .start, itemsAsOf: UnixTime(milliseconds: .max), now: now)
    let output = JoinerOutput()
    var plan = ReplayPlan(
      data: data, settings: ReplayPlan.Settings(seed: 1, maxDelayMs: 0, start: 0, limit: limit))
    var block = ExampleBatch(layout: extractor.layout, capacity: Self.blockSize)
    var fed = (features: Int64(0), actions: Int64(0))
    while let event = plan.next(data) {
      encoder.encode(event, data)
      let isImpression = event.kind == .impression
      let offset = isImpression ? fed.features : fed.actions
      joiner.receive(
        isImpression ? .features : .actions,
        JoinerRecord(offset: offset, appendTimeMs: event.eventTime, payload: encoder.payload), now: now)
      if isImpression { fed.features += 1 } else { fed.actions += 1 }
      if (fed.features + fed.actions) % Int64(Self.eventsPerStep) == 0 {
        try take(joiner, catalog, output, &block, now)
      }
    }
    try take(joiner, catalog, output, &block, now)
    for topic in JoinerTopic.allCases { joiner.reachedEnd(topic, now: now) }
    now = now.advanced(byMs: 10_000)
    for topic in JoinerTopic.allCases { joiner.confirmedEnd(topic, now: now) }
    try take(joiner, catalog, output, &block, now)
    if !block.isEmpty { blocks.append(block) }
    guard count == plan.ratingCount else {
      throw ReplayError(
        code: "not-joined", message: "\(plan.ratingCount) ratings gave \(count) examples: does the model fit MovieLens?"
      )
    }
  }

  private static func catalog(
    _ movies: [MovieLensData.Movie], _ extractor: FeatureExtractor, _ encoder: inout EventEncoder
  ) throws -> ItemCatalog {
    let catalog = ItemCatalog(capacity: max(1, movies.count))
    let reader = JSONRecordReader(maxBytes: 1 << 16, maxDepth: 8)
    let scratch = extractor.makeScratch()
    for movie in movies {
      encoder.encode(movie)
      try catalog.upsert(encoder.payload, extractor, reader, scratch)
    }
    return catalog
  }

  private mutating func take(
    _ joiner: JoinerPartition, _ catalog: ItemCatalog, _ output: JoinerOutput, _ block: inout ExampleBatch,
    _ now: Instant
  ) throws {
    while true {
      output.removeAll()
      let progress = joiner.run(catalog: catalog, now: now, output: output)
      for example in output.examples {
        try block.append(output.value(example), offset: Int64(count))
        count += 1
        if block.isFull {
          blocks.append(block)
          block.removeAll()
        }
      }
      switch progress {
      case .drained: return
      case .outputFull: continue
      case .waitingForItems: joiner.itemsRefreshed(asOf: UnixTime(milliseconds: .max))
      case .commitNeeded, .diskFull, .stateFailed: preconditionFailure("this joiner has no state on disk")
      }
    }
  }
}

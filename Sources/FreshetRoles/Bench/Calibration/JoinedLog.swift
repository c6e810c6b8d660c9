import FreshetCluster
import FreshetCore
import FreshetModel

/// Impressions on their way through a joiner of one partition, in memory.
final class JoinedLog {
  private static let recordsPerStep = 512

  private let joiner: JoinerPartition
  private let output = JoinerOutput()
  private var features = JSONBuffer(capacity: 512)
  private var actions = JSONBuffer(capacity: 512)
  private let profiles: [UInt32: MovieLensData.User]
  private let action: String
  private let catalog: ItemCatalog
  private var nextFeature: Int64 = 0
  private var nextAction: Int64 = 0
  /// Acted-on impressions whose action has not been fed, by the time of the action.
  private var pending: [(timeMs: Int64, number: Int, user: UInt32)] = []
  private var now = Instant.now()
  private var batch: ExampleBatch
  private var offset: Int64 = 0

  var counters: JoinerCounters { joiner.counters }

  /// - Parameter action: What acted-on impressions have as `action`.
  init(
    _ extractor: FeatureExtractor, config: JoinerConfig, action: String, catalog: ItemCatalog,
    profiles: [UInt32: MovieLensData.User]
  ) throws {
    joiner = try JoinerPartition(
      config: config, extractor: extractor, from: .start, itemsAsOf: UnixTime(milliseconds: .max), now: now)
    batch = ExampleBatch(layout: extractor.layout, capacity: 4096)
    self.action = action
    self.catalog = catalog
    self.profiles = profiles
  }

  /// Feeds impressions and their actions by event time, and hands on the examples as they come.
  func run(_ log: ImpressionLog, _ range: Range<Int>, train: (ExampleBatch) throws -> Void) throws {
    var fed = 0
    for number in range {
      let impression = log.impressions[number]
      try feedActions(before: impression.timeMs)
      encode(impression, number)
      joiner.receive(
        .features,
        JoinerRecord(offset: nextFeature, appendTimeMs: impression.timeMs, payload: features.bytes), now: now)
      nextFeature += 1
      if let time = impression.actionTimeMs { pending.append((time, number, impression.user)) }
      fed += 1
      if fed % Self.recordsPerStep == 0 { try step(train) }
    }
    try step(train)
  }

  /// Nothing more comes: every window closes.
  func end(_ log: ImpressionLog, _ number: Int, train: (ExampleBatch) throws -> Void) throws {
    try feedActions(before: .max)
    try step(train)
    for topic in JoinerTopic.allCases { joiner.reachedEnd(topic, now: now) }
    now = now.advanced(byMs: 10_000)
    for topic in JoinerTopic.allCases { joiner.confirmedEnd(topic, now: now) }
    try step(train)
    var last = log.impressions[number]
    last.timeMs += joiner.config.windowMs + joiner.config.graceMs + 120_000
    encode(last, .max)
    joiner.receive(
      .features, JoinerRecord(offset: nextFeature, appendTimeMs: last.timeMs, payload: features.bytes), now: now)
    joiner.reachedEnd(.features, now: now)
    now = now.advanced(byMs: 10_000)
    joiner.confirmedEnd(.actions, now: now)
    try step(train)
    if !batch.isEmpty { try train(batch) }
    batch.removeAll()
  }

  private func feedActions(before timeMs: Int64) throws {
    guard pending.contains(where: { $0.timeMs < timeMs }) else { return }
    pending.sort { ($0.timeMs, $0.number) < ($1.timeMs, $1.number) }
    let due = pending.prefix { $0.timeMs < timeMs }
    for (time, number, user) in due {
      actions.removeAll()
      actions.append("{\"request_id\":\"")
      actions.append(hex: UInt64(number))
      actions.append("\",\"event_time\":")
      actions.append(integer: time)
      actions.append(",\"user_id\":")
      actions.append(integer: Int64(user))
      actions.append(",\"action\":")
      actions.append(quoted: action)
      actions.append("}")
      joiner.receive(
        .actions, JoinerRecord(offset: nextAction, appendTimeMs: time, payload: actions.bytes), now: now)
      nextAction += 1
    }
    pending.removeFirst(due.count)
  }

  private func encode(_ impression: ImpressionLog.Impression, _ number: Int) {
    features.removeAll()
    features.append("{\"request_id\":\"")
    features.append(hex: UInt64(number))
    features.append("\",\"event_time\":")
    features.append(integer: impression.timeMs)
    features.append(",\"user_id\":")
    features.append(integer: Int64(impression.user))
    features.append(",\"item_id\":")
    features.append(integer: Int64(impression.item))
    if let profile = profiles[impression.user] { features.append(profile: profile) }
    features.append("}")
  }

  private func step(_ train: (ExampleBatch) throws -> Void) throws {
    while true {
      output.removeAll()
      let progress = joiner.run(catalog: catalog, now: now, output: output)
      for example in output.examples {
        try batch.append(output.value(example), offset: offset)
        offset += 1
        if batch.isFull {
          try train(batch)
          batch.removeAll()
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

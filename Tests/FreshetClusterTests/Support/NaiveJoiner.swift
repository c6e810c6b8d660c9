import FreshetCluster
import FreshetCore
import FreshetModel

/// Three tasks of two kinds of action: a value, a presence and a dwell time.
let joinerModeSpec: ModelSpec = {
  var spec = joinerSpec
  spec.tasks.append(TaskSpec(name: "stay", action: "click", positive: .dwellAtLeast(milliseconds: 300)))
  return spec
}()

/// A record of a random script.
struct ScriptEntry {
  var request: String
  var timeMs: Int64
  var kind = 0
  var value = 5.0
}

/// Two logs with delays, disorder, duplicates, orphans and impressions without action.
struct JoinerScript {
  static let kinds = ["rating", "click"]
  var features: [ScriptEntry] = []
  var actions: [ScriptEntry] = []

  init(seed: UInt64, count: Int, disorderMs: Int) {
    var generator = SeededGenerator(seed: seed)
    func random(_ bound: Int) -> Int64 { Int64(generator.next() % UInt64(bound)) }
    var time: Int64 = 100_000
    var features: [(sort: Int64, ScriptEntry)] = []
    var actions: [(sort: Int64, ScriptEntry)] = []
    for index in 0..<count {
      time += random(40)
      let request = "r\(index)"
      let feature = ScriptEntry(request: request, timeMs: time)
      // A few come far too late.
      let delay = random(25) == 0 ? random(3000) : random(disorderMs)
      if random(10) > 0 { features.append((time + delay, feature)) }
      if random(8) == 0 { features.append((time + random(disorderMs + 300), feature)) }
      for kind in 0..<2 where random(3) > 0 {
        // Some come after the window, within the time in which they can correct.
        let delay = random(6) == 0 ? random(2200) : random(1400) - 150
        var action = ScriptEntry(
          request: request, timeMs: max(0, time + delay), kind: kind, value: Double(1 + random(5)))
        actions.append((action.timeMs + random(disorderMs), action))
        // A repetition that differs: the first one counts.
        action.value = Double(1 + random(5))
        if random(6) == 0 { actions.append((action.timeMs + random(disorderMs + 300), action)) }
      }
    }
    self.features = features.sorted { $0.sort < $1.sort }.map(\.1)
    self.actions = actions.sorted { $0.sort < $1.sort }.map(\.1)
  }
}

/// The rules of `docs/joiner.md` with arrays and linear searches, over `joinerModeSpec`.
struct NaiveJoiner {
  private struct Impression {
    var entry: ScriptEntry
    var offset: Int
    /// The labels of the tasks of each kind of action that there was.
    var labels: [Int: [Int: Int]] = [:]
    var isClosed = false
  }

  private struct Waiting {
    var entry: ScriptEntry
    var offset: Int
    var isGivenUp = false
  }

  private let config: JoinerConfig
  private var impressions: [Impression] = []
  private var waiting: [Waiting] = []
  private var time: Int64 = 0
  private(set) var examples: [String] = []
  private(set) var dead: [String] = []

  init(_ config: JoinerConfig) { self.config = config }

  /// - Returns: A line for each example and each dead letter.
  mutating func run(_ script: JoinerScript) -> [String] {
    var feature = 0
    var action = 0
    while feature < script.features.count || action < script.actions.count {
      let takesFeature =
        action == script.actions.count
        || feature < script.features.count && script.features[feature].timeMs <= script.actions[action].timeMs
      if takesFeature {
        advance(script.features[feature].timeMs)
        add(script.features[feature], feature)
        feature += 1
      } else {
        advance(script.actions[action].timeMs)
        act(script.actions[action], action)
        action += 1
      }
      advance(time)
    }
    return examples + dead
  }

  // MARK: - Rules

  private var attributionMs: Int64 {
    config.windowMs + (config.lateActions == .correct ? config.correctionMs : 0)
  }

  private func matches(_ impression: ScriptEntry, _ action: ScriptEntry) -> Bool {
    impression.request == action.request && impression.timeMs <= action.timeMs + config.graceMs
      && action.timeMs <= impression.timeMs + attributionMs
  }

  /// Labels by task: rating ≥ 4; click; click at least 300 ms after the impression.
  private func labels(_ action: ScriptEntry, _ impression: ScriptEntry) -> [Int: Int] {
    action.kind == 0
      ? [0: action.value >= 4 ? 1 : 0] : [1: 1, 2: action.timeMs - impression.timeMs >= 300 ? 1 : 0]
  }

  private func keepsNegative(_ request: String) -> Bool {
    var generator = SeededGenerator(seed: Hashing.xxh3(request) ^ Hashing.mix(config.negativeSeed))
    return config.negativeRate > 0 && generator.nextUnit() < Double(config.negativeRate)
  }

  // MARK: - Steps

  private mutating func emit(
    _ impression: ScriptEntry, at timeMs: Int64, _ labels: [Int: Int], others: String, _ origin: ExampleOrigin
  ) {
    let texts = (0..<3).map { labels[$0].map { "\($0).0" } ?? others }
    examples.append("example \(Hashing.xxh3(impression.request)) \(impression.timeMs) \(timeMs) \(texts) \(origin)")
  }

  private mutating func close(_ impression: Impression) {
    let end = impression.entry.timeMs + config.windowMs
    if impression.labels.isEmpty {
      if keepsNegative(impression.entry.request) { emit(impression.entry, at: end, [:], others: "0.0", .negative) }
    } else if config.emit == .atWindowEnd {
      let all = impression.labels.values.reduce(into: [Int: Int]()) { $0.merge($1) { first, _ in first } }
      emit(impression.entry, at: end, all, others: "0.0", .actions)
    }
  }

  private mutating func advance(_ to: Int64) {
    time = max(time, to)
    let due = impressions.indices.filter {
      !impressions[$0].isClosed && impressions[$0].entry.timeMs + config.windowMs < time
    }
    for index in due.sorted(by: {
      (impressions[$0].entry.timeMs, impressions[$0].offset) < (impressions[$1].entry.timeMs, impressions[$1].offset)
    }) {
      impressions[index].isClosed = true
      close(impressions[index])
    }
    let over = waiting.indices.filter { !waiting[$0].isGivenUp && waiting[$0].entry.timeMs + config.graceMs < time }
    for index in over.sorted(by: {
      (waiting[$0].entry.timeMs, waiting[$0].offset) < (waiting[$1].entry.timeMs, waiting[$1].offset)
    }) {
      waiting[index].isGivenUp = true
      dead.append("dead actions \(waiting[index].offset) orphan-action")
    }
    let oldest = time - attributionMs - config.graceMs
    let graceMs = config.graceMs
    impressions.removeAll { $0.entry.timeMs < oldest }
    waiting.removeAll { $0.entry.timeMs < oldest - graceMs }
  }

  private mutating func add(_ entry: ScriptEntry, _ offset: Int) {
    if entry.timeMs + attributionMs + config.graceMs < time {
      return dead.append("dead features \(offset) late-feature")
    }
    if impressions.contains(where: { $0.entry.request == entry.request }) { return }
    var impression = Impression(entry: entry, offset: offset)
    for action in waiting where matches(entry, action.entry) && impression.labels[action.entry.kind] == nil {
      let labels = labels(action.entry, entry)
      if !action.isGivenUp, config.emit == .onAction {
        emit(entry, at: action.entry.timeMs, labels, others: "nan", .actions)
      }
      impression.labels[action.entry.kind] = labels
    }
    waiting = waiting.filter { $0.isGivenUp || !matches(entry, $0.entry) }
    impressions.append(impression)
  }

  private mutating func act(_ entry: ScriptEntry, _ offset: Int) {
    guard let index = impressions.firstIndex(where: { matches($0.entry, entry) }) else {
      let isLate = entry.timeMs + config.graceMs < time
      if isLate { dead.append("dead actions \(offset) late-action") }
      return waiting.append(Waiting(entry: entry, offset: offset, isGivenUp: isLate))
    }
    let impression = impressions[index]
    guard impression.labels[entry.kind] == nil else { return }
    let labels = labels(entry, impression.entry)
    impressions[index].labels[entry.kind] = labels
    let closesWindows = config.negativeRate > 0 || config.emit == .atWindowEnd
    if closesWindows, impression.isClosed {
      actLate(entry, offset, impression, labels)
    } else if config.emit == .onAction {
      emit(impression.entry, at: entry.timeMs, labels, others: "nan", .actions)
    }
  }

  private mutating func actLate(
    _ entry: ScriptEntry, _ offset: Int, _ impression: Impression, _ labels: [Int: Int]
  ) {
    if config.lateActions == .deadLetter { return dead.append("dead actions \(offset) late-action") }
    if impression.labels.isEmpty {
      emit(
        impression.entry, at: entry.timeMs, labels, others: config.emit == .onAction ? "nan" : "0.0",
        keepsNegative(entry.request) ? .correctsNegative : .actions)
    } else if config.emit == .onAction {
      emit(impression.entry, at: entry.timeMs, labels, others: "nan", .actions)
    } else {
      let positives = labels.filter { $0.value == 1 }
      if !positives.isEmpty { emit(impression.entry, at: entry.timeMs, positives, others: "nan", .correctsLabels) }
    }
  }
}

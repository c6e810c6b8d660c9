import FreshetCluster
import FreshetCore
import Testing

/// Two logs with delays, disorder, duplicates, orphans and impressions without action.
struct StateScript {
  struct Record {
    var request: String
    var timeMs: Int64
    var kind: Int
  }

  static let kinds = ["rating", "click"]
  var features: [Record] = []
  var actions: [Record] = []

  init(seed: UInt64, count: Int, disorderMs: Int) {
    var generator = SeededGenerator(seed: seed &+ 77)
    func random(_ bound: Int) -> Int64 { Int64(generator.next() % UInt64(bound)) }
    var time: Int64 = 100_000
    var features: [(sort: Int64, Record)] = []
    var actions: [(sort: Int64, Record)] = []
    for index in 0..<count {
      time += random(40)
      let request = "r\(index)"
      if random(10) > 0 {
        features.append((time + random(disorderMs), Record(request: request, timeMs: time, kind: 0)))
      }
      if random(8) == 0 {
        features.append((time + random(disorderMs + 300), Record(request: request, timeMs: time, kind: 0)))
      }
      for kind in 0..<2 where random(3) > 0 {
        let action = Record(request: request, timeMs: max(0, time + random(1400) - 150), kind: kind)
        actions.append((action.timeMs + random(disorderMs), action))
        if random(6) == 0 { actions.append((action.timeMs + random(disorderMs + 300), action)) }
      }
    }
    self.features = features.sorted { $0.sort < $1.sort }.map(\.1)
    self.actions = actions.sorted { $0.sort < $1.sort }.map(\.1)
  }

  func count(_ topic: JoinerTopic) -> Int { topic == .features ? features.count : actions.count }
}

/// What of a configuration decides what comes out.
struct StateRules: CustomTestStringConvertible {
  var emit = JoinerEmit.onAction
  var lateActions = LateActions.deadLetter
  var correctionMs: Int64 = 0
  var negativeRate: Float = 0

  /// One of many mixtures.
  init(_ number: UInt64) {
    negativeRate = [0, 0.5, 1][Int(number % 3)]
    emit = number / 3 % 2 == 0 ? .onAction : .atWindowEnd
    guard number / 6 % 2 == 1 else { return }
    lateActions = .correct
    correctionMs = number % 2 == 0 ? 0 : 250
  }

  func apply(to config: inout JoinerConfig) {
    config.emit = emit
    config.lateActions = lateActions
    config.correctionMs = correctionMs
    config.negativeRate = negativeRate
  }

  var testDescription: String { "\(emit.rawValue) \(lateActions.rawValue) \(correctionMs) \(negativeRate)" }
}

extension JoinerBench {
  func feed(_ script: StateScript, _ topic: JoinerTopic, _ offsets: Range<Int>) {
    for offset in offsets {
      switch topic {
      case .features: feature(Int64(offset), script.features[offset].request, at: script.features[offset].timeMs)
      case .actions:
        let record = script.actions[offset]
        action(Int64(offset), record.request, at: record.timeMs, kind: StateScript.kinds[record.kind])
      }
    }
  }

  /// What came out, in its order.
  var exampleLines: [String] {
    examples.map {
      "\($0.key) \($0.requestHash) \($0.eventTimeMs) \($0.actionTimeMs) \($0.ingestTimeMs) \($0.labels) "
        + "\($0.origin) \($0.fidCounts)"
    }
  }

  var letterLines: [String] {
    deadLetters.map { "\($0.topic) \($0.offset) \($0.reason.rawValue) \($0.payload ?? [])" }
  }

  /// Feeds all of a script in one go.
  static func inMemory(_ script: StateScript, _ rules: StateRules) throws -> JoinerBench {
    let bench = try JoinerBench { rules.apply(to: &$0) }
    bench.feed(script, .features, 0..<script.features.count)
    bench.feed(script, .actions, 0..<script.actions.count)
    try bench.settle()
    return bench
  }
}

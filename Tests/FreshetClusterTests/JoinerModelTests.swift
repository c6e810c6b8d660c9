import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

/// A record of a random script.
private struct Entry {
  var request: String
  var timeMs: Int64
  var kind: Int
}

private let kinds = ["rating", "click"]

/// Two logs with delays, disorder, duplicates, orphans and impressions without action.
private struct Script {
  var features: [Entry] = []
  var actions: [Entry] = []

  init(seed: UInt64, count: Int, disorderMs: Int) {
    var generator = SeededGenerator(seed: seed)
    func random(_ bound: Int) -> Int64 { Int64(generator.next() % UInt64(bound)) }
    var time: Int64 = 100_000
    var features: [(sort: Int64, Entry)] = []
    var actions: [(sort: Int64, Entry)] = []
    for index in 0..<count {
      time += random(40)
      let request = "r\(index)"
      let feature = Entry(request: request, timeMs: time, kind: 0)
      if random(10) > 0 { features.append((time + random(disorderMs), feature)) }
      if random(8) == 0 { features.append((time + random(disorderMs + 300), feature)) }
      for kind in 0..<2 where random(3) > 0 {
        let action = Entry(request: request, timeMs: max(0, time + random(1400) - 150), kind: kind)
        actions.append((action.timeMs + random(disorderMs), action))
        if random(6) == 0 { actions.append((action.timeMs + random(disorderMs + 300), action)) }
      }
    }
    self.features = features.sorted { $0.sort < $1.sort }.map(\.1)
    self.actions = actions.sorted { $0.sort < $1.sort }.map(\.1)
  }
}

/// What a joiner did, one line for each thing.
private func lines(_ bench: JoinerBench) -> [String] {
  let examples = bench.examples.map {
    "example \($0.requestHash) \($0.eventTimeMs) \($0.actionTimeMs) \($0.labels) \($0.isNegative)"
  }
  return examples + bench.deadLetters.map { "dead \($0.topic) \($0.offset) \($0.reason.rawValue)" }
}

/// The rules of `docs/joiner.md` with arrays and linear searches.
private struct NaiveJoiner {
  let windowMs: Int64 = 1000
  let graceMs: Int64 = 100
  let negatives: Bool
  struct Impression {
    var entry: Entry
    var offset: Int
    var seen: Set<Int> = []
    var isClosed = false
  }
  struct Waiting {
    var entry: Entry
    var offset: Int
    var isGivenUp = false
  }
  var impressions: [Impression] = []
  var waiting: [Waiting] = []
  var time: Int64 = 0
  var examples: [String] = []
  var dead: [String] = []

  init(negatives: Bool) { self.negatives = negatives }

  mutating func run(_ script: Script) -> [String] {
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

  func matches(_ impression: Entry, _ action: Entry) -> Bool {
    impression.request == action.request && impression.timeMs <= action.timeMs + graceMs
      && action.timeMs <= impression.timeMs + windowMs
  }

  mutating func advance(_ to: Int64) {
    time = max(time, to)
    let due = impressions.indices.filter { !impressions[$0].isClosed && impressions[$0].entry.timeMs + windowMs < time }
    for index in due.sorted(by: {
      (impressions[$0].entry.timeMs, impressions[$0].offset) < (impressions[$1].entry.timeMs, impressions[$1].offset)
    }) {
      impressions[index].isClosed = true
      if negatives, impressions[index].seen.isEmpty {
        let entry = impressions[index].entry
        examples.append(
          "example \(Hashing.xxh3(entry.request)) \(entry.timeMs) \(entry.timeMs + windowMs) [\"0.0\", \"0.0\"] true")
      }
    }
    let over = waiting.indices.filter { !waiting[$0].isGivenUp && waiting[$0].entry.timeMs + graceMs < time }
    for index in over.sorted(by: {
      (waiting[$0].entry.timeMs, waiting[$0].offset) < (waiting[$1].entry.timeMs, waiting[$1].offset)
    }) {
      waiting[index].isGivenUp = true
      dead.append("dead actions \(waiting[index].offset) orphan-action")
    }
    impressions.removeAll { $0.entry.timeMs + windowMs + graceMs < time }
    waiting.removeAll { $0.entry.timeMs + windowMs + graceMs < time }
  }

  mutating func emit(_ impression: Entry, _ action: Entry) {
    let labels = action.kind == 0 ? #"["1.0", "nan"]"# : #"["nan", "1.0"]"#
    examples.append(
      "example \(Hashing.xxh3(impression.request)) \(impression.timeMs) \(action.timeMs) \(labels) false")
  }

  mutating func add(_ entry: Entry, _ offset: Int) {
    if entry.timeMs + windowMs + graceMs < time { return dead.append("dead features \(offset) late-feature") }
    if impressions.contains(where: { $0.entry.request == entry.request }) { return }
    var impression = Impression(entry: entry, offset: offset)
    for action in waiting where matches(entry, action.entry) {
      if !action.isGivenUp, !impression.seen.contains(action.entry.kind) { emit(entry, action.entry) }
      impression.seen.insert(action.entry.kind)
    }
    waiting = waiting.filter { $0.isGivenUp || !matches(entry, $0.entry) }
    impressions.append(impression)
  }

  mutating func act(_ entry: Entry, _ offset: Int) {
    guard let index = impressions.firstIndex(where: { matches($0.entry, entry) }) else {
      let isLate = entry.timeMs + graceMs < time
      if isLate { dead.append("dead actions \(offset) late-action") }
      return waiting.append(Waiting(entry: entry, offset: offset, isGivenUp: isLate))
    }
    guard impressions[index].seen.insert(entry.kind).inserted else { return }
    if negatives, impressions[index].isClosed {
      dead.append("dead actions \(offset) late-action")
    } else {
      emit(impressions[index].entry, entry)
    }
  }
}

extension JoinerBench {
  fileprivate func feed(_ script: Script, _ topic: JoinerTopic, _ offsets: Range<Int>) {
    for offset in offsets {
      switch topic {
      case .features: feature(Int64(offset), script.features[offset].request, at: script.features[offset].timeMs)
      case .actions:
        let entry = script.actions[offset]
        action(Int64(offset), entry.request, at: entry.timeMs, kind: kinds[entry.kind])
      }
    }
  }
}

@Suite struct JoinerModelTests {
  static let cases: [(seed: UInt64, negatives: Bool, disorderMs: Int)] = (1...24).map {
    ($0, $0 % 2 == 0, [1, 60, 400][Int($0) % 3])
  }

  @Test(arguments: cases) func theResultIsThatOfTheNaiveJoinerWhateverTheInterleaving(
    seed: UInt64, negatives: Bool, disorderMs: Int
  ) throws {
    let script = Script(seed: seed, count: 300, disorderMs: disorderMs)
    var naive = NaiveJoiner(negatives: negatives)
    let expected = naive.run(script)
    #expect(naive.examples.count > 100 && naive.dead.count > 5)
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<3 {
      let bench = try JoinerBench { $0.negativeRate = negatives ? 1 : 0 }
      var next = [0, 0]
      while next[0] < script.features.count || next[1] < script.actions.count {
        let topic = JoinerTopic(rawValue: Int(generator.next() % 2))!
        let count = topic == .features ? script.features.count : script.actions.count
        let end = min(count, next[topic.rawValue] + Int(generator.next() % 60))
        bench.feed(script, topic, next[topic.rawValue]..<end)
        next[topic.rawValue] = end
        try bench.run()
      }
      try bench.settle()
      #expect(lines(bench) == expected)
    }
  }

  @Test(arguments: cases) func aRestartAtAnyPointGivesTheOutputOfAnUninterruptedRun(
    seed: UInt64, negatives: Bool, disorderMs: Int
  ) throws {
    let script = Script(seed: seed, count: 200, disorderMs: disorderMs)
    var naive = NaiveJoiner(negatives: negatives)
    let expected = naive.run(script)
    var generator = SeededGenerator(seed: seed)
    var committed: [JoinerBench.Example] = []
    var committedLetters: [DeadLetter] = []
    var point = JoinerCommitPoint.start
    var restarts = 0
    while true {
      let bench = try JoinerBench({ $0.negativeRate = negatives ? 1 : 0 }, from: point)
      var next = [Int(point.featureLow), Int(point.actionLow)]
      let life = Int(generator.next() % 12)
      for _ in 0..<(restarts < 20 ? life : .max) {
        if next[0] == script.features.count, next[1] == script.actions.count { break }
        let topic = JoinerTopic(rawValue: Int(generator.next() % 2))!
        let count = topic == .features ? script.features.count : script.actions.count
        let end = min(count, next[topic.rawValue] + Int(generator.next() % 40))
        bench.feed(script, topic, next[topic.rawValue]..<end)
        next[topic.rawValue] = end
        try bench.run()
        guard generator.next() % 3 == 0, let commit = bench.partition.commitPoint else { continue }
        point = try JoinerCommitPoint(text: commit.text)
        committed += bench.examples
        committedLetters += bench.deadLetters
        bench.examples = []
        bench.deadLetters = []
      }
      if next[0] == script.features.count, next[1] == script.actions.count {
        try bench.settle()
        bench.examples = committed + bench.examples
        bench.deadLetters = committedLetters + bench.deadLetters
        #expect(lines(bench) == expected)
        #expect(restarts >= 3)
        return
      }
      restarts += 1
    }
  }

  /// Here the topics also pass each other because one of them is at its end, so that the order of processing is no
  /// function of the logs: the state must come back all the same.
  @Test(arguments: cases) func aRestoredJoinerBehavesLikeTheOneItReplaces(
    seed: UInt64, negatives: Bool, disorderMs: Int
  ) throws {
    let script = Script(seed: seed, count: 300, disorderMs: disorderMs)
    var generator = SeededGenerator(seed: seed)
    let original = try JoinerBench { $0.negativeRate = negatives ? 1 : 0 }
    var twins: [JoinerBench] = []
    var read = [0, 0]
    while read[0] < script.features.count || read[1] < script.actions.count {
      let ends = [
        min(script.features.count, read[0] + Int(generator.next() % 50)),
        min(script.actions.count, read[1] + Int(generator.next() % 50)),
      ]
      for bench in [original] + twins {
        bench.feed(script, .features, read[0]..<ends[0])
        bench.feed(script, .actions, read[1]..<ends[1])
        try bench.settle()
      }
      read = ends
      for twin in twins {
        #expect(lines(twin) == lines(original))
        twin.examples = []
        twin.deadLetters = []
      }
      original.examples = []
      original.deadLetters = []
      let point = try #require(original.partition.commitPoint)
      for twin in twins { #expect(twin.partition.commitPoint?.featureNext == point.featureNext) }
      let twin = try JoinerBench({ $0.negativeRate = negatives ? 1 : 0 }, from: point)
      twin.nowMs = original.nowMs
      twin.feed(script, .actions, Int(point.actionLow)..<read[1])
      twin.feed(script, .features, Int(point.featureLow)..<read[0])
      twin.end()
      #expect(twin.partition.isRestored)
      twins = Array(twins.suffix(2)) + [twin]
    }
  }
}

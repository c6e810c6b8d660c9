import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

/// One way of joining, and a script.
struct JoinerCase: CustomTestStringConvertible {
  var seed: UInt64
  var disorderMs: Int
  var emit: JoinerEmit
  var lateActions: LateActions
  var correctionMs: Int64
  var negativeRate: Float

  var testDescription: String {
    "seed \(seed), disorder \(disorderMs), \(emit), \(lateActions) \(correctionMs), negatives \(negativeRate)"
  }

  func configure(_ config: inout JoinerConfig) {
    config.windowMs = 1000
    config.graceMs = 100
    config.emit = emit
    config.lateActions = lateActions
    config.correctionMs = correctionMs
    config.negativeRate = negativeRate
  }

  var naive: NaiveJoiner {
    var config = JoinerConfig()
    configure(&config)
    return NaiveJoiner(config)
  }

  func bench(from point: JoinerCommitPoint = .start) throws -> JoinerBench {
    try JoinerBench({ configure(&$0) }, spec: joinerModeSpec, from: point)
  }

  /// Every combination of modes with every disorder.
  static let all: [JoinerCase] = {
    var cases: [JoinerCase] = []
    for emit in JoinerEmit.allCases {
      for lateActions in LateActions.allCases {
        for negativeRate in [0, 0.5, 1] as [Float] {
          for disorderMs in [1, 60, 400] {
            let seed = UInt64(cases.count + 1)
            cases.append(
              JoinerCase(
                seed: seed, disorderMs: disorderMs, emit: emit, lateActions: lateActions,
                correctionMs: lateActions == .correct && seed % 3 > 0 ? 600 : 0, negativeRate: negativeRate))
          }
        }
      }
    }
    return cases
  }()
}

/// What a joiner did, one line for each thing.
private func lines(_ bench: JoinerBench) -> [String] {
  let examples = bench.examples.map {
    "example \($0.requestHash) \($0.eventTimeMs) \($0.actionTimeMs) \($0.labels) \($0.origin)"
  }
  return examples + bench.deadLetters.map { "dead \($0.topic) \($0.offset) \($0.reason.rawValue)" }
}

extension JoinerBench {
  fileprivate func feed(_ script: JoinerScript, _ topic: JoinerTopic, _ offsets: Range<Int>) {
    for offset in offsets {
      switch topic {
      case .features: feature(Int64(offset), script.features[offset].request, at: script.features[offset].timeMs)
      case .actions:
        let entry = script.actions[offset]
        action(
          Int64(offset), entry.request, at: entry.timeMs, value: entry.value, kind: JoinerScript.kinds[entry.kind])
      }
    }
  }
}

@Suite struct JoinerModelTests {
  @Test(arguments: JoinerCase.all) func theResultIsThatOfTheNaiveJoinerWhateverTheInterleaving(
    mode: JoinerCase
  ) throws {
    let script = JoinerScript(seed: mode.seed, count: 300, disorderMs: mode.disorderMs)
    var naive = mode.naive
    let expected = naive.run(script)
    #expect(naive.examples.count > 100 && naive.dead.count > 5)
    var generator = SeededGenerator(seed: mode.seed)
    for _ in 0..<3 {
      let bench = try mode.bench()
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
      try expectEveryActionIsAccountedFor(bench, script)
    }
  }

  private func expectEveryActionIsAccountedFor(_ bench: JoinerBench, _ script: JoinerScript) throws {
    let counters = bench.partition.counters
    let waiting =
      script.actions.count - counters.matched - counters.duplicateActions
      - counters.deadLetters(.orphanAction) - counters.deadLetters(.lateAction)
    #expect((0...bench.partition.waitingActionCount).contains(waiting))
    #expect(counters.joinDelays.count == counters.matched)
    #expect(counters.joined + counters.negatives == bench.examples.count)
    #expect(counters.corrections <= counters.late && counters.lateUnchanged <= counters.late)
  }

  /// The cases above are worth nothing if what they are about does not happen in them.
  @Test func theScriptsMeetEveryKindOfExample() {
    for emit in JoinerEmit.allCases {
      var met = ""
      for mode in JoinerCase.all where mode.emit == emit {
        var naive = mode.naive
        met += naive.run(JoinerScript(seed: mode.seed, count: 300, disorderMs: mode.disorderMs)).joined()
      }
      let origins: [ExampleOrigin] =
        emit == .atWindowEnd ? ExampleOrigin.allCases : [.actions, .negative, .correctsNegative]
      let reasons = [DeadLetterReason.orphanAction, .lateAction, .lateFeature]
      for wanted in origins.map({ "] \($0)" }) + reasons.map(\.rawValue) {
        let isMet = met.contains(wanted)
        #expect(isMet, "\(emit): \(wanted)")
      }
    }
  }

  @Test(arguments: JoinerCase.all) func aRestartAtAnyPointGivesTheOutputOfAnUninterruptedRun(mode: JoinerCase) throws {
    let script = JoinerScript(seed: mode.seed, count: 200, disorderMs: mode.disorderMs)
    var naive = mode.naive
    let expected = naive.run(script)
    var generator = SeededGenerator(seed: mode.seed)
    var committed: [JoinerBench.Example] = []
    var committedLetters: [DeadLetter] = []
    var point = JoinerCommitPoint.start
    var restarts = 0
    while true {
      let bench = try mode.bench(from: point)
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
  @Test(arguments: JoinerCase.all) func aRestoredJoinerBehavesLikeTheOneItReplaces(mode: JoinerCase) throws {
    let script = JoinerScript(seed: mode.seed, count: 300, disorderMs: mode.disorderMs)
    var generator = SeededGenerator(seed: mode.seed)
    let original = try mode.bench()
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
      let twin = try mode.bench(from: point)
      twin.nowMs = original.nowMs
      twin.feed(script, .actions, Int(point.actionLow)..<read[1])
      twin.feed(script, .features, Int(point.featureLow)..<read[0])
      twin.end()
      #expect(twin.partition.isRestored)
      twins = Array(twins.suffix(2)) + [twin]
    }
  }
}

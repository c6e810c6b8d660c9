import FreshetCluster
import FreshetCore
import Testing

/// A joiner with a disk makes what one in memory makes, whatever is in memory, and whatever disk it finds after a crash.
@Suite struct JoinerStateModelTests {
  static let cases: [(seed: UInt64, rules: StateRules, disorderMs: Int)] = (1...36).map {
    ($0, StateRules($0), [1, 60, 400][Int($0 / 2) % 3])
  }

  /// Memory for nothing, next to nothing, or a few.
  private static func tiny(_ config: inout JoinerConfig, _ generator: inout SeededGenerator, _ rules: StateRules) {
    rules.apply(to: &config)
    config.maxWaitingFeatureBytes = generator.next() % 3 == 0 ? 1 << 20 : 1
    config.maxUnwrittenBytes = [1, 300, 3000, 1 << 20][Int(generator.next() % 4)]
    config.closingsInMemory = [1, 3, 20][Int(generator.next() % 3)]
    config.maxQueuedRecords = 10_000
  }

  @Test(arguments: cases) func theResultIsThatOfAJoinerInMemory(
    seed: UInt64, rules: StateRules, disorderMs: Int
  ) throws {
    let script = StateScript(seed: seed, count: 300, disorderMs: disorderMs)
    let expected = try JoinerBench.inMemory(script, rules)
    #expect(expected.examples.count > 50 && expected.deadLetters.count > 5)
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<3 {
      let state = MemoryState()
      state.expires = generator.next() % 2 == 0
      let bench = try JoinerBench({ Self.tiny(&$0, &generator, rules) }, state: state)
      var next = [0, 0]
      while next[0] < script.count(.features) || next[1] < script.count(.actions) {
        let topic = JoinerTopic(rawValue: Int(generator.next() % 2))!
        let end = min(script.count(topic), next[topic.rawValue] + Int(generator.next() % 60))
        bench.feed(script, topic, next[topic.rawValue]..<end)
        next[topic.rawValue] = end
        try bench.run()
        if generator.next() % 2 == 0 { bench.commit() }
      }
      try bench.settle()
      #expect(bench.exampleLines == expected.exampleLines)
      #expect(bench.letterLines == expected.letterLines)
      #expect(state.lookedUp > 0)
    }
  }

  /// A life ends anywhere; the next one finds the disk as it was left, as it was some commits ago, or none.
  @Test(arguments: cases) func livesThatEndAnywhereMakeEverythingOnce(
    seed: UInt64, rules: StateRules, disorderMs: Int
  ) throws {
    let script = StateScript(seed: seed, count: 250, disorderMs: disorderMs)
    let expected = try JoinerBench.inMemory(script, rules)
    var generator = SeededGenerator(seed: seed)
    var examples: [String] = []
    var letters: [String] = []
    var point = JoinerCommitPoint.start
    var state = MemoryState()
    var lives = 0
    while true {
      state.expires = generator.next() % 2 == 0
      let bench = try JoinerBench({ Self.tiny(&$0, &generator, rules) }, from: point, state: state)
      var next = [Int(bench.partition.readFrom.features), Int(bench.partition.readFrom.actions)]
      let steps = lives < 25 ? Int(generator.next() % 14) : .max
      var step = 0
      while step < steps, next[0] < script.count(.features) || next[1] < script.count(.actions) {
        step += 1
        let topic = JoinerTopic(rawValue: Int(generator.next() % 2))!
        let end = min(script.count(topic), next[topic.rawValue] + Int(generator.next() % 40))
        bench.feed(script, topic, next[topic.rawValue]..<end)
        next[topic.rawValue] = end
        try bench.run()
        if generator.next() % 3 == 0 { bench.commit() }
      }
      let isOver = next[0] == script.count(.features) && next[1] == script.count(.actions)
      if isOver {
        try bench.settle()
        bench.commit()
      }
      if let committed = bench.committed {
        point = try JoinerCommitPoint(text: committed.text)
        examples += bench.exampleLines.prefix(bench.committedExamples)
        letters += bench.letterLines.prefix(bench.committedLetters)
      }
      if isOver { break }
      lives += 1
      switch generator.next() % 5 {
      case 0: state = MemoryState()
      case 1: state = state.copy(batchesAgo: Int(generator.next() % 4))
      default: break
      }
    }
    #expect(examples == expected.exampleLines)
    #expect(letters == expected.letterLines)
    #expect(lives >= 2)
  }

  /// Here the topics also pass each other because one of them is at its end, so that the order of processing is no function of
  /// the logs: what is on disk must fit it all the same, at every commit.
  @Test(arguments: cases) func fromEveryCommitAJoinerGoesOnLikeTheOneThatMadeIt(
    seed: UInt64, rules: StateRules, disorderMs: Int
  ) throws {
    let script = StateScript(seed: seed, count: 250, disorderMs: disorderMs)
    var generator = SeededGenerator(seed: seed)
    let state = MemoryState()
    var config = JoinerConfig()
    Self.tiny(&config, &generator, rules)
    let budgets = config
    func configure(_ config: inout JoinerConfig) {
      rules.apply(to: &config)
      config.maxWaitingFeatureBytes = budgets.maxWaitingFeatureBytes
      config.maxUnwrittenBytes = budgets.maxUnwrittenBytes
      config.closingsInMemory = budgets.closingsInMemory
    }
    let original = try JoinerBench(configure, state: state)
    var twins: [JoinerBench] = []
    var read = [0, 0]
    while read[0] < script.count(.features) || read[1] < script.count(.actions) {
      let ends = [
        min(script.count(.features), read[0] + Int(generator.next() % 50)),
        min(script.count(.actions), read[1] + Int(generator.next() % 50)),
      ]
      for bench in [original] + twins {
        bench.feed(script, .features, read[0]..<ends[0])
        bench.feed(script, .actions, read[1]..<ends[1])
        try bench.settle()
        bench.commit()
      }
      read = ends
      for twin in twins {
        #expect(twin.exampleLines == original.exampleLines)
        #expect(twin.letterLines == original.letterLines)
        #expect(twin.committed?.featureNext == original.committed?.featureNext)
        twin.examples = []
        twin.deadLetters = []
      }
      original.examples = []
      original.deadLetters = []
      let point = try #require(original.committed)
      let found = state.copy(batchesAgo: Int(generator.next() % 5))
      let twin = try JoinerBench(configure, from: point, state: found)
      twin.nowMs = original.nowMs
      twin.feed(script, .actions, Int(twin.partition.readFrom.actions)..<read[1])
      twin.feed(script, .features, Int(twin.partition.readFrom.features)..<read[0])
      twin.end()
      try twin.run()
      #expect(twin.partition.isRestored && twin.partition.commitPoint != nil)
      twins = Array(twins.suffix(2)) + [twin]
    }
  }
}

import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@Suite struct JoinerBoundsTests {
  @Test func aTopicThatRunsAheadIsPausedAndResumed() throws {
    let bench = try JoinerBench { $0.maxQueuedRecords = 10 }
    for offset in 0..<10 { bench.feature(Int64(offset), "r\(offset)", at: 5000 + Int64(offset)) }
    try bench.run()
    #expect(bench.flow == ["features paused"] && bench.partition.isPaused(.features))
    bench.action(0, "x", at: 5003)
    bench.action(1, "y", at: 5004)
    try bench.run()
    #expect(bench.flow == ["features paused", "features resumed"])
    #expect(!bench.partition.isPaused(.features) && !bench.partition.isPaused(.actions))
  }

  @Test func queuedBytesPauseATopicToo() throws {
    let bench = try JoinerBench { $0.maxQueuedBytes = 200 }
    for offset in 0..<4 { bench.action(Int64(offset), "r\(offset)", at: 5000) }
    try bench.run()
    #expect(bench.flow == ["actions paused"])
    try bench.settle()
    #expect(bench.flow == ["actions paused", "actions resumed"])
  }

  @Test func tooManyImpressionsGiveUpTheOldest() throws {
    let bench = try JoinerBench { $0.maxWaitingFeatures = 3 }
    for offset in 0..<5 { bench.feature(Int64(offset), "r\(offset)", at: 5000) }
    bench.action(0, "r0", at: 5001)
    bench.action(1, "r4", at: 5001)
    try bench.settle()
    #expect(bench.deadLetters.map(\.reason) == [.windowOverflow, .windowOverflow])
    #expect(bench.deadLetters.map(\.offset) == [0, 1])
    #expect(bench.partition.counters.evictedFeatures == 2)
    #expect(bench.examples.count == 1)
    #expect(bench.partition.commitPoint?.featureLow == 2)
  }

  @Test func theBytesOfWaitingImpressionsAreBounded() throws {
    let bench = try JoinerBench {
      $0.maxWaitingFeatureBytes = 1 << 19
      $0.maxQueuedRecords = 1000
    }
    for round in 0..<16 {
      for index in 0..<1000 {
        let offset = Int64(round * 1000 + index)
        bench.feature(offset, "r\(offset)", at: 5000)
      }
      try bench.settle()
      #expect(bench.partition.waitingFeatureBytes <= (1 << 19) + (1 << 18))
    }
    #expect(bench.partition.counters.evictedFeatures > 1000)
  }

  @Test func tooManyWaitingActionsGiveUpTheOldest() throws {
    let bench = try JoinerBench { $0.maxWaitingActions = 3 }
    for offset in 0..<5 { bench.action(Int64(offset), "r\(offset)", at: 5000 + Int64(offset)) }
    try bench.settle()
    #expect(!bench.deadLetters.isEmpty && bench.deadLetters.allSatisfy { $0.reason == .graceOverflow })
    #expect(bench.deadLetters.first?.offset == 0)
    #expect(bench.partition.waitingActionCount <= 3)
  }

  @Test func aFullOutputStopsTheRunAndForbidsACommitInTheMiddleOfAStep() throws {
    let bench = try JoinerBench {
      $0.negativeRate = 1
      $0.maxOutputBytes = 1000
    }
    for offset in 0..<100 { bench.feature(Int64(offset), "r\(offset)", at: 5000) }
    bench.feature(100, "end", at: 6001)
    bench.end()
    bench.nowMs += 10_000
    bench.confirmEnds()
    #expect(bench.partition.run(catalog: bench.catalog, now: bench.now, output: bench.output) == .outputFull)
    #expect(bench.output.byteCount < 1300)
    #expect(bench.partition.commitPoint == nil)
    try bench.collect()
    try bench.run()
    #expect(bench.examples.count == 100)
    #expect(bench.partition.commitPoint != nil)
  }

  @Test func memoryIsUsedAgainOnceImpressionsAreOver() throws {
    let bench = try JoinerBench()
    var largest = 0
    for round in 0..<60 {
      for index in 0..<500 {
        let offset = Int64(round * 500 + index)
        bench.feature(offset, "r\(offset)", at: 5000 + offset * 20)
      }
      try bench.settle()
      largest = max(largest, bench.partition.waitingFeatureBytes)
    }
    #expect(largest <= 2 << 18)
    #expect(bench.partition.waitingFeatureCount <= 57)
  }
}

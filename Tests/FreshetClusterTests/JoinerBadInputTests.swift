import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@Suite struct JoinerBadInputTests {
  static let badFeatures: [(String?, DeadLetterReason)] = [
    (nil, .nullPayload), ("", .malformedJSON), ("{", .malformedJSON), ("[]", .malformedJSON), ("7", .malformedJSON),
    (#"{"event_time":5000,"user_id":1,"item_id":1}"#, .missingField),
    (#"{"request_id":"a","user_id":1,"item_id":1}"#, .missingField),
    (#"{"request_id":"a","event_time":5000,"item_id":1}"#, .missingField),
    (#"{"request_id":"a","event_time":5000,"user_id":1,"item_id":null}"#, .missingField),
    (#"{"request_id":7,"event_time":5000,"user_id":1,"item_id":1}"#, .wrongType),
    (#"{"request_id":"","event_time":5000,"user_id":1,"item_id":1}"#, .wrongType),
    (#"{"request_id":"a","event_time":"noon","user_id":1,"item_id":1}"#, .wrongType),
    (#"{"request_id":"a","event_time":-1,"user_id":1,"item_id":1}"#, .wrongType),
    (#"{"request_id":"a","event_time":5000,"user_id":"x","item_id":1}"#, .wrongType),
    (#"{"request_id":"a","event_time":5000,"user_id":1,"item_id":[1]}"#, .wrongType),
    (#"{"request_id":"a","event_time":100000000000000,"user_id":1,"item_id":1}"#, .futureEventTime),
    (
      #"{"request_id":"a","event_time":5000,"user_id":1,"item_id":1,"x":""# + String(repeating: "x", count: 2000)
        + "\"}",
      .oversized
    ),
  ]

  @Test(arguments: badFeatures) func aBadFeatureRecordIsADeadLetterAndNothingElseIsLost(
    payload: String?, reason: DeadLetterReason
  ) throws {
    let bench = try JoinerBench {
      $0.maxRecordBytes = 1000
      $0.maxAheadMs = 1 << 40
    }
    bench.feature(0, "before", at: 5000)
    bench.feed(.features, 1, payload)
    bench.feature(2, "after", at: 5000)
    bench.action(0, "before", at: 5001)
    bench.action(1, "after", at: 5001)
    try bench.settle()
    #expect(bench.examples.count == 2)
    let letter = try #require(bench.deadLetters.first)
    #expect(bench.deadLetters.count == 1 && letter.reason == reason)
    #expect(letter.topic == .features && letter.offset == 1 && !letter.message.isEmpty)
    #expect(letter.payload == payload.map { Array($0.utf8.prefix(1000)) })
    #expect(bench.partition.counters.deadLetters(reason) == 1)
    #expect(bench.partition.commitPoint?.featureNext == 3)
  }

  static let badActions: [(String?, DeadLetterReason)] = [
    (nil, .nullPayload), ("nul", .malformedJSON),
    (#"{"event_time":5001,"action":"click"}"#, .missingField),
    (#"{"request_id":"a","action":"click"}"#, .missingField),
    (#"{"request_id":"a","event_time":5001}"#, .missingField),
    (#"{"request_id":"a","event_time":5001,"action":"rating"}"#, .missingField),
    (#"{"request_id":"a","event_time":5001,"action":"rating","value":null}"#, .missingField),
    (#"{"request_id":"a","event_time":5001,"action":"rating","value":"5"}"#, .wrongType),
    (#"{"request_id":"a","event_time":5001,"action":5}"#, .wrongType),
    (#"{"request_id":"a","event_time":5001,"action":"smile"}"#, .unknownAction),
    (#"{"request_id":"a","event_time":100000000000000,"action":"click"}"#, .futureEventTime),
  ]

  @Test(arguments: badActions) func aBadActionIsADeadLetterAndNothingElseIsLost(
    payload: String?, reason: DeadLetterReason
  ) throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.feed(.actions, 0, payload)
    bench.action(1, "a", at: 5002)
    try bench.settle()
    #expect(bench.examples.count == 1)
    #expect(bench.deadLetters.map(\.reason) == [reason])
    #expect(bench.deadLetters.first?.offset == 0 && bench.deadLetters.first?.topic == .actions)
    #expect(bench.partition.commitPoint?.actionNext == 2)
  }

  @Test func aBadRecordIsReportedOnlyOnceItsTurnHasCome() throws {
    let bench = try JoinerBench()
    bench.feature(0, "a", at: 5000)
    bench.feed(.features, 1, "{")
    try bench.run()
    #expect(bench.deadLetters.isEmpty, "the record before it waits for the actions")
    #expect(bench.partition.commitPoint?.featureNext == 0)
    try bench.settle()
    #expect(bench.deadLetters.count == 1)
  }

  @Test func reasonCodesAreStable() {
    #expect(
      DeadLetterReason.allCases.map(\.rawValue) == [
        "malformed-json", "missing-field", "wrong-type", "unknown-action", "null-payload", "oversized",
        "future-event-time", "orphan-action", "late-action", "late-feature", "window-overflow", "grace-overflow",
      ])
  }
}

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
      $0.maxWaitingFeatureBytes = 1 << 20
      $0.maxQueuedRecords = 1000
    }
    for round in 0..<40 {
      for index in 0..<1000 {
        let offset = Int64(round * 1000 + index)
        bench.feature(offset, "r\(offset)", at: 5000)
      }
      try bench.settle()
      #expect(bench.partition.waitingFeatureBytes <= (1 << 20) + (1 << 19))
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

@Suite struct JoinerItemsTests {
  @Test func anUnknownItemIsLookedForBeforeItsExampleIsMade() throws {
    let bench = try JoinerBench(items: [])
    bench.pendingItems = [#"{"item_id":3,"year":1999}"#]
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5001)
    try bench.settle()
    #expect(bench.asked == 1)
    #expect(bench.examples.map(\.fidCounts) == [[1, 1, 1]])
    #expect(bench.partition.counters.unknownItems == 0)
  }

  @Test func anItemThatIsNotFoundIsAskedForOnceInAnInterval() throws {
    let bench = try JoinerBench({ $0.itemRefreshIntervalMs = 60_000 }, items: [])
    for round in 0..<10 {
      bench.nowMs += 2000
      let offset = Int64(round)
      bench.feature(offset, "r\(round)", at: 5000 + offset)
      bench.action(offset, "r\(round)", at: 5000 + offset)
      bench.end()
      bench.nowMs += 3000
      try bench.run()
    }
    #expect(bench.examples.count == 10)
    #expect(bench.examples.allSatisfy { $0.fidCounts == [1, 1, 0] })
    #expect(bench.partition.counters.unknownItems == 10)
    #expect(bench.asked == 1)
    bench.nowMs += 60_000
    bench.feature(10, "late", at: 5100)
    bench.action(10, "late", at: 5100)
    try bench.settle()
    #expect(bench.asked == 2)
  }

  @Test func aCatalogNewerThanTheImpressionIsNotRefreshed() throws {
    let bench = try JoinerBench(items: [])
    bench.partition.itemsRefreshed(asOf: UnixTime(milliseconds: 900_000))
    bench.feed(.features, 0, JoinerBench.feature("a", at: 5000), appendTimeMs: 898_000)
    bench.feed(.features, 1, JoinerBench.feature("b", at: 5000, item: 4), appendTimeMs: 899_500)
    bench.action(0, "a", at: 5000)
    try bench.settle()
    #expect(bench.asked == 0 && bench.examples.count == 1)
    bench.action(1, "b", at: 5000)
    try bench.settle()
    #expect(bench.asked == 1 && bench.examples.count == 2)
  }

  @Test func nothingIsCommittedOrLostWhileItemsAreAwaitedForANegativeExample() throws {
    let bench = try JoinerBench({ $0.negativeRate = 1 }, items: [])
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 7000)
    bench.end()
    bench.nowMs += 10_000
    #expect(bench.partition.run(catalog: bench.catalog, now: bench.now, output: bench.output) == .waitingForItems)
    #expect(bench.output.needsItems && bench.partition.commitPoint == nil)
    bench.output.removeAll()
    #expect(bench.partition.run(catalog: bench.catalog, now: bench.now, output: bench.output) == .waitingForItems)
    #expect(bench.output.needsItems, "the shell is asked again until it has answered")
    try bench.run()
    #expect(bench.examples.count == 1 && bench.partition.commitPoint != nil)
    #expect(bench.partition.counters.itemRefreshes == 1)
  }
}

@Suite struct JoinerCommitPointTests {
  @Test func theTextIsShortAndReadsBack() throws {
    let largest = JoinerCommitPoint(
      featureLow: .max, featureNext: .max, actionLow: .max, actionNext: .max, streamTimeMs: .max)
    #expect(largest.text.utf8.count <= 200)
    for point in [largest, .start] { #expect(try JoinerCommitPoint(text: point.text) == point) }
    #expect(JoinerCommitPoint.start.text == "j1 0 0 0 0 -")
  }

  @Test(arguments: ["", "j2 0 0 0 0 -", "j1 0 0 0 0", "j1 1 0 0 0 5", "j1 0 0 x 0 5", "j1 0 0 0 0 - ", "j1 -1 0 0 0 -"])
  func anotherTextIsAnError(text: String) {
    #expect(throws: JoinerError.self) { try JoinerCommitPoint(text: text) }
  }

  @Test func theLowWatermarksFollowTheWindow() throws {
    let bench = try JoinerBench()
    for offset in 0..<2000 {
      bench.feature(Int64(offset), "r\(offset)", at: 5000 + Int64(offset) * 10)
      bench.action(Int64(offset), "r\(offset)", at: 5000 + Int64(offset) * 10)
    }
    try bench.settle()
    let point = try #require(bench.partition.commitPoint)
    #expect(point.featureNext == 2000 && point.actionNext == 2000)
    #expect(point.featureLow == 2000 - 111, "1100 ms are 110 records and the last one")
    #expect(point.actionLow <= point.featureLow && point.actionLow > 2000 - 111 - 256)
    #expect(point.streamTimeMs == 24_990)
  }
}

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

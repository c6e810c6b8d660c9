import Foundation
import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetKafka
import FreshetModel
import NIOCore
import Testing

@testable import FreshetRoles

@Suite struct EventRequestTests {
  private static func impression(_ id: String, user: String = "1", more: String = "") -> String {
    #"{"request_id":"\#(id)","event_time":\#(GatewayBench.nowMs),"user_id":\#(user),"item_id":1193\#(more)}"#
  }

  @Test func oneObjectAListAndLinesAreRecordsThatGoOnAsTheyCame() async throws {
    let (a, b) = (Self.impression("a", user: "\"007\""), Self.impression("b", more: ", \"unknown\" : [1.50] "))
    for body in ["\(a)", " [\(a), \n\(b)]\n", "\(a)\n\(b)\n\n", "\(a)\r\n\(b)"] {
      let bench = try GatewayBench()
      let reply = try await bench.ask("POST", "/v1/impressions", body)
      #expect(reply.status == 200, "\(reply.text)")
      let expected = body.contains(b) ? [a, b] : [a]
      #expect(bench.sink.records.map(\.valueText) == expected && bench.sink.calls == 1)
      // Canonical text: one user has one partition, however the id is written.
      #expect(bench.sink.records.map(\.keyText) == ["7", "1"].prefix(expected.count).map(Optional.init))
      #expect(bench.sink.records.allSatisfy { $0.topic == "features" && $0.partition == nil })
    }
  }

  @Test func actionsAreKeyedByTheirUserAndItemsByThemselves() async throws {
    let bench = try GatewayBench()
    let action = #"{"request_id":"r","event_time":1,"user_id":12.0,"action":"rating","value":5}"#
    #expect(try await bench.ask("POST", "/v1/actions", action).status == 200)
    let item = #"{"item_id":"0042","title":"T","year":1975,"genres":["Drama"]}"#
    let reply = try await bench.ask("POST", "/v1/items", item)
    #expect(reply.text == #"{"offsets":[{"partition":0,"offset":1,"written":true}]}"#)
    #expect(bench.sink.records.map(\.topic) == ["actions", "items"])
    #expect(bench.sink.records.map(\.keyText) == ["12", "42"])
  }

  @Test(
    arguments: [
      (
        EventKind.impressions, #"{"event_time":1,"user_id":1,"item_id":2}"#, "missing-field", "request_id",
        "text of 1 to 255 bytes"
      ),
      (
        .impressions, #"{"request_id":"a","user_id":1,"item_id":2}"#, "missing-field", "event_time",
        "milliseconds since 1970"
      ),
      (
        .impressions, #"{"request_id":"a","event_time":"x","user_id":1,"item_id":2}"#, "wrong-type", "event_time",
        "milliseconds since 1970"
      ),
      (
        .impressions, #"{"request_id":"a","event_time":1760086400001,"user_id":1,"item_id":2}"#, "future-event-time",
        "event_time", "at most 86400000 ms ahead of the clock"
      ),
      (
        .impressions, #"{"request_id":"a","event_time":1,"item_id":2}"#, "missing-field", "user_id",
        "an integer of 64 bits"
      ),
      (
        .impressions, #"{"request_id":"a","event_time":1,"user_id":1,"item_id":null}"#, "missing-field", "item_id",
        "an integer of 64 bits"
      ),
      (
        .impressions, #"{"request_id":"a","event_time":1,"user_id":1,"item_id":2,"age":"old"}"#, "wrong-type", "age",
        "an integer of 64 bits"
      ),
      (.impressions, "[1]", "malformed-json", nil, nil),
      (.impressions, #"{"a":}"#, "malformed-json", nil, nil),
      (.actions, #"{"request_id":"a","event_time":1,"user_id":1}"#, "missing-field", "action", "one of `rating`"),
      (
        .actions, #"{"request_id":"a","event_time":1,"user_id":1,"action":"wave"}"#, "unknown-action", "action",
        "one of `rating`"
      ),
      (
        .actions, #"{"request_id":"a","event_time":1,"user_id":1,"action":"rating"}"#, "missing-field", "value",
        "a number"
      ),
      (
        .actions, #"{"request_id":"a","event_time":1,"user_id":1,"action":"rating","value":"5"}"#, "wrong-type",
        "value",
        "a number"
      ),
      (
        .actions, #"{"request_id":"a","event_time":1,"action":"rating","value":5}"#, "missing-field", "user_id",
        "an integer of 64 bits"
      ),
      (.items, #"{"title":"T"}"#, "missing-field", "item_id", "an integer of 64 bits"),
      (.items, #"{"item_id":1,"year":"then"}"#, "wrong-type", "year", "an integer of 64 bits"),
      (.items, #"{"item_id":1,"title":}"#, "malformed-json", nil, nil),
    ] as [(EventKind, String, String, String?, String?)])
  func aBadRecordIsNamedWithFieldAndExpectationAndNothingIsWritten(
    kind: EventKind, record: String, code: String, field: String?, expected: String?
  ) async throws {
    let good =
      switch kind {
      case .impressions: Self.impression("good")
      case .actions: #"{"request_id":"a","event_time":1,"user_id":1,"action":"rating","value":5}"#
      case .items: #"{"item_id":1}"#
      }
    let bench = try GatewayBench()
    let reply = try await bench.ask("POST", "/v1/\(kind.rawValue)", "\(good)\n\(record)\n\(good)")
    #expect(reply.status == 422)
    let json = try reply.json
    #expect(json["code"] as? String == "INVALID")
    #expect(json["error"] as? String == "1 of 3 records cannot be used, so none was written")
    let problems = try #require(json["records"] as? [[String: Any]])
    #expect(problems.count == 1 && problems[0]["index"] as? Int == 1)
    #expect(problems[0]["code"] as? String == code && problems[0]["field"] as? String == field, "\(problems)")
    #expect(problems[0]["expected"] as? String == expected, "\(problems)")
    #expect((problems[0]["error"] as? String)?.isEmpty == false)
    #expect(bench.sink.calls == 0)
  }

  @Test func bodiesThatHaveNoRecordsAreRefused() async throws {
    let bench = try GatewayBench(maxRecords: 2)
    for (body, status, text) in [
      ("", 400, "the body is empty"), (" \n", 400, "the body is empty"), ("[]", 400, "the list is empty"),
      ("[{}", 400, "malformed JSON at byte 3"), ("[{}] {}", 400, "malformed JSON at byte 5"),
      ("[{},]", 400, "in or behind record 1"),
      (#"{"a":"#, 400, "in or behind record 0"), ("{}{}{}", 413, "more than 2 records in one request"),
      ("[{},{},{}]", 413, "more than 2 records in one request"),
    ] {
      let reply = try await bench.ask("POST", "/v1/items", body)
      #expect(reply.status == status && reply.text.contains(text), "\(body): \(reply.text)")
    }
    #expect(try await bench.ask("GET", "/v1/items").allow == "POST")
    #expect(try await bench.ask("POST", "/v1/users", "{}").status == 404)
    #expect(bench.sink.calls == 0)
  }

  @Test func manyProblemsAreCountedAndTheFirstAreShown() async throws {
    let bench = try GatewayBench()
    let reply = try await bench.ask("POST", "/v1/items", String(repeating: "{}\n", count: 50))
    let json = try reply.json
    #expect(json["error"] as? String == "50 of 50 records cannot be used, so none was written")
    #expect((json["records"] as? [Any])?.count == EventRequest.shownProblems)
  }

  @Test func aRecordThatKafkaWouldNotTakeIsRefusedWithTheOthers() async throws {
    let bench = try GatewayBench()
    let title = String(repeating: "x", count: 1_000_000)
    let reply = try await bench.ask("POST", "/v1/items", #"{"item_id":1}{"item_id":2,"title":"\#(title)"}"#)
    #expect(reply.status == 422 && reply.text.contains("message.max.bytes") && reply.text.contains(#""index":1"#))
    #expect(bench.sink.calls == 0)
  }

  @Test func aReplyIsHonestAboutWhatIsNotKnown() async throws {
    let late = KafkaError(.timedOut, "too late", isRetriable: true)
    let bench = try GatewayBench(
      FakeSink { index, _ in
        index == 0 ? .written(PartitionID(0), Offset(5)) : .failed(late, mayBeWritten: index == 1)
      })
    let reply = try await bench.ask("POST", "/v1/items", #"{"item_id":1}{"item_id":2}{"item_id":3}"#)
    #expect(reply.status == 503 && reply.retryAfterSeconds == 1)
    #expect(
      reply.text
        == #"{"error":"of 3 records 1 were written, 1 were not, and 1 may have been","code":"UNWRITTEN","offsets":["#
        + #"{"partition":0,"offset":5,"written":true},"#
        + #"{"partition":null,"offset":null,"written":null,"code":"kafka-timed-out","error":"too late"},"#
        + #"{"partition":null,"offset":null,"written":false,"code":"kafka-timed-out","error":"too late"}]}"#)
    for (kind, status, code) in [
      (WriteRefusal.Kind.full, 429, "FULL"), (.tooLarge, 413, "TOOBIG"), (.unavailable, 503, "BUSY"),
    ] {
      let bench = try GatewayBench(FakeSink(refusal: WriteRefusal(kind: kind, message: "because")))
      let reply = try await bench.ask("POST", "/v1/items", #"{"item_id":1}"#)
      #expect(reply.status == status && reply.text == #"{"error":"because","code":"\#(code)"}"#)
    }
  }

  /// Records with random members, right and wrong ones.
  private static func record(_ kind: EventKind, _ generator: inout SeededGenerator) -> String {
    let values = [
      "1", "\"12\"", "12.0", "1.5", "-1", "null", "true", "\"x\"", "\"\"", "[]", "[1,2]", "{}", "1760000000000",
      "1760090000000", "99999999999999999999", "\"a|b\"", "\"rating\"", "5",
      "\"\(String(repeating: "y", count: 300))\"",
    ]
    var members: [String] = []
    for name in [
      "request_id", "event_time", "user_id", "item_id", "age", "zip", "gender", "year", "genres", "action", "value",
    ] {
      let standard =
        [
          "request_id": "\"r\"", "event_time": "1000", "action": "\"rating\"", "gender": "\"F\"", "zip": "\"48067\"",
          "genres": "[\"Drama\"]",
        ][name] ?? "3"
      let draw = generator.nextUnit()
      if draw < 0.05 { continue }
      members.append("\"\(name)\":" + (draw < 0.9 ? standard : values.randomElement(using: &generator)!))
    }
    let text = "{" + members.joined(separator: ",") + "}"
    return generator.nextUnit() < 0.03 ? String(text.dropLast()) : text
  }

  @Test func whatTheGatewayAcceptsIsExactlyWhatTheJoinerDoesNotRefuse() throws {
    let extractor = try FeatureExtractor(.movieLens)
    var config = JoinerConfig()
    config.idleTimeoutMs = 0
    config.idleHoldMs = 0
    let validator = RecordValidator(extractor, config: config, maxBytes: 1_000_000)
    let now = UnixTime(milliseconds: GatewayBench.nowMs)
    var generator = SeededGenerator(seed: 3)
    var accepted = 0
    for round in 0..<4_000 {
      let kind: EventKind = round % 2 == 0 ? .impressions : .actions
      let bytes = Array(Self.record(kind, &generator).utf8)
      let result = bytes.withUnsafeBytes { validator.key(of: $0, kind, now: now) }
      let partition = try JoinerPartition(
        config: config, extractor: extractor, from: .start, itemsAsOf: now, now: Instant(nanoseconds: 1))
      bytes.withUnsafeBytes {
        partition.receive(
          kind == .impressions ? .features : .actions,
          JoinerRecord(offset: 0, appendTimeMs: now.milliseconds, payload: $0), now: Instant(nanoseconds: 2))
      }
      let output = JoinerOutput()
      for topic in JoinerTopic.allCases {
        partition.reachedEnd(topic, now: Instant(nanoseconds: 3))
        partition.confirmedEnd(topic, now: Instant(nanoseconds: 3))
      }
      _ = partition.run(
        catalog: ItemCatalog(capacity: 1), now: Instant(nanoseconds: 10_000_000_000), output: output)
      let text = String(decoding: bytes, as: UTF8.self)
      switch result {
      case .success(let key):
        accepted += 1
        #expect(output.deadLetters.isEmpty, "\(text)")
        #expect(!key.isEmpty)
      case .failure(let problem):
        // The user key of an action is the gateway's own condition: it decides the partition.
        if kind == .actions, problem.field == "user_id" { continue }
        #expect(output.deadLetters.map(\.reason.rawValue) == [problem.code], "\(text)")
        #expect(output.deadLetters.first?.message == problem.message)
      }
    }
    #expect(accepted > 500)
  }
}

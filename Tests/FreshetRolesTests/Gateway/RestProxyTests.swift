import Foundation
import FreshetCore
import FreshetHTTP
import FreshetKafka
import Testing

@testable import FreshetRoles

@Suite struct RestProxyTests {
  @Test func jsonIsWrittenByteForByteWithItsKeyAndPartition() async throws {
    let bench = try GatewayBench()
    let reply = try await bench.produce(
      "/topics/features",
      #"{"records":[{"key":7,"value":{"big": 18446744073709551615, "x":1.50}},{"value":"é\n","partition":3},"#
        + #"{"key":"u","value":null,"partition":null}, {}]}"#)
    #expect(reply.status == 200 && reply.contentType == "application/vnd.kafka.v2+json")
    #expect(
      reply.text == #"{"offsets":[{"partition":0,"offset":0,"error_code":null,"error":null},"#
        + #"{"partition":3,"offset":1,"error_code":null,"error":null},"#
        + #"{"partition":0,"offset":2,"error_code":null,"error":null},"#
        + #"{"partition":0,"offset":3,"error_code":null,"error":null}],"key_schema_id":null,"value_schema_id":null}"#)
    let records = bench.sink.records
    #expect(records.map(\.topic) == Array(repeating: "features", count: 4))
    #expect(records.map(\.keyText) == ["7", nil, "\"u\"", nil])
    #expect(records.map(\.valueText) == [#"{"big": 18446744073709551615, "x":1.50}"#, #""é\n""#, nil, nil])
    #expect(records.map(\.partition) == [nil, PartitionID(3), nil, nil])
  }

  @Test func binaryIsDecodedAndIsWhatNoEmbeddedFormatMeans() async throws {
    for type in ["application/vnd.kafka.binary.v2+json; charset=utf-8", "application/vnd.kafka.v2+json"] {
      let bench = try GatewayBench()
      let reply = try await bench.produce("/topics/items", #"{"records":[{"key":"MTI=","value":"AP8="}]}"#, as: type)
      #expect(reply.status == 200)
      #expect(bench.sink.records.first?.keyText == "12")
      #expect(bench.sink.records.first?.value.map { Array($0.readableBytesView) } == [0x00, 0xff])
    }
  }

  @Test func aPathWithAPartitionWritesThere() async throws {
    let bench = try GatewayBench()
    let reply = try await bench.produce(
      "/topics/actions/partitions/2", #"{"records":[{"value":1},{"value":2,"partition":2}]}"#)
    #expect(reply.status == 200)
    #expect(bench.sink.records.map(\.partition) == [PartitionID(2), PartitionID(2)])
  }

  @Test(arguments: [
    ("/topics/other", #"{"records":[{"value":1}]}"#, 404, 40_401, "this gateway has no topic `other`"),
    ("/topics/gone", #"{"records":[{"value":1}]}"#, 404, 40_401, "gone does not exist in Kafka"),
    ("/topics/items/partitions/1", #"{"records":[{"value":1}]}"#, 404, 40_402, "no partition `1`, it has 1"),
    ("/topics/items/partitions/x", #"{"records":[{"value":1}]}"#, 404, 40_402, "no partition `x`"),
    (
      "/topics/items", #"{"records":[{"value":1},{"value":1,"partition":4}]}"#, 404, 40_402,
      "records[1].partition: items has no partition 4"
    ),
    ("/topics/items", "", 400, 400, "the body is empty"),
    ("/topics/items", "{", 400, 400, "malformed JSON"),
    ("/topics/items", "\u{feff}{\"records\":[{\"value\":1}]}", 400, 400, "malformed JSON"),
    // Beyond 64 bits: neither the joiner nor a replica could read it.
    ("/topics/items", #"{"records":[{"value":18446744073709551616}]}"#, 400, 400, "malformed JSON"),
    ("/topics/items", "[]", 422, 422, "must be an object with `records`"),
    ("/topics/items", "{}", 422, 422, "`records` must be a list of at least one record"),
    ("/topics/items", #"{"records":[]}"#, 422, 422, "at least one record"),
    ("/topics/items", #"{"records":[1]}"#, 422, 422, "records[0] must be an object, not 1"),
    ("/topics/items", #"{"record":[]}"#, 422, 422, "unknown member `record`"),
    ("/topics/items", #"{"records":[{"values":1}]}"#, 422, 422, "records[0] has an unknown member `values`"),
    ("/topics/items", #"{"records":[{"value":1,"partition":-1}]}"#, 422, 422, "must be an integer from 0, not -1"),
    (
      "/topics/items", #"{"records":[{"value":1}],"value_schema":"\"int\""}"#, 422, 422,
      "neither JSON nor binary has a schema"
    ),
    ("/topics/actions/partitions/2", #"{"records":[{"value":1,"partition":1}]}"#, 422, 422, "is 1, the path says 2"),
    ("/topics", "", 405, 405, "POST is not possible here; use GET, HEAD"),
    ("/topics/items/nothing", "", 404, 404, "no such path"),
  ]) func whatIsWrongIsRefusedInTheApisOwnForm(
    path: String, body: String, status: Int, code: Int, message: String
  ) async throws {
    let bench = try GatewayBench()
    let reply = try await bench.produce(path, body)
    #expect(reply.status == status && reply.contentType == "application/vnd.kafka.v2+json")
    let json = try reply.json
    #expect(json["error_code"] as? Int == code)
    #expect((json["message"] as? String)?.contains(message) == true, "\(json)")
    #expect(json.count == 2 && bench.sink.calls == 0)
  }

  @Test func badBase64IsNamedWithItsPlace() async throws {
    let bench = try GatewayBench()
    let binary = MediaType.Embedded.binary.rawValue
    let bad = try await bench.produce(
      "/topics/items", #"{"records":[{"value":"AA=="},{"key":"?","value":"AA=="}]}"#, as: binary)
    #expect(try bad.status == 422 && bad.json["error_code"] as? Int == 42_203)
    #expect(bad.text.contains("records[1].key is not base64"))
    let number = try await bench.produce("/topics/items", #"{"records":[{"value":1}]}"#, as: binary)
    #expect(try number.json["error_code"] as? Int == 422)
    #expect(bench.sink.calls == 0)
  }

  @Test func mediaTypesDecide() async throws {
    let bench = try GatewayBench()
    let body = #"{"records":[{"value":1}]}"#
    for type in ["application/json", "application/vnd.kafka.avro.v2+json", "text/plain"] {
      let reply = try await bench.produce("/topics/items", body, as: type)
      #expect(try reply.status == 415 && reply.json["error_code"] as? Int == 415)
      #expect(reply.text.contains(type) && reply.text.contains("vnd.kafka.json.v2+json"))
    }
    #expect(try await bench.ask("POST", "/topics/items", body).status == 415)
    for (accept, status) in [
      ("application/vnd.kafka.v2+json", 200), ("text/html, */*;q=0.1", 200), ("application/json", 200),
      ("text/html", 406), ("application/vnd.kafka.v2+json;q=0", 406), ("application/vnd.kafka.v1+json", 406),
    ] {
      let reply = try await bench.ask("GET", "/topics", "", ["accept": accept])
      #expect(reply.status == status, "\(accept)")
      if status == 406 { #expect(try reply.json["error_code"] as? Int == 406) }
    }
    #expect(bench.sink.calls == 0)
  }

  @Test func topicsAreThoseOfTheGatewayThatExist() async throws {
    let bench = try GatewayBench()
    #expect(try await bench.ask("GET", "/topics").text == #"["actions","features","items"]"#)
    let topic = try await bench.ask("GET", "/topics/items/")
    let replicas = #"[{"broker":1,"leader":true,"in_sync":true},{"broker":2,"leader":false,"in_sync":false}]"#
    let partition = #"{"partition":0,"leader":1,"replicas":\#(replicas)}"#
    #expect(topic.text == #"{"name":"items","configs":{"cleanup.policy":"delete"},"partitions":[\#(partition)]}"#)
    #expect(try await bench.ask("GET", "/topics/items/partitions").text == "[\(partition)]")
    #expect(try await bench.ask("GET", "/topics/items/partitions/0").text == partition)
    #expect(try await bench.ask("GET", "/topics/gone").status == 404)
    let early = try await GatewayBench(topics: nil).ask("GET", "/topics")
    #expect(early.status == 503 && early.retryAfterSeconds == 1 && early.text.contains("not been reached"))
    #expect(try await bench.ask("DELETE", "/topics/items").allow == "GET, HEAD, POST")
  }

  @Test func eachRecordSaysWhatBecameOfIt() async throws {
    let late = KafkaError(.timedOut, "write to items/0: too late", isRetriable: true)
    let large = KafkaError(.messageTooLarge, "too large")
    let mixed = try GatewayBench(
      FakeSink { index, _ in
        index == 0
          ? .written(PartitionID(0), Offset(12)) : .failed(index == 1 ? late : large, mayBeWritten: index == 1)
      })
    let three = #"{"records":[{"value":1},{"value":2},{"value":3}]}"#
    let reply = try await mixed.produce("/topics/items", three)
    #expect(reply.status == 200)
    #expect(
      reply.text.contains(
        #"[{"partition":0,"offset":12,"error_code":null,"error":null},"#
          + #"{"partition":null,"offset":null,"error_code":50003,"error":"write to items/0: too late; it may have been written"},"#
          + #"{"partition":null,"offset":null,"error_code":50002,"error":"too large; it was not written"}]"#))
    for (error, status, retry) in [
      (late, 503, Int?.some(1)), (large, 500, nil), (KafkaError(.authentication, "no"), 403, nil),
    ] {
      let bench = try GatewayBench(FakeSink { _, _ in .failed(error, mayBeWritten: false) })
      let reply = try await bench.produce("/topics/items", three)
      #expect(reply.status == status && reply.retryAfterSeconds == retry)
      #expect(try (reply.json["offsets"] as? [Any])?.count == 3)
    }
  }

  @Test func aSinkThatTakesNothingIsSaidInTheApisForm() async throws {
    for (kind, status, retry) in [
      (WriteRefusal.Kind.full, 429, Int?.some(1)), (.tooLarge, 413, nil), (.unavailable, 503, 1),
    ] {
      let bench = try GatewayBench(FakeSink(refusal: WriteRefusal(kind: kind, message: "because")))
      let reply = try await bench.produce("/topics/items", #"{"records":[{"value":1}]}"#)
      #expect(reply.status == status && reply.retryAfterSeconds == retry)
      #expect(reply.text == #"{"error_code":\#(status),"message":"because"}"#)
    }
    let few = try GatewayBench(maxRecords: 1)
    let reply = try await few.produce("/topics/items", #"{"records":[{"value":1},{"value":2}]}"#)
    #expect(reply.status == 413 && few.sink.calls == 0)
  }

  @Test func aPasswordIsAskedForOnEveryPathButThoseOfHealth() async throws {
    let bench = try GatewayBench(password: "secret")
    let refused = try await bench.ask("GET", "/topics")
    #expect(refused.status == 401 && refused.authenticate != nil && refused.text.contains(#""error_code":401"#))
    #expect(try await bench.ask("POST", "/v1/items", "{}").status == 401)
    #expect(try await bench.ask("GET", "/openapi.json").status == 401)
    #expect(try await bench.ask("GET", "/topics", "", ["authorization": "Bearer secret"]).status == 200)
    #expect(try await bench.ask("GET", "/health/ready").status == 200)
  }

  @Test func whatTheServerRefusesHasTheFormOfItsPath() throws {
    let bench = try GatewayBench()
    let proxy = bench.gateway.refuse(HTTPFailure(.tooBig, "large"), path: "/topics/items")
    #expect(proxy.status == 413 && proxy.text == #"{"error_code":413,"message":"large"}"#)
    let busy = bench.gateway.refuse(HTTPFailure(.busy, "much"), path: "/topics")
    #expect(busy.status == 429 && busy.retryAfterSeconds == 1)
    let own = bench.gateway.refuse(HTTPFailure(.busy, "much"), path: "/v1/items")
    #expect(own.status == 429 && own.text == #"{"error":"much","code":"FULL"}"# && own.retryAfterSeconds == 1)
    let large = bench.gateway.refuse(HTTPFailure(.tooBig, "large"), path: "/v1/items")
    #expect(large.status == 413 && large.text == #"{"error":"large","code":"TOOBIG"}"#)
  }
}

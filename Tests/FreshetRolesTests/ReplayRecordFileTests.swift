import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct ReplayRecordFileTests {
  private func records(_ file: RecordFile) throws -> [(key: String, json: [String: Any])] {
    var key = JSONBuffer(capacity: 1)
    var payload = JSONBuffer(capacity: 1)
    var records: [(key: String, json: [String: Any])] = []
    for entry in file.entries {
      file.encode(entry, key: &key, payload: &payload)
      records.append((String(decoding: key.bytes, as: UTF8.self), try jsonObject(payload.bytes)))
    }
    return records
  }

  @Test(arguments: [("f.csv", ","), ("f.tsv", "\t")])
  func columnsBecomeMembersWithNumbersRecognised(_ name: String, _ separator: String) throws {
    let rows = [
      ["request_id", "event_time", "user_id", "zip", "price", "note"],
      ["r1", "1000", "7", "02460", "-1.5e2", "\"a \"\"b\"\"\""],
      ["r2", "2000", "u\"8", "", "\"5\"", "é"],
    ]
    let text = rows.map { $0.joined(separator: separator) }.joined(separator: "\n")
    let scratch = try ScratchDirectory(texts: [name: text])
    let (file, bad) = try collect {
      try RecordFile(path: "\(scratch.path)/\(name)", keyMember: "user_id", hasEventTime: true, report: $0)
    }
    #expect(bad.isEmpty)
    #expect(file.entries.map(\.eventTime) == [1000, 2000])
    let records = try records(file)
    #expect(records.map(\.key) == ["7", "u\"8"])
    #expect(records[0].json["event_time"] as? Int == 1000 && records[0].json["user_id"] as? Int == 7)
    #expect(records[0].json["zip"] as? String == "02460" && records[0].json["price"] as? Double == -150)
    #expect(records[0].json["note"] as? String == "a \"b\"")
    #expect(records[1].json["zip"] == nil && records[1].json["price"] as? String == "5")
    #expect(records[1].json["note"] as? String == "é")
  }

  @Test func jsonLinesAreSentAsTheyAre() throws {
    let lines = [
      #"{"event_time":5,"user_id":"a\u00e9\"\n","nested":{"user_id":[1,{"x":null}]}}"#,
      #"  { "user_id" : 12 , "event_time" : 6 }  "#,
    ]
    let scratch = try ScratchDirectory(texts: ["f.jsonl": lines.joined(separator: "\n") + "\n"])
    let (file, bad) = try collect {
      try RecordFile(path: "\(scratch.path)/f.jsonl", keyMember: "user_id", hasEventTime: true, report: $0)
    }
    #expect(bad.isEmpty)
    var key = JSONBuffer(capacity: 1)
    var payload = JSONBuffer(capacity: 1)
    for (index, expected) in ["aé\"\n", "12"].enumerated() {
      file.encode(file.entries[index], key: &key, payload: &payload)
      #expect(String(decoding: key.bytes, as: UTF8.self) == expected)
      #expect(String(decoding: payload.bytes, as: UTF8.self) == lines[index])
    }
  }

  @Test(arguments: [
    "", "[1]", "{", "{}x", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{"a":01}"#, #"{"a":"\q"}"#, #"{"a":"\u12g4"}"#,
    "{\"a\":\"\u{1}\"}", #"{"a":tru}"#, #"{"a":[1}"#, #"{"a":"x}"#, #"{a:1}"#, #"{"a":+1}"#, #"{"a":1.}"#,
  ])
  func malformedJSONIsFound(_ line: String) {
    var line = line
    line.withUTF8 { bytes in
      guard case .malformed = JSONLine.find(["a"], in: UnsafeRawBufferPointer(bytes)) else {
        Issue.record("taken for JSON")
        return
      }
    }
  }

  @Test func nestingIsBounded() {
    for (depth, isAccepted) in [(63, true), (64, false), (100_000, false)] {
      var line = "{\"a\":" + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
      line.withUTF8 { bytes in
        if case .members = JSONLine.find(["a"], in: UnsafeRawBufferPointer(bytes)) {
          #expect(isAccepted)
        } else {
          #expect(!isAccepted)
        }
      }
    }
  }

  @Test(arguments: [
    (#"{"user_id":1}"#, "event_time"), (#"{"event_time":1}"#, "user_id"),
    (#"{"user_id":1,"event_time":"5"}"#, "event_time"),
    (#"{"user_id":1,"event_time":1.5}"#, "event_time"), (#"{"user_id":"","event_time":1}"#, "user_id"),
    ("nonsense", "not a JSON"),
  ])
  func unusableLinesAreReportedWithTheirLine(_ line: String, _ reason: String) throws {
    let scratch = try ScratchDirectory(texts: ["f.jsonl": "\(line)\n{\"user_id\":1,\"event_time\":1}\n"])
    let (file, bad) = try collect {
      try RecordFile(path: "\(scratch.path)/f.jsonl", keyMember: "user_id", hasEventTime: true, report: $0)
    }
    #expect(file.entries.count == 1)
    #expect(bad.map(\.line) == [1])
    #expect(bad.first?.reason.contains(reason) == true)
  }

  @Test(arguments: [
    ("f.csv", ""), ("f.csv", "a,b\n1,2\n"), ("f.csv", "user_id,event_time,user_id\n"), ("f.xml", "<a/>"),
  ])
  func unusableFilesAreRefused(_ name: String, _ text: String) throws {
    let scratch = try ScratchDirectory(texts: [name: text])
    #expect(throws: ReplayError.self) {
      try RecordFile(path: "\(scratch.path)/\(name)", keyMember: "user_id", hasEventTime: true) { _ in }
    }
  }

  @Test func featuresAndActionsAreMergedByEventTimeWithFeaturesFirst() throws {
    let scratch = try ScratchDirectory(texts: [
      "f.jsonl": [30, 10, 20, 20].enumerated().map { "{\"n\":\"f\($0)\",\"user_id\":1,\"event_time\":\($1)}\n" }
        .joined(),
      "a.jsonl": [20, 5, 30].enumerated().map { "{\"n\":\"a\($0)\",\"user_id\":1,\"event_time\":\($1)}\n" }.joined(),
    ])
    let names = { (start: Int, limit: Int?) throws -> [String] in
      let file = { (name: String) in
        try RecordFile(path: "\(scratch.path)/\(name)", keyMember: "user_id", hasEventTime: true) { _ in }
      }
      let source = RecordSource(
        features: try file("f.jsonl"), actions: try file("a.jsonl"), items: nil, start: start, limit: limit)
      source.skip(to: 1)
      source.rewind()
      var names: [String] = []
      while let event = source.peek() {
        source.encode()
        let name = try jsonObject(source.payload)["n"] as? String ?? ""
        #expect(event.topic == (name.hasPrefix("f") ? .features : .actions))
        names.append(name)
        source.advance()
      }
      #expect(names.count == source.eventCount)
      return names
    }
    let all = ["a1", "f1", "f2", "f3", "a0", "f0", "a2"]
    #expect(try names(0, nil) == all)
    #expect(try names(2, 3) == Array(all[2..<5]))
    #expect(try names(6, 9) == ["a2"])
    #expect(try names(9, nil) == [])
  }
}

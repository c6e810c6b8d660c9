import Foundation
import FreshetCore
import Testing

@testable import FreshetCluster

@Suite struct JSONLineTests {
  static func line(key: [UInt8]?, value: [UInt8]?) -> String {
    var writer = JSONLineWriter()
    return LoggedRecord(offset: 12, timeMs: 34, key: key, value: value).withRecord {
      String(decoding: writer.line($0, partition: PartitionID(5)), as: UTF8.self)
    }
  }

  static let head = "{\"partition\":5,\"offset\":12,\"time\":34,"

  @Test(arguments: [
    (
      "7", "{ \"a\" : [1, 2.50, -0e+1, true, null],\n \"b\": \"x \\u00e9 \\n\"}",
      #""key":"7","value":{"a":[1,2.50,-0e+1,true,null],"b":"x \u00e9 \n"}}"#
    ),
    ("\"\\\n\u{1}", "plain text", #""key":"\"\\\n\u0001","value_text":"plain text"}"#),
    ("k", "{\"a\":1,}", #""key":"k","value_text":"{\"a\":1,}"}"#),
    ("k", "1 2", #""key":"k","value_text":"1 2"}"#),
    ("k", "", #""key":"k","value_text":""}"#),
    ("k", " 3 ", #""key":"k","value":3}"#),
  ])
  func aRecordIsALine(key: String, value: String, expected: String) {
    #expect(Self.line(key: Array(key.utf8), value: Array(value.utf8)) == Self.head + expected)
  }

  @Test func whatIsNullOrNoTextSaysSo() {
    #expect(Self.line(key: nil, value: nil) == Self.head + #""key":null,"value":null}"#)
    #expect(Self.line(key: [0xff, 0xfe], value: [0x80]) == Self.head + #""key_base64":"//4=","value_base64":"gA=="}"#)
    #expect(Self.line(key: [1, 0xc3, 3], value: [0xc3]).contains(#""key_base64":"AcMD","value_base64":"ww==""#))
  }

  @Test func linesAreJSONWhateverTheRecordHolds() throws {
    var random = SeededGenerator(seed: 4)
    let pieces = [
      "{", "}", "[", "]", ",", ":", "\"a\"", "1", "-2.5", "true", "null", " ", "\n", "\"\\", "\\u00", "\u{1F600}",
    ]
    var valid = 0
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 0...7, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
      let line = Self.line(key: nil, value: Array(text.utf8))
      #expect(!line.contains("\n"))
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      let reference = try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
      // The same values are JSON here as for another reader.
      #expect((object?["value_text"] == nil) == (reference != nil), "\(text)")
      if let reference {
        valid += 1
        #expect(object?["value"] as? NSObject == reference as? NSObject, "\(text)")
      }
    }
    #expect(valid > 500)
  }

  @Test func nestingIsBounded() {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    #expect(Self.line(key: nil, value: nested(JSONCompactor.maximumDepth)).contains("\"value\":[["))
    #expect(Self.line(key: nil, value: nested(JSONCompactor.maximumDepth + 1)).contains("\"value_text\":"))
  }
}

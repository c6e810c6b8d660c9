import FreshetModel
import Testing

@Suite struct FeaturesJSONTests {
  private let reader = JSONRecordReader(maxBytes: 4096, maxDepth: 4)

  private func with<T>(_ json: [UInt8], _ body: (JSONValue) throws -> T) throws -> T {
    try json.withUnsafeBytes { try body(try reader.parse($0)) }
  }

  /// Why a text is refused; nil if it is not.
  private func refusal(_ json: [UInt8]) -> JSONError.Kind? {
    do {
      return try with(json) { _ in nil }
    } catch { return (error as? JSONError)?.kind }
  }

  @Test func nestedValuesAreReadInPlace() throws {
    let json =
      #"{"context":{"user_id":1,"x":[1,-2.5,"t",null,true,18446744073709551615]},"candidates":[{"id":"a"},{"id":"b"}],"end":0}"#
    try with(Array(json.utf8)) { root in
      #expect(root.childCount == 3)
      let list = try #require(root["context"]?["x"])
      #expect(list.children.map(\.kind) == [.int64, .double, .string, .null, .bool, .uint64])
      #expect(list.children.map(\.number) == [1, -2.5, nil, nil, nil, 0x1p64])
      #expect(root["candidates"]?.children.map { $0["id"]?.string } == ["a", "b"])
      #expect(root["end"]?.int64 == 0)
      #expect(root["none"] == nil && root["end"]?["x"] == nil)
    }
  }

  @Test(arguments: [
    "", " ", "{", #"{"a":}"#, #"{"a":1,}"#, "{} {}", "nul", #""\ud800""#, "{'a':1}", "[1 2]", "01", "{\"a\":\u{1}}",
  ])
  func malformedTextIsAnError(json: String) { #expect(refusal(Array(json.utf8)) == .malformed) }

  @Test func invalidUTF8IsAnError() { #expect(refusal([0x22, 0xff, 0x22]) == .malformed) }

  @Test func sizeAndDepthAreBounded() {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    #expect(refusal(nested(5)) == .oversized && refusal(nested(4)) == nil)
    func text(_ count: Int) -> [UInt8] { Array(("\"" + String(repeating: "x", count: count - 2) + "\"").utf8) }
    #expect(refusal(text(4097)) == .oversized && refusal(text(4096)) == nil)
  }

  /// The reader has buffers that grow: after any document the next one must be right.
  @Test func documentsOfAllSizesFollowEachOther() throws {
    for count in [0, 1, 31, 32, 63, 64, 65, 500, 3, 2000, 1, 4000] {
      let text = String(repeating: "é", count: count / 2) + String(repeating: "y", count: count % 2)
      #expect(
        try with(Array("[\"\(text)\",\(count)]".utf8)) { $0.children.map { $0.string ?? "\($0.int64)" } } == [
          text, "\(count)",
        ])
    }
  }

  @Test func everyTruncationOfARecordIsAnError() throws {
    let json = Array(#"{"request_id":"a\u00e9","event_time":1e3,"g":["x",{"y":null}]}"#.utf8)
    for count in 0..<json.count {
      #expect(refusal(Array(json.prefix(count))) == .malformed)
    }
  }
}

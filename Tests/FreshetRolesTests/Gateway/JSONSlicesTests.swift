import Foundation
import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct JSONSlicesTests {
  private func elements(_ text: String) -> [String]? {
    Array(text.utf8).withUnsafeBytes { bytes in
      var slices = JSONSlices(bytes)
      return slices.elements().map { $0.map { String(decoding: bytes[$0], as: UTF8.self) } }
    }
  }

  @Test func elementsAreFoundAsTheyWereWritten() {
    #expect(
      elements(#" [ 1 , "a,]\"" ,{"b":[1,{"c":"}"}]},[ ],1.50e3 ,null]"#) == [
        "1", #""a,]\"""#, #"{"b":[1,{"c":"}"}]}"#, "[ ]", "1.50e3", "null",
      ])
    #expect(elements("[]") == [] && elements("[ ]") == [])
  }

  @Test func valuesOfMembersAreFoundInTheirOrder() {
    let text = #"{"a":1, "b" : {"a":2},"a":"x:,}" }"#
    Array(text.utf8).withUnsafeBytes { bytes in
      var slices = JSONSlices(bytes)
      #expect(
        slices.memberValues()?.map { String(decoding: bytes[$0], as: UTF8.self) } == ["1", #"{"a":2}"#, #""x:,}""#])
      #expect(slices.peek() == nil)
    }
  }

  @Test func everyTruncationOfAListIsNoticed() {
    let text = #"[{"a":"\\\"x"},[1,2],"é",-1.5]"#
    let bytes = Array(text.utf8)
    for count in 0..<bytes.count {
      bytes.prefix(count).withUnsafeBytes { bytes in
        var slices = JSONSlices(bytes)
        #expect(slices.elements() == nil, "\(count) bytes")
      }
    }
  }

  @Test func whatIsNoJSONNeverRunsOutOfItsBytes() {
    var generator = SeededGenerator(seed: 5)
    let alphabet = Array(#"{}[]":,\ 1ax"#.utf8)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...12, using: &generator)).map { _ in alphabet.randomElement(using: &generator)!
      }
      bytes.withUnsafeBytes { bytes in
        var lists = JSONSlices(bytes)
        for range in lists.elements() ?? [] { #expect(range.upperBound <= bytes.count) }
        var objects = JSONSlices(bytes)
        for range in objects.memberValues() ?? [] { #expect(range.upperBound <= bytes.count) }
        var values = JSONSlices(bytes)
        while let range = values.value() { #expect(!range.isEmpty && range.upperBound <= bytes.count) }
      }
    }
  }
}

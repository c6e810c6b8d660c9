import Foundation
import FreshetCore
import NIOCore
import Testing

@testable import FreshetHTTP

@Suite struct JSONWriterTests {
  private static func text(_ write: (inout JSONWriter) -> Void) -> String {
    var writer = JSONWriter()
    write(&writer)
    return String(buffer: writer.buffer)
  }

  @Test func commasComeBetweenMembersAndElements() {
    let text = Self.text { writer in
      writer.beginObject()
      writer.key("a")
      writer.beginArray()
      writer.endArray()
      writer.key("b")
      writer.beginArray()
      writer.write(1)
      writer.beginObject()
      writer.endObject()
      writer.write(true)
      writer.writeNull()
      writer.write(json: ByteBuffer(string: "[2]"))
      writer.endArray()
      writer.key("c")
      writer.write(UInt64.max)
      writer.endObject()
    }
    #expect(text == #"{"a":[],"b":[1,{},true,null,[2]],"c":18446744073709551615}"#)
  }

  @Test func textComesBackFromFoundationAsItWas() throws {
    let everyByte = String(String.UnicodeScalarView((0..<0x180).map { Unicode.Scalar(UInt32($0))! }))
    for text in ["", "\"", "\\", "\u{0}", "a\nb\tc\r", "é €😀", everyByte] {
      let json = Self.text { writer in
        writer.beginArray()
        writer.write(text)
        writer.endArray()
      }
      #expect(try JSONDecoder().decode([String].self, from: Data(json.utf8)) == [text])
    }
  }

  @Test func doublesComeBackToTheLastBit() throws {
    var generator = SeededGenerator(seed: 7)
    var values: [Double] = [
      0, -0.0, 1, 0.1, 1e-07, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0.6640625, 1e16, 123_456_789.125,
    ]
    for _ in 0..<2_000 {
      let value = Double(bitPattern: generator.next())
      if value.isFinite { values.append(value) }
    }
    let json = Self.text { writer in
      writer.beginArray()
      for value in values { writer.write(value) }
      writer.endArray()
    }
    let decoded = try JSONDecoder().decode([Double].self, from: Data(json.utf8))
    #expect(decoded.map(\.bitPattern) == values.map(\.bitPattern))
  }

  @Test func whatIsNoNumberIsNull() {
    for value in [Double.nan, .infinity, -.infinity] { #expect(Self.text { $0.write(value) } == "null") }
  }
}

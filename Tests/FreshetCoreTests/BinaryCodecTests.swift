import FreshetCore
import Testing

@Suite struct BinaryCodecTests {
  @Test func writesLittleEndianAndReadsItBack() throws {
    var writer = BinaryWriter(capacity: 64)
    writer.write(UInt8(1))
    writer.write(UInt16(0x0203))
    writer.write(Int64(-2))
    writer.write(Float(1.5))
    writer.write(shortText: "né")
    #expect(Array(writer.bytes.prefix(3)) == [1, 3, 2])

    try writer.bytes.withUnsafeBytes { raw in
      var reader = BinaryReader(raw, what: "test")
      #expect(try reader.read(UInt8.self) == 1)
      #expect(try reader.read(UInt16.self) == 0x0203)
      #expect(try reader.read(Int64.self) == -2)
      #expect(try reader.readFloat() == 1.5)
      #expect(try reader.readShortText() == "né")
      try reader.finish()
    }
  }

  @Test func everyTruncationThrowsAndSaysWhere() {
    var writer = BinaryWriter(capacity: 16)
    writer.write(UInt64(7))
    writer.write(shortText: "abc")
    for length in 0..<writer.count {
      Array(writer.bytes.prefix(length)).withUnsafeBytes { raw in
        _ = #expect(throws: MalformedBlob.self) {
          var reader = BinaryReader(raw, what: "test")
          _ = try reader.read(UInt64.self)
          _ = try reader.readShortText()
        }
      }
    }
  }

  @Test func trailingBytesAreRefused() {
    [UInt8](repeating: 0, count: 3).withUnsafeBytes { raw in
      let reader = BinaryReader(raw, what: "test")
      #expect(throws: MalformedBlob.self) { try reader.finish() }
    }
  }

  @Test func overwriteChangesOnlyItsBytes() {
    var writer = BinaryWriter(capacity: 8)
    writer.write(UInt32(0))
    writer.write(UInt8(9))
    writer.overwrite(UInt32(0x0403_0201), at: 0)
    #expect(writer.bytes == [1, 2, 3, 4, 9])
  }
}

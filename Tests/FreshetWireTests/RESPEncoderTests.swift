import FreshetCore
import NIOCore
import Testing

@testable import FreshetWire

@Suite struct RESPEncoderTests {
  static let mixed = RESPValue.array([
    .simpleString("OK"), .error(WireError(.fenced, "epoch 3 is older than 4")), .integer(-12), .bulk("ab\r\nc"), .null,
    .double(0.25), .boolean(true), .map([RESPValue.Entry(key: .bulk("k"), value: .integer(0))]),
    .verbatim(format: "txt", ByteBuffer(string: "hi")), .bigNumber("12345678901234567890"), .push([.integer(7)]),
  ])

  @Test func everyTypeHasItsGoldenBytesInRESP2() {
    #expect(
      encode(.v2) { $0.write(Self.mixed) }
        == "*11\r\n+OK\r\n-FENCED epoch 3 is older than 4\r\n:-12\r\n$5\r\nab\r\nc\r\n$-1\r\n$4\r\n0.25\r\n:1\r\n"
        + "*2\r\n$1\r\nk\r\n:0\r\n$2\r\nhi\r\n$20\r\n12345678901234567890\r\n*1\r\n:7\r\n")
  }

  @Test func everyTypeHasItsGoldenBytesInRESP3() {
    #expect(
      encode(.v3) { $0.write(Self.mixed) }
        == "*11\r\n+OK\r\n-FENCED epoch 3 is older than 4\r\n:-12\r\n$5\r\nab\r\nc\r\n_\r\n,0.25\r\n#t\r\n"
        + "%1\r\n$1\r\nk\r\n:0\r\n=6\r\ntxt:hi\r\n(12345678901234567890\r\n>1\r\n:7\r\n")
  }

  @Test(arguments: [
    (1.0, "1"), (-0.5, "-0.5"), (0.1 + 0.2, "0.30000000000000004"), (1e-7, "1e-07"), (1e300, "1e+300"),
    (.infinity, "inf"), (-.infinity, "-inf"), (.nan, "nan"), (-0.0, "-0"), (.leastNonzeroMagnitude, "5e-324"),
  ])
  func doublesAreWrittenShortestAndReadBackExactly(value: Double, expected: String) {
    #expect(encode(.v3) { $0.writeDouble(value) } == ",\(expected)\r\n")
    #expect(encode(.v2) { $0.writeDouble(value) } == "$\(expected.count)\r\n\(expected)\r\n")
    let back = Double(expected)
    #expect(value.isNaN ? back?.isNaN == true : back?.bitPattern == value.bitPattern)
  }

  @Test(arguments: [0, 9, 10, -1, .max, .min, 1_000_000_000_000_000_000, 999_999_999_999_999_999])
  func integersOfAnySizeAreWrittenInDecimal(value: Int64) {
    #expect(encode(.v2) { $0.writeInteger(value) } == ":\(value)\r\n")
  }

  @Test func aLineEndInsideAnErrorOrSimpleStringCannotEndTheValue() {
    #expect(encode(.v2) { $0.writeError(WireError(.err, "bad\r\n+OK")) } == "-ERR bad  +OK\r\n")
    #expect(encode(.v2) { $0.writeSimpleString("a\nb") } == "+a b\r\n")
  }

  @Test(arguments: [0, 1, 9, 10, 99, 100, 25_000], [0, 5, 10, 100, 99_999, 1_000_000])
  func aBulkOfWronglyEstimatedLengthIsStillWhole(count: Int, estimate: Int) {
    let content = String((0..<count).map { Character(Unicode.Scalar(UInt8(97 + $0 % 26))) })
    let written = encode(.v3) {
      $0.writeInteger(1)
      $0.writeBulk(estimatedCount: estimate) { $0.writeString(content) }
      $0.writeInteger(2)
    }
    #expect(written == ":1\r\n$\(count)\r\n\(content)\r\n:2\r\n")
  }

  @Test func aBulkOfKnownLengthIsFilledInPlace() {
    #expect(
      encode(.v2) { $0.writeBulk(count: 3) { $0.copyBytes(from: [UInt8(ascii: "x"), 0x79, 0x7a]) } } == "$3\r\nxyz\r\n")
  }

  @Test func whatIsEncodedInRESP3DecodesToTheSameValue() {
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<500 {
      let value = generator.value(depth: 4)
      var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v3)
      encoder.write(value)
      let (values, end, _) = decodeReplies([encoder.buffer], limits: .replies)
      #expect(values == [value])
      #expect(end == .needMore)
    }
  }
}

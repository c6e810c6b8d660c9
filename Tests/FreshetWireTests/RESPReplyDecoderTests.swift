import FreshetCore
import NIOCore
import Testing

@testable import FreshetWire

@Suite struct RESPReplyDecoderTests {
  @Test func goldenBytesOfBothVersionsDecode() {
    let (values, end) = decodeReplies(
      "+OK\r\n-ERR no\r\n-X\r\n:-5\r\n$-1\r\n*-1\r\n_\r\n#f\r\n,1.5\r\n,inf\r\n(123\r\n$2\r\n\r\n\r\n!7\r\nBUSY no\r\n"
        + "=7\r\ntxt:abc\r\n~1\r\n:1\r\n>2\r\n+a\r\n:2\r\n%1\r\n+k\r\n*2\r\n:1\r\n*0\r\n")
    #expect(
      values == [
        .ok, .error(WireError(.err, "no")), .error(WireError(WireError.Code(rawValue: "X"), "")), .integer(-5), .null,
        .null, .null, .boolean(false), .double(1.5), .double(.infinity), .bigNumber("123"), .bulk("\r\n"),
        .error(WireError(.busy, "no")), .verbatim(format: "txt", ByteBuffer(string: "abc")), .array([.integer(1)]),
        .push([.simpleString("a"), .integer(2)]),
        .map([RESPValue.Entry(key: .simpleString("k"), value: .array([.integer(1), .array([])]))]),
      ])
    #expect(end == .needMore)
  }

  @Test func attributesAreSkippedWhereverTheyStand() {
    let (values, end) = decodeReplies("|1\r\n+ttl\r\n:9\r\n*2\r\n:1\r\n|1\r\n+a\r\n*1\r\n+b\r\n:2\r\n|0\r\n+x\r\n")
    #expect(values == [.array([.integer(1), .integer(2)]), .simpleString("x")])
    #expect(end == .needMore)
  }

  @Test(arguments: [
    "?\r\n", "+a\n", ":x\r\n", ":\r\n", "$-2\r\n", "$2\r\nabc\r\n", "*-3\r\n", "#x\r\n", ",abc\r\n", "_x\r\n",
    "=2\r\nab\r\n",
    "$?\r\n", "\r\n", ":99999999999999999999\r\n",
  ])
  func whatIsNotRESPIsAnError(stream: String) {
    let (values, end) = decodeReplies("+OK\r\n" + stream)
    #expect(values == [.ok])
    guard case .error(let error) = end else {
      Issue.record("accepted")
      return
    }
    #expect(error.kind == .err && error.message.hasPrefix("Protocol error: "))
  }

  @Test(arguments: [
    "*9\r\n", "%5\r\n", "*5\r\n*4\r\n", "$101\r\n", "*3\r\n$90\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n",
    "*8\r\n" + String(repeating: "+0123456789012345678901234567890\r\n", count: 8),
  ])
  func repliesBeyondALimitAreRefused(stream: String) {
    let limits = RESPLimits(maxArguments: 8, maxBulkBytes: 100, maxFrameBytes: 150, maxDepth: 3)
    let padded =
      stream == "*3\r\n$90\r\n" ? "*3\r\n$60\r\n" + String(repeating: "a", count: 60) + "\r\n$90\r\n" : stream
    let (values, end) = decodeReplies(padded, limits: limits)
    #expect(values.isEmpty)
    guard case .error(let error) = end else {
      Issue.record("accepted")
      return
    }
    #expect(error.kind == .tooBig)
  }

  static func stream(_ generator: inout SeededGenerator, count: Int) -> (ByteBuffer, [RESPValue]) {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v3)
    let values = (0..<count).map { _ in generator.value(depth: 3) }
    for value in values { encoder.write(value) }
    return (encoder.buffer, values)
  }

  @Test func everyTruncationAndAnyFragmentationGivesTheSameValues() {
    var generator = SeededGenerator(seed: 21)
    for round in 0..<150 {
      let (stream, expected) = Self.stream(&generator, count: 10)
      let fragments = generator.fragments(stream, maxBytes: 1 + round % 80)
      let (values, end, _) = decodeReplies(fragments, limits: .replies)
      #expect(values == expected)
      #expect(end == .needMore)
    }
    let (stream, expected) = Self.stream(&generator, count: 12)
    for cut in 0...stream.readableBytes {
      guard let head = stream.getSlice(at: 0, length: cut),
        let tail = stream.getSlice(at: cut, length: stream.readableBytes - cut)
      else { continue }
      let (some, end, _) = decodeReplies([head], limits: .replies)
      #expect(some == Array(expected.prefix(some.count)))
      #expect(end == .needMore)
      #expect(decodeReplies([head, tail], limits: .replies).values == expected)
    }
  }

  @Test func mutatedBytesEndInValuesOrAnErrorAndNeverTrap() {
    var generator = SeededGenerator(seed: 23)
    let limits = RESPLimits(maxArguments: 100, maxBulkBytes: 1000, maxFrameBytes: 4000, maxDepth: 4)
    var failures = 0
    for _ in 0..<4000 {
      var (stream, _) = Self.stream(&generator, count: 5)
      for _ in 0..<Int.random(in: 1...6, using: &generator) where stream.readableBytes > 0 {
        let index = Int.random(in: 0..<stream.readableBytes, using: &generator)
        stream.setInteger(UInt8.random(in: 0...255, using: &generator), at: index)
      }
      if decodeReplies(generator.fragments(stream, maxBytes: 50), limits: limits).end != .needMore { failures += 1 }
    }
    #expect(failures > 1000)
  }

  @Test func workGrowsWithTheBytesAndNotWithTheFragments() {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v3)
    encoder.writeArrayHeader(count: 10_000)
    for index in 0..<10_000 { encoder.writeDouble(Double(index) / 7) }
    let single = decodeReplies(
      Array(encoder.buffer.readableBytesView).map { ByteBuffer(bytes: [$0]) }, limits: .replies)
    #expect(single.values.first?.elements?.count == 10_000)
    #expect(single.bytesScanned <= encoder.buffer.readableBytes)
  }

  @Test func accessorsReadBothVersionsOfAValue() {
    #expect(RESPValue.bulk("0.5").double == 0.5 && RESPValue.double(0.5).double == 0.5)
    #expect(RESPValue.bulk("-1").integer == -1 && RESPValue.integer(-1).integer == -1)
    let map = RESPValue.map([RESPValue.Entry(key: .bulk("a"), value: .integer(1))])
    #expect(map["a"] == .integer(1) && map["b"] == nil)
    #expect(RESPValue.array([.bulk("a"), .integer(1)])["a"] == .integer(1))
    #expect(RESPValue.null.text == nil && RESPValue.null.entries == nil)
  }
}

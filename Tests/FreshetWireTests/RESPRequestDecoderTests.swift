import FreshetCore
import NIOCore
import Testing

@testable import FreshetWire

@Suite struct RESPRequestDecoderTests {
  @Test func arraysOfBulkStringsAreRequests() {
    let (requests, end) = decodeRequests("*1\r\n$4\r\nPING\r\n*3\r\n$4\r\nECHO\r\n$0\r\n\r\n$6\r\na\r\n\u{0}bc\r\n")
    #expect(requests == [["PING"], ["ECHO", "", "a\r\n\u{0}bc"]])
    #expect(end == .needMore)
  }

  @Test func inlineCommandsAreSplitLikeInRedis() {
    let (requests, end) = decodeRequests(
      "PING\r\n\r\n  ECHO  a\tb \nSET \"x y\\x41\\n\" 'it\\'s \\n' \"\"\r\n*0\r\n*-1\r\nLAST\r\n")
    #expect(requests == [["PING"], ["ECHO", "a", "b"], ["SET", "x yA\n", "it's \\n", ""], ["LAST"]])
    #expect(end == .needMore)
  }

  @Test(arguments: [
    ("*x\r\n", "Protocol error: invalid multibulk length"),
    ("*1\n", "Protocol error: invalid multibulk length"),
    ("*99999999999999999999\r\n", "Protocol error: invalid multibulk length"),
    ("*11111111111111111111111111111111111", "Protocol error: invalid multibulk length"),
    ("*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"),
    ("*1\r\n\r\n", "Protocol error: expected '$', got '?'"),
    ("*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
    ("*1\r\n$a\r\n", "Protocol error: invalid bulk length"),
    ("*1\r\n$3\r\nabcde", "Protocol error: bulk string of 3 bytes is not followed by CRLF"),
    ("GET \"x\r\n", "Protocol error: unbalanced quotes in request"),
    ("GET \"x\"y\r\n", "Protocol error: unbalanced quotes in request"),
  ])
  func brokenFramingIsAProtocolError(stream: String, message: String) {
    let (requests, end) = decodeRequests("*1\r\n$4\r\nPING\r\n" + stream)
    #expect(requests == [["PING"]])
    #expect(end == .error(WireError(.err, message)))
  }

  @Test(arguments: [
    "*5\r\n", "*1\r\n$11\r\n", "*4\r\n$9\r\nabcdefghi\r\n$9\r\nabcdefghi\r\n$9\r\n", "a b c d e\r\n",
    "0123456789012345678901234567890123456789",
  ])
  func anAnnouncedLengthBeyondALimitIsRefusedBeforeItsBytesCome(stream: String) {
    let limits = RESPLimits(maxArguments: 4, maxBulkBytes: 10, maxFrameBytes: 40, maxDepth: 1)
    let (requests, end) = decodeRequests(stream, limits: limits)
    #expect(requests.isEmpty)
    guard case .error(let error) = end else {
      Issue.record("accepted")
      return
    }
    #expect(error.kind == .tooBig)
  }

  @Test func afterAnErrorTheDecoderStaysFailedAndHoldsNothing() throws {
    var decoder = RESPRequestDecoder(limits: .requests)
    decoder.append(ByteBuffer(string: "*x\r\n"))
    let first = #expect(throws: WireError.self) { try decoder.next() }
    decoder.append(ByteBuffer(string: "*1\r\n$4\r\nPING\r\n"))
    #expect(decoder.bufferedBytes == 0)
    let second = #expect(throws: WireError.self) { try decoder.next() }
    #expect(first == second)
  }

  /// A stream of requests with arguments of all sizes, and inline ones.
  static func stream(_ generator: inout SeededGenerator, count: Int) -> (ByteBuffer, [[ByteBuffer]]) {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    var requests: [[ByteBuffer]] = []
    for _ in 0..<count {
      if generator.next() % 5 == 0 {
        encoder.buffer.writeString("PING inline\r\n")
        requests.append([ByteBuffer(string: "PING"), ByteBuffer(string: "inline")])
        continue
      }
      let arguments = (0..<Int.random(in: 1...6, using: &generator)).map { _ in generator.bytes(upTo: 120) }
      encoder.writeArrayHeader(count: arguments.count)
      for argument in arguments { encoder.writeBulk(argument) }
      requests.append(arguments)
    }
    return (encoder.buffer, requests)
  }

  @Test func everyTruncationGivesTheCompleteRequestsAndThenTheRest() {
    var generator = SeededGenerator(seed: 3)
    let (stream, expected) = Self.stream(&generator, count: 8)
    for cut in 0...stream.readableBytes {
      guard let head = stream.getSlice(at: 0, length: cut),
        let tail = stream.getSlice(at: cut, length: stream.readableBytes - cut)
      else { continue }
      let (some, end, _) = decodeRequests([head], limits: .requests)
      #expect(some == Array(expected.prefix(some.count)))
      #expect(end == .needMore)
      #expect(decodeRequests([head, tail], limits: .requests).requests == expected)
    }
  }

  @Test func anyFragmentationGivesTheSameRequests() {
    var generator = SeededGenerator(seed: 5)
    for round in 0..<200 {
      let (stream, expected) = Self.stream(&generator, count: 12)
      let fragments = generator.fragments(stream, maxBytes: 1 + round % 90)
      let (requests, end, _) = decodeRequests(fragments, limits: .requests)
      #expect(requests == expected)
      #expect(end == .needMore)
    }
  }

  @Test func mutatedBytesEndInRequestsOrAnErrorAndNeverTrap() {
    var generator = SeededGenerator(seed: 7)
    let limits = RESPLimits(maxArguments: 100, maxBulkBytes: 1000, maxFrameBytes: 4000, maxDepth: 1)
    var failures = 0
    for _ in 0..<4000 {
      var (stream, _) = Self.stream(&generator, count: 4)
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let index = Int.random(in: 0..<stream.readableBytes, using: &generator)
        stream.setInteger(UInt8.random(in: 0...255, using: &generator), at: index)
      }
      let fragments = generator.fragments(stream, maxBytes: 50)
      if decodeRequests(fragments, limits: limits).end != .needMore { failures += 1 }
    }
    #expect(failures > 1000)
  }

  @Test func workGrowsWithTheBytesAndNotWithTheFragments() {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
    encoder.writeArrayHeader(count: 10_000)
    for index in 0..<10_000 { encoder.writeBulk(String(index)) }
    let whole = decodeRequests([encoder.buffer], limits: .requests)
    let bytes = Array(encoder.buffer.readableBytesView).map { ByteBuffer(bytes: [$0]) }
    let single = decodeRequests(bytes, limits: .requests)
    #expect(single.requests == whole.requests && single.requests.first?.count == 10_000)
    #expect(single.bytesScanned <= encoder.buffer.readableBytes)
    #expect(whole.bytesScanned <= encoder.buffer.readableBytes)
  }

  @Test func aLongInlineLineIsScannedOnce() {
    let line = ByteBuffer(string: String(repeating: "a", count: 60_000) + "\r\n")
    let bytes = Array(line.readableBytesView).map { ByteBuffer(bytes: [$0]) }
    let (requests, _, bytesScanned) = decodeRequests(bytes, limits: .requests)
    #expect(requests.count == 1)
    #expect(bytesScanned <= line.readableBytes)
  }

  @Test func argumentsShareTheMemoryThatWasReceived() throws {
    let received = ByteBuffer(string: "*2\r\n$4\r\nPULL\r\n$5\r\nabcde\r\n")
    var decoder = RESPRequestDecoder(limits: .requests)
    decoder.append(received)
    let request = try #require(try decoder.next())
    let address = received.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    #expect(request.withBytes(at: 1) { UInt(bitPattern: $0.baseAddress) } == address + 18)
    #expect(request[1].withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } == address + 18)
  }

  @Test func memoryGrowsWithWhatHasArrivedAndNotWithWhatIsAnnounced() throws {
    var buffer = ReceiveBuffer()
    for _ in 0..<1000 { buffer.append(ByteBuffer(bytes: [1])) }
    #expect(buffer.storage.capacity <= 2048)
    var decoder = RESPRequestDecoder(limits: .requests)
    decoder.append(ByteBuffer(string: "*60000\r\n$30000000\r\nabc"))
    #expect(try decoder.next() == nil)
    #expect(decoder.bufferedBytes == 22)
    #expect(decoder.reservedBytes < 4096)
  }

  @Test func aStreamThatNeverAlignsDoesNotGrowTheBuffer() throws {
    var decoder = RESPRequestDecoder(limits: .requests)
    let request = "*2\r\n$4\r\nECHO\r\n$5\r\nabcde\r\n"
    decoder.append(ByteBuffer(string: String(request.prefix(7))))
    let next = ByteBuffer(string: String(request.dropFirst(7) + request.prefix(7)))
    for _ in 0..<10_000 {
      decoder.append(next)
      #expect(try decoder.next()?.count == 2)
      #expect(try decoder.next() == nil)
    }
    #expect(decoder.reservedBytes < 4096)
  }
}

extension RESPRequest: Equatable {
  public static func == (a: RESPRequest, b: RESPRequest) -> Bool { a.arguments == b.arguments }
}

import FreshetCore
import NIOCore

@testable import FreshetWire

/// What decoding a stream ended in.
enum StreamEnd: Equatable {
  case needMore
  case error(WireError)
}

func text(_ buffer: ByteBuffer) -> String { String(buffer: buffer) }

/// Feeds chunks to a request decoder; every request as its arguments.
func decodeRequests(
  _ chunks: [ByteBuffer], limits: RESPLimits
) -> (requests: [[ByteBuffer]], end: StreamEnd, bytesScanned: Int) {
  var decoder = RESPRequestDecoder(limits: limits)
  var requests: [[ByteBuffer]] = []
  for chunk in chunks {
    decoder.append(chunk)
    do throws(WireError) {
      while let request = try decoder.next() { requests.append(request.arguments) }
    } catch {
      return (requests, .error(error), decoder.bytesScanned)
    }
  }
  return (requests, .needMore, decoder.bytesScanned)
}

func decodeRequests(_ stream: String, limits: RESPLimits = .requests) -> (requests: [[String]], end: StreamEnd) {
  let (requests, end, _) = decodeRequests([ByteBuffer(string: stream)], limits: limits)
  return (requests.map { $0.map(text) }, end)
}

func decodeReplies(
  _ chunks: [ByteBuffer], limits: RESPLimits
) -> (values: [RESPValue], end: StreamEnd, bytesScanned: Int) {
  var decoder = RESPReplyDecoder(limits: limits)
  var values: [RESPValue] = []
  for chunk in chunks {
    decoder.append(chunk)
    do throws(WireError) {
      while let value = try decoder.next() { values.append(value) }
    } catch {
      return (values, .error(error), decoder.bytesScanned)
    }
  }
  return (values, .needMore, decoder.bytesScanned)
}

func decodeReplies(_ stream: String, limits: RESPLimits = .replies) -> (values: [RESPValue], end: StreamEnd) {
  let (values, end, _) = decodeReplies([ByteBuffer(string: stream)], limits: limits)
  return (values, end)
}

func encode(_ version: RESPVersion, _ body: (inout RESPEncoder) -> Void) -> String {
  var encoder = RESPEncoder(buffer: ByteBuffer(), version: version)
  body(&encoder)
  return text(encoder.buffer)
}

extension SeededGenerator {
  /// Cuts a stream at random places, into mostly small pieces of memory of their own.
  mutating func fragments(_ stream: ByteBuffer, maxBytes: Int) -> [ByteBuffer] {
    var stream = stream
    var pieces: [ByteBuffer] = []
    while stream.readableBytes > 0 {
      let count = min(stream.readableBytes, Int.random(in: 1...maxBytes, using: &self))
      guard let bytes = stream.readBytes(length: count) else { break }
      pieces.append(ByteBuffer(bytes: bytes))
    }
    return pieces
  }

  mutating func bytes(upTo maxCount: Int) -> ByteBuffer {
    let count = Int.random(in: 0...maxCount, using: &self)
    return ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) })
  }

  /// Any value that survives encoding in RESP3 unchanged.
  mutating func value(depth: Int) -> RESPValue {
    switch Int.random(in: 0..<(depth > 0 ? 13 : 9), using: &self) {
    case 0: return .simpleString("s\(next())")
    case 1: return .error(WireError(.moved, "shard \(next() % 16) ¡lives! elsewhere"))
    case 2: return .integer(Int64(bitPattern: next()))
    case 3, 4: return .bulk(bytes(upTo: 300))
    case 5: return .null
    case 6:
      let double = Double(bitPattern: next())
      return .double(double.isNaN ? 0.1 : double)
    case 7: return .boolean(next() & 1 == 0)
    case 8: return .verbatim(format: "txt", bytes(upTo: 20))
    case 9: return .push(values(depth: depth))
    case 10:
      return .map(
        (0..<Int(next() % 4)).map { _ in RESPValue.Entry(key: value(depth: 0), value: value(depth: depth - 1)) })
    default: return .array(values(depth: depth))
    }
  }

  private mutating func values(depth: Int) -> [RESPValue] {
    (0..<Int(next() % 5)).map { _ in value(depth: depth - 1) }
  }
}

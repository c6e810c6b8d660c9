import NIOCore

/// Reads a client's requests from a stream of bytes: arrays of bulk strings, or inline commands as typed into telnet.
///
/// Incremental: what has been read of an incomplete request is not read again. After an error the stream has no known
/// position any more: every further call throws the same error.
public struct RESPRequestDecoder: Sendable {
  /// May be changed between requests, as after authentication.
  public var limits: RESPLimits
  private var received = ReceiveBuffer()
  private var failure: WireError?

  // Of the request being read; positions count from the start of `received`.
  private var cursor = 0
  /// No line feed lies between `cursor` and here.
  private var scanned = 0
  private var argumentsLeft = 0
  private var bulkBytes = -1
  private var ranges = ArgumentRanges()

  /// Bytes looked at so far in search of a line's end; grows linearly with the bytes received.
  private(set) var bytesScanned = 0

  public init(limits: RESPLimits) { self.limits = limits }

  /// Bytes received and not yet returned in a request.
  public var bufferedBytes: Int { received.readableBytes }

  /// The memory behind `bufferedBytes`.
  var reservedBytes: Int {
    received.storage.storageCapacity + ranges.reservedBytes
  }

  /// Takes the next bytes of the stream. Call `next` until it returns nil before the next `append`, or at least before
  /// more than can be held arrives.
  public mutating func append(_ bytes: ByteBuffer) {
    if failure == nil { received.append(bytes) }
  }

  /// The next complete request; nil if more bytes are needed. Empty requests are skipped, as Redis does.
  public mutating func next() throws(WireError) -> RESPRequest? {
    if let failure { throw failure }
    while received.readableBytes > 0 {
      let bytes = received.storage
      switch bytes.withUnsafeReadableBytes({ scan($0) }) {
      case .needMore:
        return nil
      case .array:
        let request = RESPRequest(frame: received.readSlice(cursor), ranges: ranges)
        reset()
        return request
      case .line(let contentBytes):
        let words = bytes.withUnsafeReadableBytes {
          InlineWords.split(UnsafeRawBufferPointer(rebasing: $0[..<contentBytes]))
        }
        received.skip(cursor)
        reset()
        guard let words else { throw fail(.malformed("unbalanced quotes in request")) }
        guard words.count <= limits.maxArguments else { throw fail(tooManyArguments(words.count)) }
        if words.count > 0 { return words }
      case .empty:
        received.skip(cursor)
        reset()
      case .failure(let error):
        throw fail(error)
      }
    }
    return nil
  }

  private enum Step {
    case needMore
    case array
    /// An inline request; the line without its end has so many bytes.
    case line(Int)
    case empty
    case failure(WireError)
  }

  private mutating func reset() {
    cursor = 0
    scanned = 0
    argumentsLeft = 0
    bulkBytes = -1
    ranges.removeAll()
  }

  private mutating func fail(_ error: WireError) -> WireError {
    failure = error
    received = ReceiveBuffer()
    return error
  }

  private func tooManyArguments(_ count: Int) -> WireError {
    WireError(.tooBig, "\(count) arguments in one request; the limit is \(limits.maxArguments)")
  }

  private mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Step {
    if argumentsLeft == 0 {
      guard bytes[0] == UInt8(ascii: "*") else { return scanInline(bytes) }
      switch number(bytes) {
      case .needMore: return .needMore
      case .value(let count) where count <= 0: return .empty
      case .value(let count):
        guard count <= Int64(limits.maxArguments) else { return .failure(tooManyArguments(Int(count))) }
        argumentsLeft = Int(count)
      case .malformed: return .failure(.malformed("invalid multibulk length"))
      }
    }
    while argumentsLeft > 0 {
      if bulkBytes < 0, let step = scanBulkHeader(bytes) { return step }
      guard bytes.count - cursor >= bulkBytes + 2 else { return .needMore }
      let end = cursor + bulkBytes
      guard bytes[end] == RESPText.carriageReturn, bytes[end + 1] == RESPText.lineFeed else {
        return .failure(.malformed("bulk string of \(bulkBytes) bytes is not followed by CRLF"))
      }
      ranges.append(start: cursor, count: bulkBytes)
      cursor = end + 2
      scanned = cursor
      bulkBytes = -1
      argumentsLeft -= 1
    }
    return .array
  }

  /// Reads `$length`; nil if all is well.
  @inline(__always)
  private mutating func scanBulkHeader(_ bytes: UnsafeRawBufferPointer) -> Step? {
    guard cursor < bytes.count else { return .needMore }
    guard bytes[cursor] == UInt8(ascii: "$") else {
      let got = RESPText.quoted(UnsafeRawBufferPointer(rebasing: bytes[cursor...cursor]))
      return .failure(.malformed("expected '$', got '\(got)'"))
    }
    switch number(bytes) {
    case .needMore: return .needMore
    case .malformed: return .failure(.malformed("invalid bulk length"))
    case .value(let length):
      guard length >= 0 else { return .failure(.malformed("invalid bulk length")) }
      guard length <= Int64(limits.maxBulkBytes) else {
        return .failure(WireError(.tooBig, "argument of \(length) bytes; the limit is \(limits.maxBulkBytes)"))
      }
      guard cursor + Int(length) + 2 <= limits.maxFrameBytes else {
        return .failure(WireError(.tooBig, "request of more than \(limits.maxFrameBytes) bytes"))
      }
      bulkBytes = Int(length)
      return nil
    }
  }

  private mutating func scanInline(_ bytes: UnsafeRawBufferPointer) -> Step {
    let limit = min(RESPLimits.maxLineBytes, limits.maxFrameBytes)
    guard let end = lineFeed(bytes, limit: limit) else {
      return bytes.count >= limit
        ? .failure(WireError(.tooBig, "inline request of more than \(limit) bytes")) : .needMore
    }
    cursor = end + 1
    return .line(end > 0 && bytes[end - 1] == RESPText.carriageReturn ? end - 1 : end)
  }

  private enum Number {
    case needMore
    case malformed
    case value(Int64)
  }

  /// Reads a type's character, an integer and CRLF at `cursor`, and moves behind them.
  @inline(__always)
  private mutating func number(_ bytes: UnsafeRawBufferPointer) -> Number {
    if let value = shortNumber(bytes) { return .value(Int64(value)) }
    guard let end = lineFeed(bytes, limit: RESPLimits.maxNumberLineBytes) else {
      return bytes.count - cursor >= RESPLimits.maxNumberLineBytes ? .malformed : .needMore
    }
    guard end - cursor >= 3, bytes[end - 1] == RESPText.carriageReturn,
      let value = RESPText.integer(UnsafeRawBufferPointer(rebasing: bytes[cursor + 1..<end - 1]))
    else { return .malformed }
    cursor = end + 1
    scanned = cursor
    return .value(value)
  }

  /// `number` for what nearly all are: one to nine digits, and all of the line here.
  @inline(__always)
  private mutating func shortNumber(_ bytes: UnsafeRawBufferPointer) -> Int? {
    let start = cursor &+ 1
    let end = min(bytes.count, start &+ 9)
    var position = start
    var value = 0
    while position < end {
      let digit = bytes[position] &- UInt8(ascii: "0")
      guard digit <= 9 else { break }
      value = value &* 10 &+ Int(digit)
      position &+= 1
    }
    guard position > start, position &+ 1 < bytes.count, bytes[position] == RESPText.carriageReturn,
      bytes[position &+ 1] == RESPText.lineFeed
    else { return nil }
    cursor = position &+ 2
    scanned = cursor
    return value
  }

  /// The position of the first line feed at or behind `cursor`, less than `limit` bytes away.
  @inline(__always)
  private mutating func lineFeed(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Int? {
    let end = min(bytes.count, cursor + limit)
    var position = max(scanned, cursor)
    let start = position
    while position < end, bytes[position] != RESPText.lineFeed { position &+= 1 }
    bytesScanned &+= position - start
    scanned = position
    return position < end ? position : nil
  }
}

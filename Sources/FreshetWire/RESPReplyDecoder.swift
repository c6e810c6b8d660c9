import NIOCore

/// Reads a server's replies from a stream of bytes.
///
/// Incremental: elements of an incomplete aggregate that have been read are kept, not read again. Bulk strings are slices
/// of the received bytes. After an error every further call throws the same error.
public struct RESPReplyDecoder: Sendable {
  private let limits: RESPLimits
  private var received = ReceiveBuffer()
  private var failure: WireError?

  /// No line feed lies among the first `scanned` bytes.
  private var scanned = 0
  /// A bulk string whose header has been read.
  private var bulk: (type: UInt8, count: Int)?
  private var open: [Aggregate] = []
  // Of the outermost value being read.
  private var frameBytes = 0
  private var elementCount = 0

  /// Bytes looked at so far in search of a line's end; grows linearly with the bytes received.
  private(set) var bytesScanned = 0

  private struct Aggregate {
    let type: UInt8
    var left: Int
    var values: [RESPValue] = []
  }

  public init(limits: RESPLimits) { self.limits = limits }

  /// Bytes received and not yet decoded.
  public var bufferedBytes: Int { received.readableBytes }

  public mutating func append(_ bytes: ByteBuffer) {
    if failure == nil { received.append(bytes) }
  }

  /// The next complete value; nil if more bytes are needed.
  public mutating func next() throws(WireError) -> RESPValue? {
    if let failure { throw failure }
    do throws(WireError) {
      while received.readableBytes > 0 {
        switch try element() {
        case .needMore: return nil
        case .opened: continue
        case .value(let value):
          guard let whole = deliver(value) else { continue }
          frameBytes = 0
          elementCount = 0
          return whole
        }
      }
      return nil
    } catch {
      failure = error
      received = ReceiveBuffer()
      open = []
      throw error
    }
  }

  private enum Element {
    case needMore
    /// The header of an aggregate, whose elements follow.
    case opened
    case value(RESPValue)
  }

  /// Puts a value where it belongs; returns the outermost value once it is complete.
  private mutating func deliver(_ value: RESPValue) -> RESPValue? {
    var value = value
    while let last = open.indices.last {
      open[last].values.append(value)
      open[last].left -= 1
      if open[last].left > 0 { return nil }
      let aggregate = open.removeLast()
      if aggregate.type == UInt8(ascii: "|") { return nil }
      value = Self.finish(aggregate)
    }
    return value
  }

  private static func finish(_ aggregate: Aggregate) -> RESPValue {
    switch aggregate.type {
    case UInt8(ascii: "%"):
      let values = aggregate.values
      return .map(
        stride(from: 0, to: values.count, by: 2).map { RESPValue.Entry(key: values[$0], value: values[$0 + 1]) })
    case UInt8(ascii: ">"): return .push(aggregate.values)
    default: return .array(aggregate.values)
    }
  }

  /// Reads one scalar or the header of an aggregate.
  private mutating func element() throws(WireError) -> Element {
    if let bulk { return try bulkBody(type: bulk.type, count: bulk.count) }
    guard let line = try readLine() else { return .needMore }
    return try line.withUnsafeReadableBytes { bytes -> Result<Element, WireError> in
      let content = UnsafeRawBufferPointer(rebasing: bytes[1...])
      do throws(WireError) { return .success(try interpret(type: bytes[0], content)) } catch { return .failure(error) }
    }.get()
  }

  private mutating func interpret(type: UInt8, _ content: UnsafeRawBufferPointer) throws(WireError) -> Element {
    switch type {
    case UInt8(ascii: "+"): return .value(.simpleString(String(decoding: content, as: UTF8.self)))
    case UInt8(ascii: "-"): return .value(.error(WireError(line: String(decoding: content, as: UTF8.self))))
    case UInt8(ascii: ":"): return .value(.integer(try Self.integer(content, of: "integer")))
    case UInt8(ascii: "_"):
      guard content.isEmpty else { throw .malformed("null with content") }
      return .value(.null)
    case UInt8(ascii: "#"):
      guard content.count == 1, content[0] == UInt8(ascii: "t") || content[0] == UInt8(ascii: "f") else {
        throw .malformed("boolean that is neither t nor f")
      }
      return .value(.boolean(content[0] == UInt8(ascii: "t")))
    case UInt8(ascii: ","):
      guard let value = Double(String(decoding: content, as: UTF8.self)) else { throw .malformed("invalid double") }
      return .value(.double(value))
    case UInt8(ascii: "("): return .value(.bigNumber(String(decoding: content, as: UTF8.self)))
    case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"): return try openBulk(type: type, content)
    case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "%"), UInt8(ascii: "|"):
      return try openAggregate(type: type, content)
    default:
      let got = withUnsafeBytes(of: type) { RESPText.quoted($0) }
      throw .malformed("unknown type '\(got)'")
    }
  }

  private mutating func openBulk(type: UInt8, _ content: UnsafeRawBufferPointer) throws(WireError) -> Element {
    let count = try Self.integer(content, of: "bulk length")
    if count == -1, type == UInt8(ascii: "$") { return .value(.null) }
    guard count >= 0 else { throw .malformed("invalid bulk length") }
    guard count <= Int64(limits.maxBulkBytes) else {
      throw WireError(.tooBig, "bulk string of \(count) bytes; the limit is \(limits.maxBulkBytes)")
    }
    try addFrameBytes(Int(count) + 2)
    bulk = (type, Int(count))
    return try bulkBody(type: type, count: Int(count))
  }

  private mutating func bulkBody(type: UInt8, count: Int) throws(WireError) -> Element {
    guard received.readableBytes >= count + 2 else { return .needMore }
    let bytes = received.readSlice(count)
    let end = received.storage.getInteger(at: received.storage.readerIndex, as: UInt16.self)
    guard end == 0x0d0a else { throw .malformed("bulk string of \(count) bytes is not followed by CRLF") }
    received.skip(2)
    bulk = nil
    switch type {
    case UInt8(ascii: "!"): return .value(.error(WireError(line: String(buffer: bytes))))
    case UInt8(ascii: "="):
      var bytes = bytes
      guard let format = bytes.readString(length: 3), bytes.readInteger(as: UInt8.self) == UInt8(ascii: ":") else {
        throw .malformed("verbatim string without a format")
      }
      return .value(.verbatim(format: format, bytes))
    default: return .value(.bulk(bytes))
    }
  }

  private mutating func openAggregate(type: UInt8, _ content: UnsafeRawBufferPointer) throws(WireError) -> Element {
    let announced = try Self.integer(content, of: "aggregate length")
    if announced == -1, type == UInt8(ascii: "*") { return .value(.null) }
    guard announced >= 0 else { throw .malformed("invalid aggregate length") }
    guard announced <= Int64(limits.maxArguments) else { throw tooManyElements }
    let isMap = type == UInt8(ascii: "%") || type == UInt8(ascii: "|")
    let aggregate = Aggregate(type: type, left: isMap ? Int(announced) * 2 : Int(announced))
    elementCount += aggregate.left
    guard elementCount <= limits.maxArguments else { throw tooManyElements }
    if aggregate.left == 0 {
      if type != UInt8(ascii: "|") { return .value(Self.finish(aggregate)) }
    } else {
      guard open.count < limits.maxDepth else {
        throw WireError(.tooBig, "aggregates nested deeper than \(limits.maxDepth)")
      }
      open.append(aggregate)
    }
    return .opened
  }

  private var tooManyElements: WireError {
    WireError(.tooBig, "reply of more than \(limits.maxArguments) elements")
  }

  /// The next line without its CRLF, at least its type; nil if it has not arrived completely.
  private mutating func readLine() throws(WireError) -> ByteBuffer? {
    let bytes = received.storage
    let start = scanned
    let (found, available) = bytes.withUnsafeReadableBytes { bytes -> (Int?, Int) in
      var position = start
      let end = min(bytes.count, RESPLimits.maxLineBytes)
      while position < end, bytes[position] != RESPText.lineFeed { position &+= 1 }
      return (position < end ? position : nil, end)
    }
    bytesScanned &+= (found ?? available) - start
    guard let end = found else {
      scanned = available
      if available == RESPLimits.maxLineBytes { throw WireError(.tooBig, "line of more than \(available) bytes") }
      return nil
    }
    scanned = 0
    try addFrameBytes(end + 1)
    guard end >= 2, bytes.getInteger(at: bytes.readerIndex + end - 1, as: UInt8.self) == RESPText.carriageReturn,
      let line = bytes.getSlice(at: bytes.readerIndex, length: end - 1)
    else { throw .malformed("line without CRLF") }
    received.skip(end + 1)
    return line
  }

  private mutating func addFrameBytes(_ count: Int) throws(WireError) {
    frameBytes += count
    guard frameBytes <= limits.maxFrameBytes else {
      throw WireError(.tooBig, "reply of more than \(limits.maxFrameBytes) bytes")
    }
  }

  private static func integer(_ content: UnsafeRawBufferPointer, of what: String) throws(WireError) -> Int64 {
    guard let value = RESPText.integer(content) else { throw .malformed("invalid \(what)") }
    return value
  }
}

import NIOCore

/// One request of a client: its name and arguments as slices of the received bytes.
///
/// Keeping a request or one of its slices keeps the memory of the whole request, and of what arrived with it.
public struct RESPRequest: Sendable {
  /// `ranges` count from the frame's reader index.
  @usableFromInline let frame: ByteBuffer
  @usableFromInline let ranges: ArgumentRanges

  init(frame: ByteBuffer, ranges: ArgumentRanges) {
    self.frame = frame
    self.ranges = ranges
  }

  /// A request made of texts, as a client's encoder and the server's decoder would make it.
  public init(_ arguments: [String]) {
    var frame = ByteBuffer()
    var ranges = ArgumentRanges()
    for argument in arguments {
      let start = frame.readableBytes
      ranges.append(start: start, count: frame.writeString(argument))
    }
    self.init(frame: frame, ranges: ranges)
  }

  /// The name and its arguments; at least 1 for a request from a decoder.
  @inlinable public var count: Int { ranges.count }

  /// Bytes of the arguments with their framing.
  public var frameBytes: Int { frame.readableBytes }

  /// An argument's bytes, not copied. 0 is the command's name.
  /// - Precondition: `index` in `0 ..< count`.
  public subscript(index: Int) -> ByteBuffer {
    let range = ranges[index]
    guard let slice = frame.getSlice(at: frame.readerIndex + range.lowerBound, length: range.count) else {
      preconditionFailure("argument outside of its request")
    }
    return slice
  }

  /// All arguments, not copied.
  public var arguments: [ByteBuffer] { (0..<count).map { self[$0] } }

  /// An argument's bytes for the time of `body`.
  @inlinable @inline(__always)
  public func withBytes<Value>(at index: Int, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
    let range = ranges[index]
    return frame.withUnsafeReadableBytes { bytes in body(UnsafeRawBufferPointer(rebasing: bytes[range])) }
  }

  /// The command's name in upper case; nil if no command has such a name.
  public var name: CommandName? { count > 0 ? withBytes(at: 0) { CommandName($0) } : nil }

  /// An argument as text; nil if it is not UTF-8.
  public func text(at index: Int) -> String? {
    withBytes(at: index) { String(validating: $0, as: UTF8.self) }
  }

  /// An argument as an error message may quote it: one line, cut at 64 bytes.
  public func quoted(at index: Int) -> String { withBytes(at: index) { RESPText.quoted($0) } }

  public func integer(at index: Int) -> Int64? { withBytes(at: index) { RESPText.integer($0) } }

  /// Whether an argument is this keyword, in any case.
  func isKeyword(_ keyword: CommandName, at index: Int) -> Bool { withBytes(at: index) { CommandName($0) } == keyword }
}

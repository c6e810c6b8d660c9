import NIOCore

/// The words of a request where they lie, for the time of a call of `RESPRequest.withArguments`.
public struct RESPArguments {
  private let start: UnsafeRawPointer
  private let ranges: UnsafeBufferPointer<RESPRequest.ArgumentRange>

  init(start: UnsafeRawPointer, ranges: UnsafeBufferPointer<RESPRequest.ArgumentRange>) {
    self.start = start
    self.ranges = ranges
  }

  public var count: Int { ranges.count }

  /// A word's bytes. 0 is the command's name.
  public subscript(index: Int) -> UnsafeRawBufferPointer {
    let range = ranges[index]
    return UnsafeRawBufferPointer(start: start + Int(range.start), count: Int(range.count))
  }

  /// Whether a word is UTF-8.
  func isText(_ index: Int) -> Bool {
    let bytes = self[index]
    var rest = bytes.count
    var position = 0
    var highBits: UInt64 = 0
    while rest >= 8 {
      highBits |= bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
      position &+= 8
      rest &-= 8
    }
    while rest > 0 {
      highBits |= UInt64(bytes[position])
      position &+= 1
      rest &-= 1
    }
    // Of ASCII alone nothing is to be said.
    return highBits & 0x8080_8080_8080_8080 == 0 || String(validating: bytes, as: UTF8.self) != nil
  }
}

extension RESPRequest {
  /// Gives the words to `body` where they lie.
  /// - Precondition: The request has a word.
  public func withArguments<Value, Failure: Error>(
    _ body: (RESPArguments) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let result: Result<Value, Failure> = frame.withUnsafeReadableBytes { bytes in
      ranges.withUnsafeBufferPointer { ranges in
        Result { () throws(Failure) in
          try body(RESPArguments(start: bytes.baseAddress.unsafelyUnwrapped, ranges: ranges))
        }
      }
    }
    return try result.get()
  }
}

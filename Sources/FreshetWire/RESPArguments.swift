import NIOCore

/// The words of a request where they lie, for the time of a call of `RESPRequest.withArguments`.
public struct RESPArguments {
  private let start: UnsafeRawPointer
  private let near: UnsafePointer<UInt64>
  private let far: UnsafePointer<UInt64>?
  public let count: Int

  /// - Parameters:
  ///   - near: The first ranges, as `ArgumentRanges` packs them.
  ///   - far: Those beyond, if there are any.
  init(start: UnsafeRawPointer, near: UnsafePointer<UInt64>, far: UnsafePointer<UInt64>?, count: Int) {
    self.start = start
    self.near = near
    self.far = far
    self.count = count
  }

  /// A word's bytes. 0 is the command's name.
  public subscript(index: Int) -> UnsafeRawBufferPointer {
    precondition(index >= 0 && index < count)
    let packed =
      index < ArgumentRanges.nearCount ? near[index] : far.unsafelyUnwrapped[index &- ArgumentRanges.nearCount]
    let range = ArgumentRanges.unpack(packed)
    return UnsafeRawBufferPointer(start: start + range.lowerBound, count: range.count)
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
      ranges.withPacked { near, far in
        Result { () throws(Failure) in
          try body(
            RESPArguments(start: bytes.baseAddress.unsafelyUnwrapped, near: near, far: far, count: ranges.count))
        }
      }
    }
    return try result.get()
  }
}

/// A lossless block compressor, handed to cores that may not depend on a compression library.
public protocol BlockCompressor: Sendable {
  /// The number that names the format in frames and files; 0 is "not compressed".
  var formatCode: UInt8 { get }
  func compress(_ block: UnsafeRawBufferPointer) -> [UInt8]
  /// - Parameter count: Exactly how many bytes come out.
  /// - Throws: `MalformedBlob` if the bytes are not a block of `count` bytes.
  func decompress(_ bytes: UnsafeRawBufferPointer, count: Int) throws(MalformedBlob) -> [UInt8]
}

/// Stores blocks as they are.
public struct NoCompressor: BlockCompressor {
  public init() {}
  public var formatCode: UInt8 { 0 }
  public func compress(_ block: UnsafeRawBufferPointer) -> [UInt8] { Array(block) }
  public func decompress(_ bytes: UnsafeRawBufferPointer, count: Int) throws(MalformedBlob) -> [UInt8] {
    guard bytes.count == count else {
      throw MalformedBlob(what: "stored block", position: 0, reason: "\(bytes.count) bytes, \(count) expected")
    }
    return Array(bytes)
  }
}

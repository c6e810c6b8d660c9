/// A blob that does not hold what its format says.
public struct MalformedBlob: Error, Sendable, CustomStringConvertible {
  /// What was being read, as the format's document names it.
  public let what: String
  /// The byte of the blob at which reading failed.
  public let position: Int
  public let reason: String

  public init(what: String, position: Int, reason: String) {
    self.what = what
    self.position = position
    self.reason = reason
  }

  public var description: String { "malformed \(what) at byte \(position): \(reason)" }
}

/// Reads a packed little-endian blob. Every read is bounds-checked and throws rather than traps: the bytes come from
/// the network, from Kafka or from disk.
public struct BinaryReader {
  @usableFromInline let bytes: UnsafeRawBufferPointer
  @usableFromInline let what: String
  public private(set) var position = 0

  /// - Parameter bytes: Must outlive the reader and every slice it hands out.
  public init(_ bytes: UnsafeRawBufferPointer, what: String) {
    self.bytes = bytes
    self.what = what
  }

  public var remaining: Int { bytes.count - position }

  public func malformed(_ reason: String) -> MalformedBlob {
    MalformedBlob(what: what, position: position, reason: reason)
  }

  /// The next `count` bytes, not copied.
  public mutating func readBytes(_ count: Int) throws(MalformedBlob) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw malformed("\(count) bytes expected, \(remaining) left")
    }
    let slice = UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    position += count
    return slice
  }

  public mutating func read<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(MalformedBlob) -> T {
    let raw = try readBytes(MemoryLayout<T>.size)
    return T(littleEndian: raw.loadUnaligned(as: T.self))
  }

  public mutating func readFloat() throws(MalformedBlob) -> Float { Float(bitPattern: try read(UInt32.self)) }
  public mutating func readDouble() throws(MalformedBlob) -> Double { Double(bitPattern: try read(UInt64.self)) }

  public mutating func readShortText() throws(MalformedBlob) -> String {
    let count = Int(try read(UInt16.self))
    return String(decoding: try readBytes(count), as: UTF8.self)
  }

  /// Throws unless everything has been read: trailing bytes mean a format this program does not know.
  public func finish() throws(MalformedBlob) {
    guard remaining == 0 else { throw malformed("\(remaining) bytes too many") }
  }
}

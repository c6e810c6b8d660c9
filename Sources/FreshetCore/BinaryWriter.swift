/// Builds a packed little-endian blob. All of Freshet's binary formats are written with it and read by `BinaryReader`.
public struct BinaryWriter: Sendable {
  public private(set) var bytes: [UInt8]

  public init(capacity: Int) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  public var count: Int { bytes.count }

  /// Empties the writer and keeps its memory.
  public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  @inlinable
  public mutating func write<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { write($0) }
  }

  @inlinable
  public mutating func write(_ value: Float) { write(value.bitPattern) }

  @inlinable
  public mutating func write(_ value: Double) { write(value.bitPattern) }

  public mutating func write(_ raw: UnsafeRawBufferPointer) { bytes.append(contentsOf: raw) }

  /// The elements as they lie in memory. Little-endian machines only, which is all that Swift on Linux supports.
  public mutating func write(floats: UnsafeBufferPointer<Float>) { write(UnsafeRawBufferPointer(floats)) }
  public mutating func write(fids: UnsafeBufferPointer<Fid>) { write(UnsafeRawBufferPointer(fids)) }

  /// UTF-8, preceded by its length as 16 bits; longer text is cut at 65,535 bytes.
  public mutating func write(shortText text: String) {
    let utf8 = Array(text.utf8.prefix(Int(UInt16.max)))
    write(UInt16(utf8.count))
    bytes.append(contentsOf: utf8)
  }

  /// Overwrites an integer written before, for lengths known only afterwards.
  public mutating func overwrite<T: FixedWidthInteger>(_ value: T, at position: Int) {
    precondition(position >= 0 && position + MemoryLayout<T>.size <= bytes.count)
    withUnsafeBytes(of: value.littleEndian) { raw in
      for index in 0..<raw.count { bytes[position + index] = raw[index] }
    }
  }

  /// Appends `count` zero bytes and lets `fill` write them in place.
  public mutating func writeUninitialized(count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: count))
    bytes.withUnsafeMutableBytes { fill(UnsafeMutableRawBufferPointer(rebasing: $0[start...])) }
  }
}

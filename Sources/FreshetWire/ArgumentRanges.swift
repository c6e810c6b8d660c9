/// Where a request's arguments lie in its frame. Those of a short request are kept in place: it takes no memory of its own.
@usableFromInline
struct ArgumentRanges: Sendable {
  /// In place.
  @usableFromInline static let nearCount = 8

  @usableFromInline private(set) var count = 0
  /// Start in the lower, length in the upper half.
  @usableFromInline var near = SIMD8<UInt64>()
  /// Those beyond.
  @usableFromInline var far: [UInt64] = []

  init() {}

  /// Bytes of memory beside the value itself.
  var reservedBytes: Int { far.capacity * MemoryLayout<UInt64>.stride }

  /// - Precondition: Both fit 32 bits.
  @inline(__always)
  mutating func append(start: Int, count length: Int) {
    let packed = UInt64(UInt32(start)) | UInt64(UInt32(length)) << 32
    if count < Self.nearCount { near[count] = packed } else { far.append(packed) }
    count &+= 1
  }

  @inline(__always)
  mutating func removeAll() {
    count = 0
    if !far.isEmpty { far = [] }
  }

  @inlinable @inline(__always)
  subscript(index: Int) -> Range<Int> {
    precondition(index >= 0 && index < count)
    return Self.unpack(index < Self.nearCount ? near[index] : far[index &- Self.nearCount])
  }

  @inlinable @inline(__always)
  static func unpack(_ packed: UInt64) -> Range<Int> {
    let start = Int(truncatingIfNeeded: packed & 0xffff_ffff)
    return start..<start &+ Int(truncatingIfNeeded: packed &>> 32)
  }

  /// Gives the packed ranges to `body`: the first `nearCount`, and those beyond if there are any.
  @inline(__always)
  func withPacked<Value>(_ body: (UnsafePointer<UInt64>, UnsafePointer<UInt64>?) -> Value) -> Value {
    withUnsafeBytes(of: near) { near in
      let near = near.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt64.self)
      return far.withUnsafeBufferPointer { body(near, $0.baseAddress) }
    }
  }
}

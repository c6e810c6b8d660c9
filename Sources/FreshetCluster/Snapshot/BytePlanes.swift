import FreshetCore

/// Sorts bytes by their position in 4-byte words: first byte 0 of all words, then byte 1, and so on; what is left after the
/// last whole word follows as it is.
///
/// The upper bytes of floats, minutes and counters repeat, the lower ones hardly do; side by side each kind compresses as
/// well as it can.
enum BytePlanes {
  /// - Parameter target: As many bytes; must not overlap.
  static func split(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer) {
    guard let start = source.baseAddress else { return }
    let words = source.count / 4
    let plane0 = target.assumingMemoryBound(to: UInt8.self)
    let (plane1, plane2, plane3) = (plane0 + words, plane0 + 2 * words, plane0 + 3 * words)
    for word in 0..<words {
      let value = UInt32(littleEndian: start.loadUnaligned(fromByteOffset: 4 &* word, as: UInt32.self))
      plane0[word] = UInt8(truncatingIfNeeded: value)
      plane1[word] = UInt8(truncatingIfNeeded: value &>> 8)
      plane2[word] = UInt8(truncatingIfNeeded: value &>> 16)
      plane3[word] = UInt8(truncatingIfNeeded: value &>> 24)
    }
    (target + 4 * words).copyMemory(from: start + 4 * words, byteCount: source.count - 4 * words)
  }

  /// Takes back `split`.
  /// - Parameter target: As many bytes; must not overlap.
  static func join(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer) {
    guard let start = source.baseAddress else { return }
    let words = source.count / 4
    let plane0 = start.assumingMemoryBound(to: UInt8.self)
    let (plane1, plane2, plane3) = (plane0 + words, plane0 + 2 * words, plane0 + 3 * words)
    for word in 0..<words {
      let value =
        UInt32(plane0[word]) | UInt32(plane1[word]) &<< 8 | UInt32(plane2[word]) &<< 16 | UInt32(plane3[word]) &<< 24
      target.storeBytes(of: value.littleEndian, toByteOffset: 4 &* word, as: UInt32.self)
    }
    (target + 4 * words).copyMemory(from: start + 4 * words, byteCount: source.count - 4 * words)
  }
}

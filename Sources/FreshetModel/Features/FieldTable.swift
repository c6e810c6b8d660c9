/// Finds a field by the bytes of its name, without making a `String`.
public struct FieldTable: Sendable {
  private struct Entry: Sendable {
    var field: Int32 = -1
    var start: Int32 = 0
    var count: Int32 = 0
  }

  private var entries: [Entry]
  private var names: [UInt8] = []
  private let mask: Int

  /// - Parameter fields: Names, each unique, and what `find` returns for them (0 or more).
  public init(_ fields: [(name: String, value: Int)]) {
    var capacity = 16
    while capacity < fields.count * 4 { capacity *= 2 }
    entries = [Entry](repeating: Entry(), count: capacity)
    mask = capacity - 1
    for (name, value) in fields {
      let bytes = Array(name.utf8)
      var index = bytes.withUnsafeBytes { Self.hash($0) } & mask
      while entries[index].field >= 0 { index = (index + 1) & mask }
      entries[index] = Entry(field: Int32(value), start: Int32(names.count), count: Int32(bytes.count))
      names += bytes
    }
  }

  /// The value stored for a name, −1 if there is none.
  @inline(__always)
  public func find(_ name: UnsafeRawBufferPointer) -> Int {
    var index = Self.hash(name) & mask
    return entries.withUnsafeBufferPointer { entries in
      names.withUnsafeBytes { names in
        while true {
          let entry = entries[index]
          if entry.field < 0 { return -1 }
          if Int(entry.count) == name.count, equal(names.baseAddress! + Int(entry.start), name) {
            return Int(entry.field)
          }
          index = (index &+ 1) & mask
        }
      }
    }
  }

  @inline(__always)
  private func equal(_ a: UnsafeRawPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    for index in 0..<b.count where a.load(fromByteOffset: index, as: UInt8.self) != b[index] { return false }
    return true
  }

  /// Mixes the length with the first and the last eight bytes: enough to tell names apart, and few instructions.
  @inline(__always)
  private static func hash(_ name: UnsafeRawBufferPointer) -> Int {
    let count = name.count
    var word = UInt64(truncatingIfNeeded: count)
    if count >= 8 {
      let base = name.baseAddress!
      word ^= base.loadUnaligned(as: UInt64.self)
      word = (word &* 0x9e37_79b9_7f4a_7c15) ^ base.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
    } else {
      for byte in name { word = word << 8 ^ UInt64(byte) ^ word >> 56 }
    }
    return Int(truncatingIfNeeded: (word &* 0x9e37_79b9_7f4a_7c15) >> 40)
  }
}

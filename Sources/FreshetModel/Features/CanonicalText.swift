/// The canonical texts of numbers, and how they are read from what people write.
public enum CanonicalText {
  /// Bytes that the longest integer needs.
  static let integerBytes = 20

  /// Writes the decimal text of `value`.
  /// - Parameter destination: At least 20 bytes.
  /// - Returns: The bytes written.
  @inline(__always)
  static func write(_ value: Int64, to destination: UnsafeMutablePointer<UInt8>) -> Int {
    var rest = value.magnitude
    var digits = 1
    var power: UInt64 = 10
    while digits < 19, rest >= power {
      digits &+= 1
      power &*= 10
    }
    var position = 0
    if value < 0 {
      destination[0] = UInt8(ascii: "-")
      position = 1
    }
    let count = position &+ digits
    position = count
    for _ in 0..<digits {
      position &-= 1
      destination[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    return count
  }

  /// Reads `12`, `+12`, `-012` and `12.00`; nil for anything else and outside the range of `Int64`.
  public static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
    var position = 0
    var isNegative = false
    if let first = text.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
      isNegative = first == UInt8(ascii: "-")
      position = 1
    }
    let start = position
    var magnitude: UInt64 = 0
    while position < text.count {
      let digit = text[position] &- UInt8(ascii: "0")
      guard digit <= 9 else { break }
      let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      guard !overflow, !carry else { return nil }
      magnitude = sum
      position += 1
    }
    guard position > start else { return nil }
    if position < text.count {
      guard text[position] == UInt8(ascii: "."), position + 1 < text.count else { return nil }
      for index in (position + 1)..<text.count where text[index] != UInt8(ascii: "0") { return nil }
    }
    if isNegative { return magnitude <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil }
    return Int64(exactly: magnitude)
  }

  /// Reads a finite decimal number; nil for anything else, hexadecimal and words included.
  public static func float(_ text: UnsafeRawBufferPointer) -> Double? {
    guard !text.isEmpty, text.count <= 400 else { return nil }
    for byte in text {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "e"), UInt8(ascii: "E"):
        continue
      default: return nil
      }
    }
    guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
    return value
  }

  /// The shortest text that reads back as the same double; −0 is `0.0`.
  public static func text(_ value: Double) -> String { value == 0 ? "0.0" : String(value) }

  /// Bytes of the first `characters` Unicode scalars of UTF-8 text.
  @inline(__always)
  static func prefixBytes(_ text: UnsafeBufferPointer<UInt8>, characters: Int) -> Int {
    var left = characters
    for index in 0..<text.count where text[index] & 0xc0 != 0x80 {
      if left == 0 { return index }
      left &-= 1
    }
    return text.count
  }
}

/// Numbers and text as RESP writes them.
enum RESPText {
  static let carriageReturn = UInt8(ascii: "\r")
  static let lineFeed = UInt8(ascii: "\n")

  /// A decimal integer, `-` or `+` in front or not; nil if it is anything else or does not fit.
  static func integer(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    guard let first = bytes.first else { return nil }
    let isNegative = first == UInt8(ascii: "-")
    let start = isNegative || first == UInt8(ascii: "+") ? 1 : 0
    guard bytes.count > start else { return nil }
    var value: Int64 = 0
    for byte in bytes[start...] {
      let digit = byte &- UInt8(ascii: "0")
      guard digit <= 9 else { return nil }
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      let (next, overflowed) =
        isNegative
        ? scaled.subtractingReportingOverflow(Int64(digit)) : scaled.addingReportingOverflow(Int64(digit))
      guard !overflow, !overflowed else { return nil }
      value = next
    }
    return value
  }

  /// The shortest text that reads back as the same double: `1`, `0.25`, `1e-07`, `inf`, `-inf`, `nan`.
  static func double(_ value: Double) -> String {
    var text = value.description
    return text.withUTF8 { String(decoding: withoutEmptyFraction($0), as: UTF8.self) }
  }

  /// What `description` writes of a double, without a fraction of `.0`.
  @inline(__always)
  static func withoutEmptyFraction(_ digits: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
    let count = digits.count
    guard count > 2, digits[count - 1] == UInt8(ascii: "0"), digits[count - 2] == UInt8(ascii: ".") else {
      return digits
    }
    return UnsafeBufferPointer(rebasing: digits[..<(count - 2)])
  }

  /// Text from a client as an error message may quote it: one line, printable, at most 64 bytes.
  static func quoted(_ bytes: UnsafeRawBufferPointer) -> String {
    var text = ""
    for scalar in String(decoding: bytes.prefix(64), as: UTF8.self).unicodeScalars {
      text.unicodeScalars.append(scalar.value < 32 || scalar.value == 127 ? "?" : scalar)
    }
    return bytes.count > 64 ? text + "…" : text
  }
}

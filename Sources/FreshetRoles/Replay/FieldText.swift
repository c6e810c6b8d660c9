/// What the bytes of a field say.
enum FieldText {
  /// Decimal digits only, at most `limit`.
  @inline(__always)
  static func unsigned(_ bytes: UnsafeRawBufferPointer, limit: UInt64) -> UInt64? {
    guard bytes.count > 0 && bytes.count <= 19 else { return nil }
    var value: UInt64 = 0
    for byte in bytes {
      let digit = byte &- 0x30
      guard digit < 10 else { return nil }
      value = value &* 10 &+ UInt64(digit)
    }
    return value <= limit ? value : nil
  }

  /// A decimal number in thousandths, such as 3500 for `3.5`; at most three decimals, at most a million.
  @inline(__always)
  static func thousandths(_ bytes: UnsafeRawBufferPointer) -> Int32? {
    var value: Int32 = 0
    var decimals = -1
    var digits = 0
    var index = 0
    let isNegative = bytes.count > 0 && bytes[0] == UInt8(ascii: "-")
    if isNegative { index = 1 }
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: ".") && decimals < 0 && digits > 0 {
        decimals = 0
        continue
      }
      let digit = byte &- 0x30
      guard digit < 10 else { return nil }
      digits += 1
      if decimals >= 0 { decimals += 1 }
      guard decimals <= 3 && digits - max(0, decimals) <= 6 else { return nil }
      value = value * 10 + Int32(digit)
    }
    guard digits > 0 && decimals != 0 else { return nil }
    for _ in max(0, decimals)..<3 { value *= 10 }
    return isNegative ? -value : value
  }

  /// Whether the bytes are a number as JSON writes it: `02460` is not, so postal codes stay text.
  static func isJSONNumber(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    func digits() -> Int {
      let start = index
      while index < bytes.count && bytes[index] &- 0x30 < 10 { index += 1 }
      return index - start
    }
    if index < bytes.count && bytes[index] == UInt8(ascii: "-") { index += 1 }
    let leadingZero = index < bytes.count && bytes[index] == 0x30
    let whole = digits()
    guard whole > 0 && !(leadingZero && whole > 1) else { return false }
    if index < bytes.count && bytes[index] == UInt8(ascii: ".") {
      index += 1
      guard digits() > 0 else { return false }
    }
    if index < bytes.count && bytes[index] | 0x20 == UInt8(ascii: "e") {
      index += 1
      if index < bytes.count && (bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-")) { index += 1 }
      guard digits() > 0 else { return false }
    }
    return index == bytes.count
  }

  /// The bytes as UTF-8, or if they are not that as Latin-1, in which every byte is the character of its number.
  static func decode(_ bytes: UnsafeRawBufferPointer) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    var text = ""
    for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
    return text
  }

  /// At most 60 characters of the bytes, for error messages.
  static func excerpt(_ bytes: UnsafeRawBufferPointer) -> String {
    let text = decode(UnsafeRawBufferPointer(rebasing: bytes.prefix(60)))
    return bytes.count > 60 ? "\"\(text)…\"" : "\"\(text)\""
  }
}

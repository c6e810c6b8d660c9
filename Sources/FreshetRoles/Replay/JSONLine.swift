/// Checks a line of JSON lines and finds members of its object, without building a tree.
///
/// The whole line is checked (RFC 8259, nesting up to 64), so that what is sent on is JSON. Names are compared as they
/// stand; a name written with escapes is not found.
struct JSONLine {
  enum Outcome {
    /// For each name its value's bytes, quotes of strings included; the last one if a name stands twice.
    case members([Range<Int>?])
    case malformed(String)
  }

  private struct Malformed: Error { let reason: String }

  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  private var depth = 0

  static func find(_ names: [String], in line: UnsafeRawBufferPointer) -> Outcome {
    var scan = JSONLine(bytes: line)
    do {
      return .members(try scan.object(names))
    } catch {
      return .malformed("\(error.reason) at byte \(scan.position)")
    }
  }

  /// The text of a string's bytes, without quotes and escapes, or of any other value as it stands.
  static func text(of value: UnsafeRawBufferPointer) -> String {
    guard value.first == UInt8(ascii: "\"") else { return String(decoding: value, as: UTF8.self) }
    var units: [UInt16] = []
    var scalars = String(decoding: value.dropFirst().dropLast(), as: UTF8.self).utf16.makeIterator()
    while let unit = scalars.next() {
      guard unit == 0x5c, let escape = scalars.next() else {
        units.append(unit)
        continue
      }
      switch UInt8(truncatingIfNeeded: escape) {
      case UInt8(ascii: "b"): units.append(8)
      case UInt8(ascii: "f"): units.append(12)
      case UInt8(ascii: "n"): units.append(10)
      case UInt8(ascii: "r"): units.append(13)
      case UInt8(ascii: "t"): units.append(9)
      case UInt8(ascii: "u"):
        var code: UInt16 = 0
        for _ in 0..<4 { code = code << 4 | UInt16(Self.hexDigit(scalars.next() ?? 0) ?? 0) }
        units.append(code)
      default: units.append(escape)
      }
    }
    return String(decoding: units, as: UTF16.self)
  }

  private static func hexDigit(_ unit: UInt16) -> UInt8? {
    switch unit {
    case 0x30...0x39: UInt8(unit - 0x30)
    case 0x41...0x46: UInt8(unit - 0x37)
    case 0x61...0x66: UInt8(unit - 0x57)
    default: nil
    }
  }

  private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d { position += 1 }
  }

  private mutating func expect(_ byte: Unicode.Scalar) throws(Malformed) {
    guard current == UInt8(ascii: byte) else { throw Malformed(reason: "\"\(byte)\" expected") }
    position += 1
  }

  /// The line's outermost object.
  private mutating func object(_ names: [String]) throws(Malformed) -> [Range<Int>?] {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw Malformed(reason: "not UTF-8") }
    var found = [Range<Int>?](repeating: nil, count: names.count)
    skipSpace()
    try expect("{")
    depth = 1
    try members { name, value in
      for (index, wanted) in names.enumerated() where name.elementsEqual(wanted.utf8) { found[index] = value }
    }
    skipSpace()
    guard position == bytes.count else { throw Malformed(reason: "text after the object") }
    return found
  }

  /// What follows `{`, up to and with `}`.
  private mutating func members(_ visit: (UnsafeRawBufferPointer, Range<Int>) -> Void) throws(Malformed) {
    skipSpace()
    if current == UInt8(ascii: "}") {
      position += 1
      return
    }
    while true {
      skipSpace()
      let nameStart = position + 1
      try string()
      let name = UnsafeRawBufferPointer(rebasing: bytes[nameStart..<position - 1])
      skipSpace()
      try expect(":")
      skipSpace()
      let valueStart = position
      try value()
      visit(name, valueStart..<position)
      skipSpace()
      if current == UInt8(ascii: "}") {
        position += 1
        return
      }
      try expect(",")
    }
  }

  private mutating func value() throws(Malformed) {
    guard let byte = current else { throw Malformed(reason: "a value expected") }
    switch byte {
    case UInt8(ascii: "\""): try string()
    case UInt8(ascii: "{"):
      position += 1
      try nested { (scan) throws(Malformed) in try scan.members { _, _ in } }
    case UInt8(ascii: "["):
      position += 1
      try nested { (scan) throws(Malformed) in try scan.elements() }
    case UInt8(ascii: "t"): try literal("true")
    case UInt8(ascii: "f"): try literal("false")
    case UInt8(ascii: "n"): try literal("null")
    default: try number()
    }
  }

  private mutating func nested(_ body: (inout JSONLine) throws(Malformed) -> Void) throws(Malformed) {
    guard depth < 64 else { throw Malformed(reason: "nested more than 64 deep") }
    depth += 1
    try body(&self)
    depth -= 1
  }

  /// What follows `[`, up to and with `]`.
  private mutating func elements() throws(Malformed) {
    skipSpace()
    if current == UInt8(ascii: "]") {
      position += 1
      return
    }
    while true {
      skipSpace()
      try value()
      skipSpace()
      if current == UInt8(ascii: "]") {
        position += 1
        return
      }
      try expect(",")
    }
  }

  private mutating func string() throws(Malformed) {
    try expect("\"")
    while let byte = current {
      position += 1
      if byte == UInt8(ascii: "\"") { return }
      if byte < 0x20 { throw Malformed(reason: "a control character in a string") }
      guard byte == UInt8(ascii: "\\") else { continue }
      guard let escape = current else { break }
      position += 1
      switch escape {
      case UInt8(ascii: "u"):
        for _ in 0..<4 {
          guard let digit = current, Self.hexDigit(UInt16(digit)) != nil else {
            throw Malformed(reason: "four hexadecimal digits expected")
          }
          position += 1
        }
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
        UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
        break
      default: throw Malformed(reason: "an unknown escape in a string")
      }
    }
    throw Malformed(reason: "a string without end")
  }

  private mutating func literal(_ text: StaticString) throws(Malformed) {
    let end = position + text.utf8CodeUnitCount
    guard end <= bytes.count, bytes[position..<end].elementsEqual(String(describing: text).utf8) else {
      throw Malformed(reason: "a value expected")
    }
    position = end
  }

  private mutating func number() throws(Malformed) {
    let start = position
    while let byte = current, !" \t\r\n,]}".utf8.contains(byte) { position += 1 }
    guard FieldText.isJSONNumber(UnsafeRawBufferPointer(rebasing: bytes[start..<position])) else {
      position = start
      throw Malformed(reason: "a value expected")
    }
  }
}

/// Checks that bytes are one JSON value (RFC 8259, UTF-8) and takes out the space between its tokens, so that it fits in a line.
///
/// Numbers and strings stay as they were written. Bounded: values may be nested `maximumDepth` deep.
struct JSONCompactor {
  static let maximumDepth = 256

  private var output: [UInt8] = []
  private var input = UnsafeRawBufferPointer(start: nil, count: 0)
  private var position = 0

  /// nil if the bytes are not JSON.
  mutating func compact(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
    output.removeAll(keepingCapacity: true)
    input = bytes
    position = 0
    defer { input = UnsafeRawBufferPointer(start: nil, count: 0) }
    guard value(depth: 0) else { return nil }
    skipSpace()
    return position == bytes.count ? output : nil
  }

  private var peek: UInt8? { position < input.count ? input[position] : nil }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    output.append(byte)
    position += 1
    return true
  }

  private mutating func take(word: StaticString) -> Bool {
    word.withUTF8Buffer { word in
      guard position + word.count <= input.count, input[position..<position + word.count].elementsEqual(word) else {
        return false
      }
      output += word
      position += word.count
      return true
    }
  }

  private mutating func value(depth: Int) -> Bool {
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"): return depth < Self.maximumDepth && members(depth: depth + 1, "{", "}", haveNames: true)
    case UInt8(ascii: "["): return depth < Self.maximumDepth && members(depth: depth + 1, "[", "]", haveNames: false)
    case UInt8(ascii: "\""): return string()
    case UInt8(ascii: "t"): return take(word: "true")
    case UInt8(ascii: "f"): return take(word: "false")
    case UInt8(ascii: "n"): return take(word: "null")
    default: return number()
    }
  }

  private mutating func members(
    depth: Int, _ open: Unicode.Scalar, _ close: Unicode.Scalar, haveNames: Bool
  ) -> Bool {
    guard take(UInt8(ascii: open)) else { return false }
    skipSpace()
    if take(UInt8(ascii: close)) { return true }
    repeat {
      if haveNames {
        skipSpace()
        guard string() else { return false }
        skipSpace()
        guard take(UInt8(ascii: ":")) else { return false }
      }
      guard value(depth: depth) else { return false }
      skipSpace()
    } while take(UInt8(ascii: ","))
    return take(UInt8(ascii: close))
  }

  private mutating func string() -> Bool {
    let start = position
    guard peek == UInt8(ascii: "\"") else { return false }
    position += 1
    while let byte = peek {
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        output += input[start..<position]
        return true
      case UInt8(ascii: "\\"):
        guard let escaped = peek else { return false }
        position += 1
        switch escaped {
        case UInt8(ascii: "u"):
          guard position + 4 <= input.count, input[position..<position + 4].allSatisfy(Self.isHexadecimal) else {
            return false
          }
          position += 4
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
          UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
          break
        default: return false
        }
      case 0..<0x20: return false
      default: break
      }
    }
    return false
  }

  private mutating func number() -> Bool {
    let start = position
    if peek == UInt8(ascii: "-") { position += 1 }
    if peek == UInt8(ascii: "0") {
      position += 1
    } else {
      guard digits() else { return false }
    }
    if peek == UInt8(ascii: ".") {
      position += 1
      guard digits() else { return false }
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      position += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
      guard digits() else { return false }
    }
    output += input[start..<position]
    return true
  }

  private mutating func digits() -> Bool {
    let start = position
    while let byte = peek, (0x30...0x39).contains(byte) { position += 1 }
    return position > start
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
  }
}

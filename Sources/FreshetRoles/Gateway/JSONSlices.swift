import FreshetCore

/// Finds where values of a JSON text begin and end, so that they can be sent on as they came. It checks no more than it needs for
/// that: what a slice holds is to be parsed by whoever uses it.
struct JSONSlices {
  private let bytes: UnsafeRawBufferPointer
  private(set) var position: Int
  private let end: Int

  init(_ bytes: UnsafeRawBufferPointer, in range: Range<Int>? = nil) {
    self.bytes = bytes
    position = range?.lowerBound ?? 0
    end = range?.upperBound ?? bytes.count
  }

  /// The next byte that is no space; nil at the end.
  mutating func peek() -> UInt8? {
    while position < end, bytes[position] == 0x20 || (0x09...0x0d).contains(bytes[position]) { position += 1 }
    return position < end ? bytes[position] : nil
  }

  /// Steps over a byte if it is the next one.
  mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard peek() == UInt8(ascii: byte) else { return false }
    position += 1
    return true
  }

  /// Steps over a value.
  /// - Returns: Where it is; nil if there is none, or it does not end.
  mutating func value() -> Range<Int>? {
    guard let first = peek() else { return nil }
    let start = position
    switch first {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      var depth = 0
      repeat {
        guard position < end else { return nil }
        switch bytes[position] {
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
        case UInt8(ascii: "\""):
          guard string() else { return nil }
          continue
        default: break
        }
        position += 1
      } while depth > 0
    case UInt8(ascii: "\""):
      guard string() else { return nil }
    default:
      while position < end, !" \t\r\n,:]}".utf8.contains(bytes[position]) { position += 1 }
      guard position > start else { return nil }
    }
    return start..<position
  }

  private mutating func string() -> Bool {
    position += 1
    while position < end {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        position += 1
        return true
      case UInt8(ascii: "\\"): position += 2
      default: position += 1
      }
    }
    return false
  }

  /// Steps over a list.
  /// - Returns: Its elements; nil if it is none, or does not end.
  mutating func elements() -> [Range<Int>]? {
    guard take("[") else { return nil }
    var elements: [Range<Int>] = []
    if take("]") { return elements }
    while let element = value() {
      elements.append(element)
      if take("]") { return elements }
      guard take(",") else { return nil }
    }
    return nil
  }

  /// Steps over an object.
  /// - Returns: The values of its members in their order; nil if it is none, or does not end.
  mutating func memberValues() -> [Range<Int>]? {
    guard take("{") else { return nil }
    var values: [Range<Int>] = []
    if take("}") { return values }
    while value() != nil, take(":"), let value = value() {
      values.append(value)
      if take("}") { return values }
      guard take(",") else { return nil }
    }
    return nil
  }
}

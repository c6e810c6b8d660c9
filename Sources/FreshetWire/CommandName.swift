/// A command's name or a keyword: 1 to 16 printable ASCII characters, kept in upper case.
public struct CommandName: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
  private let high: UInt64
  private let low: UInt64

  /// A number that few names share; the same in every run.
  public var spread: UInt64 { (low ^ (high &<< 1)) &* 0x9e37_79b9_7f4a_7c15 &>> 40 }

  /// nil for bytes that no command's name can be.
  @inline(__always)
  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 1, bytes.count <= 16 else { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    for byte in bytes {
      guard byte > 32, byte < 127 else { return nil }
      let upper = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") ? byte &- 32 : byte
      high = high << 8 | low >> 56
      low = low << 8 | UInt64(upper)
    }
    self.high = high
    self.low = low
  }

  public init?(text: String) {
    var text = text
    guard let name = text.withUTF8({ CommandName(UnsafeRawBufferPointer($0)) }) else { return nil }
    self = name
  }

  /// - Precondition: The literal is a legal name.
  public init(stringLiteral literal: StaticString) {
    guard let name = CommandName(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    else { preconditionFailure("not a command's name: \(literal)") }
    self = name
  }

  /// In upper case.
  public var text: String {
    var characters: [UInt8] = []
    for word in [high, low] {
      for shift in stride(from: UInt64(56), through: 0, by: -8) {
        let byte = UInt8(truncatingIfNeeded: word >> shift)
        if byte != 0 { characters.append(byte) }
      }
    }
    return String(decoding: characters, as: UTF8.self)
  }

  public var description: String { text }
}

import NIOCore

/// Writes one JSON value into a buffer. The caller opens and closes objects and arrays; commas come by themselves.
public struct JSONWriter: Sendable {
  public private(set) var buffer = ByteBuffer()
  /// Whether a value precedes in the same object or array.
  private var needsComma = false

  public init() {}

  public mutating func beginObject() { open("{") }
  public mutating func endObject() { close("}") }
  public mutating func beginArray() { open("[") }
  public mutating func endArray() { close("]") }

  /// A member's name; its value comes next.
  public mutating func key(_ name: String) {
    write(name)
    buffer.writeInteger(UInt8(ascii: ":"))
    needsComma = false
  }

  public mutating func write(_ text: String) {
    var text = text
    text.withUTF8 { write(text: UnsafeRawBufferPointer($0)) }
  }

  /// - Parameter text: UTF-8.
  public mutating func write(text: UnsafeRawBufferPointer) {
    begin()
    buffer.writeInteger(UInt8(ascii: "\""))
    var start = 0
    for (position, byte) in text.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5c {
      buffer.writeBytes(UnsafeRawBufferPointer(rebasing: text[start..<position]))
      buffer.writeString(Self.escape(byte))
      start = position + 1
    }
    buffer.writeBytes(UnsafeRawBufferPointer(rebasing: text[start...]))
    buffer.writeInteger(UInt8(ascii: "\""))
  }

  public mutating func write(_ value: some BinaryInteger) { raw(String(value)) }

  /// The shortest text that reads back as the same double; `null` for what JSON has no number for.
  public mutating func write(_ value: Double) { raw(value.isFinite ? value.description : "null") }

  public mutating func write(_ value: Bool) { raw(value ? "true" : "false") }

  public mutating func writeNull() { raw("null") }

  /// - Parameter json: One complete value.
  public mutating func write(json: ByteBuffer) {
    begin()
    buffer.writeImmutableBuffer(json)
  }

  private mutating func raw(_ text: String) {
    begin()
    buffer.writeString(text)
  }

  private mutating func begin() {
    if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
    needsComma = true
  }

  private mutating func open(_ bracket: Unicode.Scalar) {
    begin()
    buffer.writeInteger(UInt8(ascii: bracket))
    needsComma = false
  }

  private mutating func close(_ bracket: Unicode.Scalar) {
    buffer.writeInteger(UInt8(ascii: bracket))
    needsComma = true
  }

  private static func escape(_ byte: UInt8) -> String {
    switch byte {
    case 0x22: "\\\""
    case 0x5c: "\\\\"
    case 0x0a: "\\n"
    case 0x0d: "\\r"
    case 0x09: "\\t"
    default: "\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
  }
}

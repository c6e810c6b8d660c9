import NIOCore

/// The protocol version of a connection: 2 until `HELLO 3`.
public enum RESPVersion: Int, Sendable {
  case v2 = 2
  case v3 = 3
}

/// Appends RESP values to one outbound buffer.
///
/// In RESP2 doubles are bulk strings, booleans 0 and 1, maps flat arrays, and null is `$-1`. Carriage returns and line
/// feeds inside simple strings and errors become spaces: they would end the value.
public struct RESPEncoder: Sendable {
  public var buffer: ByteBuffer
  public var version: RESPVersion

  public init(buffer: ByteBuffer, version: RESPVersion) {
    self.buffer = buffer
    self.version = version
  }

  public mutating func write(_ value: RESPValue) {
    switch value {
    case .simpleString(let text): writeSimpleString(text)
    case .error(let error): writeError(error)
    case .integer(let value): writeInteger(value)
    case .bulk(let bytes): writeBulk(bytes)
    case .null: writeNull()
    case .array(let values):
      writeArrayHeader(count: values.count)
      for value in values { write(value) }
    case .double(let value): writeDouble(value)
    case .boolean(let value): writeBoolean(value)
    case .map(let entries):
      writeMapHeader(count: entries.count)
      for entry in entries {
        write(entry.key)
        write(entry.value)
      }
    case .push(let values):
      writeHeader(version == .v3 ? ">" : "*", values.count)
      for value in values { write(value) }
    case .verbatim(let format, let bytes): writeVerbatim(format: format, bytes)
    case .bigNumber(let digits):
      if version == .v3 {
        writeLine("(", digits)
      } else {
        writeBulk(digits)
      }
    }
  }

  public mutating func writeSimpleString(_ text: String) { writeLine("+", text) }

  public mutating func writeError(_ error: WireError) {
    writeLine("-", error.message.isEmpty ? error.code : "\(error.code) \(error.message)")
  }

  public mutating func writeInteger(_ value: Int64) { writeHeader(":", value) }

  public mutating func writeNull() { buffer.writeStaticString(version == .v3 ? "_\r\n" : "$-1\r\n") }

  public mutating func writeBoolean(_ value: Bool) {
    if version == .v3 {
      buffer.writeStaticString(value ? "#t\r\n" : "#f\r\n")
    } else {
      writeInteger(value ? 1 : 0)
    }
  }

  /// The shortest text that reads back as the same double.
  public mutating func writeDouble(_ value: Double) {
    var text = value.description
    text.withUTF8 { digits in
      let digits = RESPText.withoutEmptyFraction(digits)
      let isBulk = version == .v2
      buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: digits.count + 8) { bytes in
        var count = 1
        bytes[0] = isBulk ? UInt8(ascii: "$") : UInt8(ascii: ",")
        if isBulk {
          // The longest double has 24 characters.
          if digits.count > 9 {
            bytes[1] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digits.count / 10)
            count = 2
          }
          bytes[count] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digits.count % 10)
          bytes[count + 1] = RESPText.carriageReturn
          bytes[count + 2] = RESPText.lineFeed
          count += 3
        }
        UnsafeMutableRawBufferPointer(rebasing: bytes[count...]).copyBytes(from: digits)
        count += digits.count
        bytes[count] = RESPText.carriageReturn
        bytes[count + 1] = RESPText.lineFeed
        return count + 2
      }
    }
  }

  /// `count` values must follow.
  public mutating func writeArrayHeader(count: Int) { writeHeader("*", count) }

  /// `count` pairs of key and value must follow.
  public mutating func writeMapHeader(count: Int) {
    if version == .v3 {
      writeHeader("%", count)
    } else {
      writeHeader("*", count * 2)
    }
  }

  private mutating func writeVerbatim(format: String, _ bytes: ByteBuffer) {
    guard version == .v3 else { return writeBulk(bytes) }
    writeHeader("=", bytes.readableBytes + 4)
    buffer.writeString(format)
    buffer.writeStaticString(":")
    buffer.writeImmutableBuffer(bytes)
    writeLineEnd()
  }
}

// MARK: - Bulk strings

extension RESPEncoder {
  public mutating func writeBulk(_ bytes: ByteBuffer) {
    writeHeader("$", bytes.readableBytes)
    buffer.writeImmutableBuffer(bytes)
    writeLineEnd()
  }

  public mutating func writeBulk(_ text: String) {
    writeHeader("$", text.utf8.count)
    buffer.writeString(text)
    writeLineEnd()
  }

  public mutating func writeBulk(_ bytes: UnsafeRawBufferPointer) {
    writeHeader("$", bytes.count)
    buffer.writeBytes(bytes)
    writeLineEnd()
  }

  /// A bulk string of known length, which `fill` writes in place.
  /// - Parameter fill: Must write all `count` bytes: they are not zeroed.
  public mutating func writeBulk(count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
    writeHeader("$", count)
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
      fill(UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]))
      return count
    }
    writeLineEnd()
  }

  /// A bulk string that `append` writes at the end of the outbound buffer.
  ///
  /// - Parameters:
  ///   - estimatedCount: The length that is expected; the bytes are moved only if the true length has another number of
  ///     digits.
  ///   - append: Must only append.
  public mutating func writeBulk(estimatedCount: Int, _ append: (inout ByteBuffer) -> Void) {
    let header = buffer.writerIndex
    writeHeader("$", estimatedCount)
    let content = buffer.writerIndex
    append(&buffer)
    let count = buffer.writerIndex - content
    precondition(count >= 0, "the outbound buffer may only be appended to")
    if count != estimatedCount { rewriteHeader(at: header, content: content, count: count) }
    writeLineEnd()
  }

  private mutating func rewriteHeader(at header: Int, content: Int, count: Int) {
    var fresh = RESPEncoder(buffer: ByteBuffer(), version: version)
    fresh.writeHeader("$", count)
    let shift = fresh.buffer.readableBytes - (content - header)
    if shift > 0 { buffer.writeRepeatingByte(0, count: shift) }
    if shift != 0 {
      buffer.withVeryUnsafeMutableBytes { bytes in
        guard let base = bytes.baseAddress, count > 0 else { return }
        let source = UnsafeRawBufferPointer(start: base + content, count: count)
        UnsafeMutableRawBufferPointer(start: base + content + shift, count: count).copyMemory(from: source)
      }
    }
    if shift < 0 { buffer.moveWriterIndex(to: buffer.writerIndex + shift) }
    buffer.setBuffer(fresh.buffer, at: header)
  }
}

// MARK: - Requests

extension RESPEncoder {
  /// Begins a request; `argumentCount` bulk strings must follow.
  public mutating func writeCommand(_ name: String, argumentCount: Int) {
    writeArrayHeader(count: argumentCount + 1)
    writeBulk(name)
  }

  /// A whole request of texts, the first of which is the command's name.
  public mutating func writeCommand(_ words: [String]) {
    writeArrayHeader(count: words.count)
    for word in words { writeBulk(word) }
  }

  /// A decimal integer as a bulk string, as requests carry numbers.
  public mutating func writeBulk(decimal value: some BinaryInteger) { writeBulk(String(value)) }
}

// MARK: - Lines

extension RESPEncoder {
  private mutating func writeLineEnd() { buffer.writeInteger(UInt16(0x0d0a)) }

  private mutating func writeLine(_ type: Unicode.Scalar, _ text: String) {
    buffer.writeInteger(UInt8(ascii: type))
    if text.utf8.contains(where: { $0 == RESPText.carriageReturn || $0 == RESPText.lineFeed }) {
      buffer.writeBytes(text.utf8.map { $0 == RESPText.carriageReturn || $0 == RESPText.lineFeed ? 32 : $0 })
    } else {
      buffer.writeString(text)
    }
    writeLineEnd()
  }

  /// A type's character, an integer and CRLF.
  @inline(__always)
  private mutating func writeHeader(_ type: Unicode.Scalar, _ value: some FixedWidthInteger & SignedInteger) {
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 24) { bytes in
      bytes[0] = UInt8(ascii: type)
      var count = 1
      if value < 0 {
        bytes[count] = UInt8(ascii: "-")
        count += 1
      }
      var rest = UInt64(value.magnitude)
      var digits = 1
      var power: UInt64 = 10
      while digits < 19, rest >= power {
        digits += 1
        power &*= 10
      }
      for position in stride(from: count + digits - 1, through: count, by: -1) {
        bytes[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      }
      count += digits
      bytes[count] = RESPText.carriageReturn
      bytes[count + 1] = RESPText.lineFeed
      return count + 2
    }
  }
}

import NIOCore

/// Splits an inline request into words, with the quoting that redis-cli and Redis know: `"…"` with the escapes
/// `\n \r \t \b \a \\ \" \xHH`, and `'…'` with `\'`.
enum InlineWords {
  /// nil if quotes do not balance, or something follows a closing quote.
  static func split(_ line: UnsafeRawBufferPointer) -> RESPRequest? {
    var words = Words()
    var position = 0
    while true {
      while position < line.count, isSpace(line[position]) { position += 1 }
      guard position < line.count else { break }
      words.begin()
      guard let end = word(line, from: position, into: &words) else { return nil }
      words.end()
      position = end
    }
    return RESPRequest(frame: words.frame, ranges: words.ranges)
  }

  private struct Words {
    var frame = ByteBuffer()
    var ranges = ArgumentRanges()
    private var start = 0
    mutating func begin() { start = frame.writerIndex }
    mutating func append(_ byte: UInt8) { frame.writeInteger(byte) }
    mutating func end() { ranges.append(start: start, count: frame.writerIndex - start) }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) || byte == 0 }

  /// Reads one word; returns the position behind it.
  private static func word(_ line: UnsafeRawBufferPointer, from start: Int, into words: inout Words) -> Int? {
    var position = start
    while position < line.count, !isSpace(line[position]) {
      let byte = line[position]
      guard byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") else {
        words.append(byte)
        position += 1
        continue
      }
      guard let end = quotedPart(line, from: position + 1, quote: byte, into: &words) else { return nil }
      guard end == line.count || isSpace(line[end]) else { return nil }
      return end
    }
    return position
  }

  private static func quotedPart(
    _ line: UnsafeRawBufferPointer, from start: Int, quote: UInt8, into words: inout Words
  ) -> Int? {
    var position = start
    while position < line.count {
      let byte = line[position]
      if byte == quote { return position + 1 }
      if byte == UInt8(ascii: "\\"), position + 1 < line.count {
        if quote == UInt8(ascii: "'") {
          let isEscape = line[position + 1] == quote
          words.append(isEscape ? quote : byte)
          position += isEscape ? 2 : 1
        } else {
          position = escape(line, at: position, into: &words)
        }
      } else {
        words.append(byte)
        position += 1
      }
    }
    return nil
  }

  /// Reads a backslash and what it escapes; returns the position behind them.
  private static func escape(_ line: UnsafeRawBufferPointer, at position: Int, into words: inout Words) -> Int {
    let next = line[position + 1]
    if next == UInt8(ascii: "x"), position + 3 < line.count,
      let high = hexDigit(line[position + 2]), let low = hexDigit(line[position + 3])
    {
      words.append(high << 4 | low)
      return position + 4
    }
    switch next {
    case UInt8(ascii: "n"): words.append(10)
    case UInt8(ascii: "r"): words.append(13)
    case UInt8(ascii: "t"): words.append(9)
    case UInt8(ascii: "b"): words.append(8)
    case UInt8(ascii: "a"): words.append(7)
    default: words.append(next)
    }
    return position + 2
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

/// Cuts a line into fields without copying them.
///
/// Dialects: `::` (MovieLens `.dat`; no quoting), comma and tab (RFC 4180 quoting, except that a quoted field ends on
/// its own line: otherwise one stray quote would swallow the rest of the file).
struct FieldCutter {
  enum Dialect: Sendable { case doubleColon, comma, tab }

  struct Field {
    var start: Int
    var end: Int
    /// The field stood in quotes, which `start..<end` leaves out, and may hold doubled quotes.
    var isQuoted: Bool
  }

  let dialect: Dialect
  /// The fields of the line that was cut last.
  private(set) var fields: [Field] = []

  init(_ dialect: Dialect) {
    self.dialect = dialect
    fields.reserveCapacity(16)
  }

  var count: Int { fields.count }

  /// - Returns: What is wrong with the line, or nil.
  mutating func cut(_ line: UnsafeRawBufferPointer) -> String? {
    fields.removeAll(keepingCapacity: true)
    switch dialect {
    case .doubleColon:
      cutAtDoubleColons(line)
      return nil
    case .comma: return cutQuoted(line, separator: UInt8(ascii: ","))
    case .tab: return cutQuoted(line, separator: 0x09)
    }
  }

  func bytes(_ index: Int, of line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: line[fields[index].start..<fields[index].end])
  }

  /// The field's text: UTF-8 if its bytes are that, else Latin-1 (MovieLens' older files); doubled quotes are single.
  func text(_ index: Int, of line: UnsafeRawBufferPointer) -> String {
    let text = FieldText.decode(bytes(index, of: line))
    guard fields[index].isQuoted else { return text }
    var single = ""
    var isSecondOfPair = false
    for scalar in text.unicodeScalars {
      if scalar == "\"" && !isSecondOfPair {
        isSecondOfPair = true
        continue
      }
      isSecondOfPair = false
      single.unicodeScalars.append(scalar)
    }
    return single
  }

  private mutating func cutAtDoubleColons(_ line: UnsafeRawBufferPointer) {
    let colon = UInt8(ascii: ":")
    var start = 0
    var position = 0
    while position + 1 < line.count {
      if line[position] == colon && line[position + 1] == colon {
        fields.append(Field(start: start, end: position, isQuoted: false))
        position += 2
        start = position
      } else {
        position += 1
      }
    }
    fields.append(Field(start: start, end: line.count, isQuoted: false))
  }

  private mutating func cutQuoted(_ line: UnsafeRawBufferPointer, separator: UInt8) -> String? {
    let quote = UInt8(ascii: "\"")
    var position = 0
    while true {
      if position < line.count && line[position] == quote {
        let start = position + 1
        var end = start
        while true {
          while end < line.count && line[end] != quote { end += 1 }
          if end >= line.count { return "a quote opens field \(fields.count + 1) and does not close on this line" }
          guard end + 1 < line.count && line[end + 1] == quote else { break }
          end += 2
        }
        fields.append(Field(start: start, end: end, isQuoted: true))
        position = end + 1
        if position < line.count && line[position] != separator {
          return "text after the closing quote of field \(fields.count)"
        }
      } else {
        let start = position
        while position < line.count && line[position] != separator { position += 1 }
        fields.append(Field(start: start, end: position, isQuoted: false))
      }
      if position >= line.count { return nil }
      position += 1
    }
  }
}

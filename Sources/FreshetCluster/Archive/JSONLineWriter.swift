import FreshetCore

/// Makes a line of JSON of a record: `{"partition":0,"offset":12,"time":1760000000000,"key":"7","value":{…}}`.
///
/// A value that is JSON is taken over without the space between its tokens; other text becomes the string `value_text`, other
/// bytes `value_base64`. A key that is not text becomes `key_base64`. What is null is null.
struct JSONLineWriter {
  private var line: [UInt8] = []
  private var compactor = JSONCompactor()

  /// The line without its line feed.
  mutating func line(_ record: ArchivedRecord, partition: PartitionID) -> [UInt8] {
    line.removeAll(keepingCapacity: true)
    line += "{\"partition\":\(partition),\"offset\":\(record.offset.value),\"time\":\(record.time.milliseconds),".utf8
    if let key = record.key {
      append(text: key, as: "key")
    } else {
      line += "\"key\":null".utf8
    }
    line.append(UInt8(ascii: ","))
    if let value = record.value {
      if let compact = compactor.compact(value) {
        line += "\"value\":".utf8
        line += compact
      } else {
        append(text: value, as: "value", suffix: "_text")
      }
    } else {
      line += "\"value\":null".utf8
    }
    line.append(UInt8(ascii: "}"))
    return line
  }

  private mutating func append(text bytes: UnsafeRawBufferPointer, as name: String, suffix: String = "") {
    if let text = String(validating: bytes, as: UTF8.self) {
      line += "\"\(name)\(suffix)\":".utf8
      JSONText.append(text, to: &line)
    } else {
      line += "\"\(name)_base64\":\"".utf8
      JSONText.append(base64: bytes, to: &line)
      line.append(UInt8(ascii: "\""))
    }
  }
}

/// Strings of JSON.
public enum JSONText {
  /// Appends it in quotation marks, escaped as RFC 8259 demands and no further.
  public static func append(_ text: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        output += [UInt8(ascii: "\\"), byte]
      case 0x0A: output += "\\n".utf8
      case 0x0D: output += "\\r".utf8
      case 0x09: output += "\\t".utf8
      case 0..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        output += "\\u00".utf8
        output += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: output.append(byte)
      }
    }
    output.append(UInt8(ascii: "\""))
  }

  /// RFC 4648, section 4, with padding.
  static func append(base64 bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var index = 0
    while index < bytes.count {
      let count = min(3, bytes.count - index)
      var word = 0
      for offset in 0..<3 { word = word << 8 | (offset < count ? Int(bytes[index + offset]) : 0) }
      for digit in 0..<4 {
        output.append(digit <= count ? alphabet[word >> (18 - 6 * digit) & 63] : UInt8(ascii: "="))
      }
      index += 3
    }
  }
}

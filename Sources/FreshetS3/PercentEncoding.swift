/// URI encoding as Signature Version 4 wants it: every byte but RFC 3986's unreserved ones, with upper-case digits.
enum PercentEncoding {
  static func encode(_ text: String, keepsSlashes: Bool) -> String {
    var encoded: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        encoded.append(byte)
      case UInt8(ascii: "/") where keepsSlashes: encoded.append(byte)
      default: encoded += [UInt8(ascii: "%"), hexDigits[Int(byte >> 4)], hexDigits[Int(byte & 15)]]
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }

  /// `name=value&…` in the order of the encoded names.
  static func query(_ items: [(name: String, value: String)]) -> String {
    items
      .map { (encode($0.name, keepsSlashes: false), encode($0.value, keepsSlashes: false)) }
      .sorted { $0 < $1 }
      .map { "\($0.0)=\($0.1)" }
      .joined(separator: "&")
  }

  private static let hexDigits = Array("0123456789ABCDEF".utf8)
}

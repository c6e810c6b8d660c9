import NIOCore

/// One value of RESP2 or RESP3, as replies carry them.
///
/// Sets are read as arrays, and attributes are skipped.
public enum RESPValue: Hashable, Sendable {
  case simpleString(String)
  case error(WireError)
  case integer(Int64)
  case bulk(ByteBuffer)
  case null
  case array([RESPValue])
  case double(Double)
  case boolean(Bool)
  case map([Entry])
  /// Out-of-band data of RESP3; not a reply to anything.
  case push([RESPValue])
  /// `format` has three characters, `txt` or `mkd`.
  case verbatim(format: String, ByteBuffer)
  /// The digits as they came.
  case bigNumber(String)

  public struct Entry: Hashable, Sendable {
    public let key: RESPValue
    public let value: RESPValue
    public init(key: RESPValue, value: RESPValue) {
      self.key = key
      self.value = value
    }
  }

  public static let ok = RESPValue.simpleString("OK")

  public static func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }
}

extension RESPValue {
  /// The bytes of a bulk or verbatim string, not copied.
  public var buffer: ByteBuffer? {
    switch self {
    case .bulk(let buffer), .verbatim(_, let buffer): buffer
    default: nil
    }
  }

  /// The text of any kind of string; nil for other values.
  public var text: String? {
    switch self {
    case .simpleString(let text), .bigNumber(let text): text
    case .bulk(let buffer), .verbatim(_, let buffer): String(buffer: buffer)
    default: nil
    }
  }

  /// An integer, or a string that is one.
  public var integer: Int64? {
    switch self {
    case .integer(let value): value
    default: text.flatMap(Int64.init)
    }
  }

  /// A double or integer, or a string that is one, as RESP2 sends doubles.
  public var double: Double? {
    switch self {
    case .double(let value): value
    case .integer(let value): Double(value)
    default: text.flatMap(Double.init)
    }
  }

  /// The elements of an array or push.
  public var elements: [RESPValue]? {
    switch self {
    case .array(let values), .push(let values): values
    default: nil
    }
  }

  /// The entries of a map, or of the flat array that RESP2 sends in its place.
  public var entries: [Entry]? {
    switch self {
    case .map(let entries): return entries
    case .array(let values) where values.count.isMultiple(of: 2):
      return stride(from: 0, to: values.count, by: 2).map { Entry(key: values[$0], value: values[$0 + 1]) }
    default: return nil
    }
  }

  /// The value under a key of `entries`.
  public subscript(key: String) -> RESPValue? { entries?.first { $0.key.text == key }?.value }
}

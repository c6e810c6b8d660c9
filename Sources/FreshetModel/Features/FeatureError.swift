import FreshetCore

/// A record that cannot become features.
public struct FeatureError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    case missingField = "missing-field"
    case wrongType = "wrong-type"
    case oversized = "oversized"
  }

  public let kind: Kind
  public let field: String
  public let message: String
  /// What the field must be, a noun phrase; nil where the message is about its size.
  public let expected: String?
  public var code: String { kind.rawValue }

  public init(kind: Kind, field: String, message: String, expected: String? = nil) {
    self.kind = kind
    self.field = field
    self.message = message
    self.expected = expected
  }

  public static func missing(_ field: String, expected: String? = nil) -> FeatureError {
    FeatureError(kind: .missingField, field: field, message: "field `\(field)` is missing", expected: expected)
  }

  /// - Parameter expected: A noun phrase, such as `an integer`.
  public static func wrongType(_ field: String, expected: String, found: String) -> FeatureError {
    let shown = found.count > 80 ? found.prefix(80) + "…" : found[...]
    return FeatureError(
      kind: .wrongType, field: field, message: "field `\(field)` must be \(expected), is \(shown)", expected: expected)
  }
}

extension JSONValue {
  /// The value for an error message, short.
  public var excerpt: String {
    switch kind {
    case .null: "null"
    case .bool: bool ? "true" : "false"
    case .int64: String(int64)
    case .uint64: String(uint64)
    case .double: String(double)
    case .string: "\"" + String(decoding: text.prefix(100), as: UTF8.self) + "\""
    case .array: "an array"
    case .object: "an object"
    }
  }
}

import FreshetModel

/// Why a record cannot be used: the joiner makes a dead letter of it, the gateway refuses it.
public struct Rejection: Error, Sendable, Equatable {
  public let reason: DeadLetterReason
  public let message: String
  /// The field that is to blame; nil if it is the record as a whole.
  public let field: String?
  /// What the field must be, a noun phrase, where that is not a matter of size.
  public let expected: String?

  init(_ reason: DeadLetterReason, _ message: String, field: String? = nil, expected: String? = nil) {
    self.reason = reason
    self.message = message
    self.field = field
    self.expected = expected
  }

  init(_ error: JSONError) {
    self.init(error.kind == .oversized ? .oversized : .malformedJSON, error.message)
  }

  init(_ error: FeatureError) {
    let reason: DeadLetterReason =
      switch error.kind {
      case .missingField: .missingField
      case .wrongType: .wrongType
      case .oversized: .oversized
      }
    self.init(reason, error.message, field: error.field, expected: error.expected)
  }
}

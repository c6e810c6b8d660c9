/// One raw field of the records that features are made of.
public struct FieldSpec: Sendable, Equatable {
  /// What a value must look like, and which canonical text it is hashed as.
  public enum ValueType: String, Sendable, CaseIterable {
    /// A 64-bit signed integer. `12`, `"12"`, `"012"` and `12.0` are one value, `12`.
    case integer
    /// Text, taken as it is (UTF-8). A JSON number or boolean is an error.
    case string
    /// A finite double. Its text is the shortest decimal that reads back as the same double; −0 is 0.
    case float
  }

  /// Where a value comes from.
  public enum Source: Sendable, Hashable {
    /// The `features` record, or the fields of a serving request.
    case request
    /// The item's record in the `items` catalog, found by the model's item key.
    case item
    /// The record of an enrichment, by its position in `ModelSpec.enrichments`, where the `features` record or the serving
    /// request does not say it itself.
    case enrichment(Int)
  }

  /// The JSON key, 1...255 bytes of UTF-8, unique in the model.
  public var name: String
  /// Default: `string`.
  public var type: ValueType
  /// Whether the field holds a list: a JSON array, or text with `|` between the values. Default: false.
  public var multi: Bool
  /// Default: `request`.
  public var source: Source

  public init(name: String, type: ValueType = .string, multi: Bool = false, source: Source = .request) {
    self.name = name
    self.type = type
    self.multi = multi
    self.source = source
  }
}

import FreshetCore

/// Turns raw fields into fids and dense floats; the only code that does, in training and in serving.
///
/// Use: `scratch.reset()`, then fields from JSON (`read`) or text (`set`), then the request's and the item's part
/// (`part`, or `requestPart`/`itemPart` without a copy), then `combine` into a row. Immutable and shared; a scratch
/// belongs to one thread.
public final class FeatureExtractor: Sendable {
  public let spec: ModelSpec
  public let layout: ExampleLayout
  let plan: FeaturePlan
  let table: FieldTable

  public init(_ spec: ModelSpec) throws(SchemaError) {
    try spec.validate()
    self.spec = spec
    layout = ExampleLayout(spec)
    plan = FeaturePlan(spec)
    table = FieldTable(
      spec.fields.enumerated().map { ($1.name, $0) } + [
        (JoinRecord.requestID, FeaturePlan.requestIDField), (JoinRecord.eventTime, FeaturePlan.eventTimeField),
      ])
  }

  public func makeScratch() -> FeatureScratch { FeatureScratch(fieldCount: spec.fields.count) }
  public func makeRow() -> FeatureRow { FeatureRow(spec) }

  /// Which fields of a record count.
  public enum Fields: Sendable {
    /// A `features` record: those of the request, the item key among them, and those of enrichments.
    case request
    /// An `items` record: the item key and those of the item.
    case item
    /// A record of an enrichment: its key and its fields.
    case enrichment(Int)
    /// One field alone.
    case only(Int)
    /// A serving request, which may say everything.
    case all
  }

  /// Takes the fields that the schema names from a JSON object; other keys are skipped, later keys win.
  /// - Throws: The first field with a value that its type does not allow. Null is as good as missing.
  public func read(_ object: JSONValue, _ which: Fields, into scratch: FeatureScratch) throws(FeatureError) {
    guard object.kind == .object else {
      throw .wrongType("(record)", expected: "a JSON object", found: object.excerpt)
    }
    for member in object.children {
      let field = table.find(member.name)
      guard field >= 0 else { continue }
      if field >= FeaturePlan.requestIDField {
        if field == FeaturePlan.requestIDField { scratch.requestID = member } else { scratch.eventTime = member }
        continue
      }
      guard counts(field, which) else { continue }
      try set(field, member, scratch)
    }
  }

  @inline(__always)
  private func counts(_ field: Int, _ which: Fields) -> Bool {
    switch which {
    case .all: true
    case .request: spec.fields[field].source != .item
    case .item: field == spec.itemKey || spec.fields[field].source == .item
    case .enrichment(let position):
      field == spec.enrichments[position].key || spec.fields[field].source == .enrichment(position)
    case .only(let wanted): field == wanted
    }
  }

  /// Takes one field from text, as `field=value` has it. The text of a list has `|` between its values.
  /// - Returns: False if the schema has no such field.
  public func set(
    name: UnsafeRawBufferPointer, text: UnsafeRawBufferPointer, into scratch: FeatureScratch
  ) throws(FeatureError) -> Bool {
    let field = table.find(name)
    guard field >= 0, field < FeaturePlan.requestIDField else { return false }
    scratch.begin(field)
    try setText(field, text, scratch)
    return true
  }

  /// The position of a field among the schema's, −1 if there is none of that name.
  @inline(__always)
  public func field(named name: UnsafeRawBufferPointer) -> Int {
    let field = table.find(name)
    return field < FeaturePlan.requestIDField ? field : -1
  }

  /// Takes one field from text, as `set(name:text:into:)` does.
  public func set(
    field: Int, text: UnsafeRawBufferPointer, into scratch: FeatureScratch
  ) throws(FeatureError) {
    scratch.begin(field)
    try setText(field, text, scratch)
  }

  /// Adds values to those that a field of several values has.
  public func add(
    field: Int, text: UnsafeRawBufferPointer, into scratch: FeatureScratch
  ) throws(FeatureError) {
    scratch.extend(field)
    try setText(field, text, scratch)
  }

  /// The same for `String`s, where speed does not matter.
  public func set(name: String, text: String, into scratch: FeatureScratch) throws(FeatureError) -> Bool {
    var name = name
    var text = text
    let result: Result<Bool, FeatureError> = name.withUTF8 { name in
      text.withUTF8 { text in
        Result { () throws(FeatureError) in
          try set(name: UnsafeRawBufferPointer(name), text: UnsafeRawBufferPointer(text), into: scratch)
        }
      }
    }
    return try result.get()
  }

  /// The canonical text of a field's first value, valid until the scratch changes; nil if it is missing.
  public func text(of field: Int, in scratch: FeatureScratch) -> UnsafeBufferPointer<UInt8>? {
    let range = scratch.fields[field]
    guard range.count > 0 else { return nil }
    return scratch.text(scratch.values[Int(range.first)])
  }
}

extension FeatureExtractor {
  func set(_ field: Int, _ value: JSONValue, _ scratch: FeatureScratch) throws(FeatureError) {
    scratch.begin(field)
    switch value.kind {
    case .null: return
    case .string: try setText(field, value.text, scratch)
    case .array where spec.fields[field].multi:
      for element in value.children {
        switch element.kind {
        case .null: continue
        case .string: try add(field, text: element.text, scratch)
        default: try add(field, scalar: element, scratch)
        }
      }
    default: try add(field, scalar: value, scratch)
    }
  }

  private func setText(_ field: Int, _ text: UnsafeRawBufferPointer, _ scratch: FeatureScratch) throws(FeatureError) {
    guard spec.fields[field].multi else { return try add(field, text: text, scratch) }
    guard !text.isEmpty else { return }
    var start = 0
    for index in 0...text.count where index == text.count || text[index] == UInt8(ascii: "|") {
      try add(field, text: UnsafeRawBufferPointer(rebasing: text[start..<index]), scratch)
      start = index + 1
    }
  }

  @inline(__always)
  private func checkCount(_ field: Int, _ scratch: FeatureScratch) throws(FeatureError) {
    guard scratch.fields[field].count < ModelSpec.Limits.fidsPerSlot else {
      let name = spec.fields[field].name
      throw FeatureError(
        kind: .oversized, field: name,
        message: "field `\(name)` has more than \(ModelSpec.Limits.fidsPerSlot) values")
    }
  }

  private func add(
    _ field: Int, text: UnsafeRawBufferPointer, _ scratch: FeatureScratch
  ) throws(FeatureError) {
    try checkCount(field, scratch)
    switch spec.fields[field].type {
    case .string:
      guard text.count <= ModelSpec.Limits.valueBytes else {
        let name = spec.fields[field].name
        throw FeatureError(
          kind: .oversized, field: name,
          message: "field `\(name)` has \(text.count) bytes, at most \(ModelSpec.Limits.valueBytes) are allowed")
      }
      let destination = scratch.reserve(text.count)
      if let source = text.baseAddress {
        UnsafeMutableRawPointer(destination).copyMemory(from: source, byteCount: text.count)
      }
      scratch.add(field, count: text.count, number: 0)
    case .integer:
      guard let value = CanonicalText.integer(text) else { throw wrongType(field, "\"" + Self.shown(text) + "\"") }
      add(field, integer: value, scratch)
    case .float:
      guard let value = CanonicalText.float(text) else { throw wrongType(field, "\"" + Self.shown(text) + "\"") }
      add(field, float: value, scratch)
    }
  }

  private func add(_ field: Int, scalar: JSONValue, _ scratch: FeatureScratch) throws(FeatureError) {
    try checkCount(field, scratch)
    switch (spec.fields[field].type, scalar.kind) {
    case (.integer, .int64): add(field, integer: scalar.int64, scratch)
    case (.integer, .double):
      guard let value = Int64(exactly: scalar.double) else { throw wrongType(field, scalar.excerpt) }
      add(field, integer: value, scratch)
    case (.float, .int64), (.float, .uint64), (.float, .double): add(field, float: scalar.number!, scratch)
    default: throw wrongType(field, scalar.excerpt)
    }
  }

  @inline(__always)
  private func add(_ field: Int, integer value: Int64, _ scratch: FeatureScratch) {
    let count = CanonicalText.write(value, to: scratch.reserve(CanonicalText.integerBytes))
    scratch.add(field, count: count, number: Double(value))
  }

  private func add(_ field: Int, float value: Double, _ scratch: FeatureScratch) {
    guard plan.needsText[field] else { return scratch.add(field, count: 0, number: value) }
    var text = CanonicalText.text(value)
    let count = text.withUTF8 { utf8 in
      scratch.reserve(utf8.count).update(from: utf8.baseAddress!, count: utf8.count)
      return utf8.count
    }
    scratch.add(field, count: count, number: value)
  }

  private func wrongType(_ field: Int, _ found: String) -> FeatureError {
    .wrongType(spec.fields[field].name, expected: expectation(of: field), found: found)
  }

  /// What a field's value must be, a noun phrase.
  public func expectation(of field: Int) -> String {
    let expected =
      switch spec.fields[field].type {
      case .integer: "an integer of 64 bits"
      case .float: "a finite number"
      case .string: "text"
      }
    return spec.fields[field].multi ? expected + " or a list of them" : expected
  }

  private static func shown(_ text: UnsafeRawBufferPointer) -> String {
    String(decoding: text.prefix(100), as: UTF8.self)
  }
}

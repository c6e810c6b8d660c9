import FreshetCore
import FreshetModel
import Testing

/// An extractor with what it needs, taking JSON texts and `field=value` pairs.
struct FeatureBench {
  let extractor: FeatureExtractor
  let scratch: FeatureScratch
  let reader = JSONRecordReader(maxBytes: 1 << 20, maxDepth: 16)

  init(_ spec: ModelSpec) throws {
    extractor = try FeatureExtractor(spec)
    scratch = extractor.makeScratch()
  }

  /// The row of a record that says everything about request and item.
  func row(_ json: String) throws -> FeatureRow {
    scratch.reset()
    try Array(json.utf8).withUnsafeBytes { try extractor.read(try reader.parse($0), .all, into: scratch) }
    return try combined()
  }

  func row(pairs: [(String, String)]) throws -> FeatureRow {
    scratch.reset()
    for (name, text) in pairs { #expect(try extractor.set(name: name, text: text, into: scratch)) }
    return try combined()
  }

  private func combined() throws -> FeatureRow {
    var row = extractor.makeRow()
    let request = try extractor.copyRequestPart(scratch)
    let item = try extractor.copyItemPart(scratch)
    try extractor.combine(request: request, item: item, into: &row, scratch)
    return row
  }

  func fids(_ json: String, slot: Int = 0) throws -> [Fid] { Array(try row(json).fids(slot: slot)) }

  /// The error that a record gives.
  func error(_ json: String) -> FeatureError? {
    do {
      _ = try row(json)
      return nil
    } catch { return error as? FeatureError }
  }
}

/// A model of the given fields with one hashed slot for each, and whatever is changed.
func testModel(_ fields: [FieldSpec], _ change: (inout ModelSpec) -> Void = { _ in }) -> ModelSpec {
  let keys = [FieldSpec(name: "user", type: .integer), FieldSpec(name: "item", type: .integer)]
  let all = fields + keys
  var spec = ModelSpec(
    name: "test", userKey: fields.count, itemKey: fields.count + 1, fields: all,
    slots: all.enumerated().map { SlotSpec(name: $1.name, index: $0, fields: [$0]) },
    tables: [TableSpec(name: "t", dimension: 4)], network: NetworkSpec(kind: .fm),
    tasks: [TaskSpec(name: "t", action: "a")])
  change(&spec)
  return spec
}

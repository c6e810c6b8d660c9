import FreshetCore
import FreshetModel

extension ModelSpec {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    let name = try section.string("name", default: "model")
    let version = try section.int("version", default: 1, in: 1...Int(Int32.max))
    let enrichmentSections = try section.section("enrichments")
    let enrichmentNames = enrichmentSections.keys
    let fieldSections = try section.section("fields")
    var fields: [FieldSpec] = []
    for key in fieldSections.keys {
      let field = try fieldSections.section(key)
      fields.append(
        FieldSpec(
          name: key, type: try field.choice("type", default: .string), multi: try field.bool("multi", default: false),
          source: try Self.source(field, enrichmentNames)))
      try field.finish()
    }
    func position(_ name: String, _ section: YAMLSection, _ key: String) throws(ConfigurationError) -> Int {
      guard let index = fields.firstIndex(where: { $0.name == name }) else {
        throw section.error(
          key, "`\(name)` is not among model.fields" + NearestName.hint(name, among: fields.map(\.name)))
      }
      return index
    }
    var enrichments: [EnrichmentSpec] = []
    for key in enrichmentNames {
      let enrichment = try enrichmentSections.section(key)
      enrichments.append(
        EnrichmentSpec(
          name: key, key: try position(enrichment.string("key"), enrichment, "key"),
          topic: try enrichment.string("topic", default: key)))
      try enrichment.finish()
    }
    let tables = try Self.tables(section.section("tables"))
    let slots = try Self.slots(section.section("slots"), fields: fields, tables: tables)
    let denseSections = try section.section("dense_features")
    var dense: [DenseFeatureSpec] = []
    for key in denseSections.keys {
      let feature = try denseSections.section(key)
      dense.append(
        DenseFeatureSpec(
          name: key, field: try position(feature.string("field", default: key), feature, "field"),
          transform: try Self.denseTransform(feature),
          defaultValue: Float(try feature.double("default", default: 0, in: -1e30...1e30))))
      try feature.finish()
    }
    let network = try Self.network(section.section("network"), slots: slots, tables: tables)
    self.init(
      name: name, userKey: try position(section.string("user_key"), section, "user_key"),
      itemKey: try position(section.string("item_key"), section, "item_key"), fields: fields, slots: slots,
      denseFeatures: dense, tables: tables, network: network, tasks: try Self.tasks(section.section("tasks")),
      audit: try section.bool("audit", default: false))
    self.enrichments = enrichments
    self.version = version
    try section.finish()
  }

  private static func source(
    _ field: YAMLSection, _ enrichments: [String]
  ) throws(ConfigurationError) -> FieldSpec.Source {
    switch try field.string("source", default: "request") {
    case "request": return .request
    case "item": return .item
    case let name:
      guard let position = enrichments.firstIndex(of: name) else {
        throw field.error(
          "source",
          "`\(name)` is none of \((["request", "item"] + enrichments).joined(separator: ", "))"
            + NearestName.hint(name, among: ["request", "item"] + enrichments))
      }
      return .enrichment(position)
    }
  }

  private static func slots(
    _ section: YAMLSection, fields: [FieldSpec], tables: [TableSpec]
  ) throws(ConfigurationError) -> [SlotSpec] {
    var slots: [SlotSpec] = []
    for (index, key) in section.keys.enumerated() {
      let slot = try section.section(key)
      let names = try slot.has("cross") ? slot.strings("cross", default: []) : [slot.string("field", default: key)]
      var positions: [Int] = []
      for name in names {
        guard let position = fields.firstIndex(where: { $0.name == name }) else {
          throw slot.error(
            slot.has("cross") ? "cross" : "field",
            "`\(name)` is not among model.fields" + NearestName.hint(name, among: fields.map(\.name)))
        }
        positions.append(position)
      }
      let tableName = try slot.string("table", default: tables.first?.name ?? "")
      guard let table = tables.firstIndex(where: { $0.name == tableName }) else {
        throw slot.error(
          "table", "`\(tableName)` is not among model.tables" + NearestName.hint(tableName, among: tables.map(\.name)))
      }
      var transform = SlotSpec.Transform.hash
      if slot.has("prefix") { transform = .prefix(characters: try slot.int("prefix", default: 1, in: 1...4096)) }
      if slot.has("boundaries") { transform = .bucketize(boundaries: try slot.doubles("boundaries")) }
      slots.append(
        SlotSpec(
          name: key, index: index, fields: positions, transform: transform, table: table,
          pooling: try slot.choice("pooling", default: positions.contains { fields[$0].multi } ? .mean : .sum),
          maximumLength: try slot.optionalInt("max_length", in: 1...Limits.fidsPerSlot),
          overrides: try overrides(slot)))
      try slot.finish()
    }
    return slots
  }

  private static func denseTransform(
    _ section: YAMLSection
  ) throws(ConfigurationError) -> DenseFeatureSpec.Transform {
    enum Kind: String, CaseIterable { case identity, log1p, standardize }
    switch try section.choice("transform", default: Kind.identity) {
    case .identity: return .identity
    case .log1p: return .log1p
    case .standardize:
      return .standardize(
        mean: try section.double("mean", default: 0, in: -1e30...1e30),
        deviation: try section.double("deviation", default: 1, in: 1e-30...1e30))
    }
  }

  private static func tasks(_ section: YAMLSection) throws(ConfigurationError) -> [TaskSpec] {
    var tasks: [TaskSpec] = []
    for key in section.keys {
      let task = try section.section(key)
      let threshold = try task.optionalDouble("positive_if_at_least")
      let dwell = try task.optionalInt(
        "positive_if_dwell_ms", in: Int(Limits.dwellMilliseconds.lowerBound)...Int(Limits.dwellMilliseconds.upperBound))
      guard threshold == nil || dwell == nil else {
        throw task.error("positive_if_dwell_ms", "stands beside `positive_if_at_least`: a task has one rule")
      }
      tasks.append(
        TaskSpec(
          name: key, action: try task.string("action", default: key),
          positive: threshold.map { .valueAtLeast($0) } ?? dwell.map { .dwellAtLeast(milliseconds: Int64($0)) }
            ?? .presence))
      try task.finish()
    }
    return tasks
  }
}

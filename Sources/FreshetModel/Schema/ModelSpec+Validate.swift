extension ModelSpec {
  /// Throws the first thing that is wrong, with the path of its key.
  public func validate() throws(SchemaError) {
    try requireName(name, at: "name")
    try validateFields()
    try validateEnrichments()
    try validateSlots()
    try validateDenseFeatures()
    try validateTables()
    try validateTasks()
    try validateNetwork()
  }

  private func validateFields() throws(SchemaError) {
    try requireCount(fields.count, in: 1...Limits.fields, at: "fields")
    try requireUnique(fields.map(\.name), at: "fields")
    for (index, field) in fields.enumerated() {
      try requireName(field.name, at: "fields[\(index)].name")
      if JoinRecord.reservedFields.contains(field.name) {
        throw SchemaError(
          path: "fields[\(index)].name", reason: "`\(field.name)` is a key of every record, not a feature")
      }
    }
    for (path, key) in [("user_key", userKey), ("item_key", itemKey)] {
      guard fields.indices.contains(key) else { throw SchemaError(path: path, reason: "names no field") }
      let field = fields[key]
      guard field.source == .request else {
        throw SchemaError(path: path, reason: "`\(field.name)` must be a field of the request")
      }
      guard !field.multi, field.type != .float else {
        throw SchemaError(path: path, reason: "`\(field.name)` must hold one integer or string")
      }
    }
    guard userKey != itemKey else { throw SchemaError(path: "item_key", reason: "is the same field as user_key") }
  }

  private func validateEnrichments() throws(SchemaError) {
    try requireCount(enrichments.count, in: 0...Limits.enrichments, at: "enrichments")
    try requireUnique(enrichments.map(\.name), at: "enrichments")
    for (index, enrichment) in enrichments.enumerated() {
      let path = "enrichments[\(index)]"
      try requireName(enrichment.name, at: path + ".name")
      guard !["request", "item"].contains(enrichment.name) else {
        throw SchemaError(path: path + ".name", reason: "`\(enrichment.name)` is a source of its own")
      }
      guard fields.indices.contains(enrichment.key) else {
        throw SchemaError(path: path + ".key", reason: "names no field")
      }
      let field = fields[enrichment.key]
      guard field.source == .request, !field.multi, field.type != .float else {
        throw SchemaError(
          path: path + ".key", reason: "`\(field.name)` must be a field of the request with one integer or string")
      }
      guard enrichment.key != itemKey else {
        throw SchemaError(path: path + ".key", reason: "is the item key: what is known of items comes from `items`")
      }
    }
    for (index, field) in fields.enumerated() {
      if case .enrichment(let position) = field.source, !enrichments.indices.contains(position) {
        throw SchemaError(path: "fields[\(index)].source", reason: "names no enrichment")
      }
    }
  }

  private func validateSlots() throws(SchemaError) {
    try requireCount(slots.count, in: 1...Limits.slots, at: "slots")
    try requireUnique(slots.map(\.name), at: "slots")
    for (index, slot) in slots.enumerated() {
      let path = "slots[\(index)]"
      try requireName(slot.name, at: path + ".name")
      guard slot.index == index else {
        throw SchemaError(path: path + ".index", reason: "is \(slot.index), its position is \(index)")
      }
      try requireCount(slot.fields.count, in: 1...Limits.fieldsPerCross, at: path + ".fields")
      for field in slot.fields where !fields.indices.contains(field) {
        throw SchemaError(path: path + ".fields", reason: "names no field (\(field))")
      }
      guard Set(slot.fields).count == slot.fields.count else {
        throw SchemaError(path: path + ".fields", reason: "names a field twice")
      }
      guard tables.indices.contains(slot.table) else {
        throw SchemaError(path: path + ".table", reason: "names no table")
      }
      try validate(slot.transform, of: slot, at: path + ".transform")
      if let length = slot.maximumLength {
        try requireCount(length, in: 1...Limits.fidsPerSlot, at: path + ".max_length")
      }
    }
  }

  private func validate(
    _ transform: SlotSpec.Transform, of slot: SlotSpec, at path: String
  ) throws(SchemaError) {
    if slot.isCross, transform != .hash { throw SchemaError(path: path, reason: "a cross can only be hashed") }
    switch transform {
    case .hash: break
    case .prefix(let characters):
      try requireCount(characters, in: 1...Limits.valueBytes, at: path + ".prefix")
    case .bucketize(let boundaries):
      let field = fields[slot.fields[0]]
      guard field.type != .string else {
        throw SchemaError(path: path, reason: "only numbers have buckets, and `\(field.name)` is text")
      }
      try requireCount(boundaries.count, in: 1...Limits.bucketBoundaries, at: path + ".boundaries")
      guard boundaries.allSatisfy(\.isFinite), zip(boundaries, boundaries.dropFirst()).allSatisfy({ $0 < $1 }) else {
        throw SchemaError(path: path + ".boundaries", reason: "must be finite and strictly ascending")
      }
    }
  }

  private func validateDenseFeatures() throws(SchemaError) {
    try requireCount(denseFeatures.count, in: 0...Limits.denseFeatures, at: "dense_features")
    try requireUnique(denseFeatures.map(\.name), at: "dense_features")
    for (index, dense) in denseFeatures.enumerated() {
      let path = "dense_features[\(index)]"
      try requireName(dense.name, at: path + ".name")
      guard fields.indices.contains(dense.field) else {
        throw SchemaError(path: path + ".field", reason: "names no field")
      }
      let field = fields[dense.field]
      guard field.type != .string, !field.multi else {
        throw SchemaError(path: path + ".field", reason: "`\(field.name)` must hold one number")
      }
      if case .standardize(let mean, let deviation) = dense.transform {
        guard mean.isFinite, deviation.isFinite, deviation > 0 else {
          throw SchemaError(path: path + ".transform", reason: "needs a finite mean and a deviation above 0")
        }
      }
      guard dense.defaultValue.isFinite else { throw SchemaError(path: path + ".default", reason: "must be finite") }
    }
  }

  private func validateTasks() throws(SchemaError) {
    try requireCount(tasks.count, in: 1...Limits.tasks, at: "tasks")
    try requireUnique(tasks.map(\.name), at: "tasks")
    for (index, task) in tasks.enumerated() {
      try requireName(task.name, at: "tasks[\(index)].name")
      try requireName(task.action, at: "tasks[\(index)].action")
      switch task.positive {
      case .presence: break
      case .valueAtLeast(let threshold):
        guard threshold.isFinite else {
          throw SchemaError(path: "tasks[\(index)].positive_if_at_least", reason: "must be finite")
        }
      case .dwellAtLeast(let milliseconds):
        guard Limits.dwellMilliseconds.contains(milliseconds) else {
          throw SchemaError(
            path: "tasks[\(index)].positive_if_dwell_ms",
            reason: "\(milliseconds) is outside \(Limits.dwellMilliseconds.lowerBound)..."
              + "\(Limits.dwellMilliseconds.upperBound)")
        }
      }
    }
  }

  func requireName(_ name: String, at path: String) throws(SchemaError) {
    guard !name.isEmpty else { throw SchemaError(path: path, reason: "is empty") }
    guard name.utf8.count <= Limits.nameBytes else {
      throw SchemaError(path: path, reason: "is longer than \(Limits.nameBytes) bytes")
    }
    guard !name.utf8.contains(0) else { throw SchemaError(path: path, reason: "holds a zero byte") }
  }

  func requireCount(_ count: Int, in range: ClosedRange<Int>, at path: String) throws(SchemaError) {
    guard range.contains(count) else {
      throw SchemaError(path: path, reason: "\(count) is outside \(range.lowerBound)...\(range.upperBound)")
    }
  }

  func requireUnique(_ names: [String], at path: String) throws(SchemaError) {
    var seen = Set<String>()
    for (index, name) in names.enumerated() where !seen.insert(name).inserted {
      throw SchemaError(path: "\(path)[\(index)].name", reason: "`\(name)` is used twice")
    }
  }
}

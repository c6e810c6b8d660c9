extension ModelSpec {
  func validateTables() throws(SchemaError) {
    try requireCount(tables.count, in: 1...Limits.tables, at: "tables")
    try requireUnique(tables.map(\.name), at: "tables")
    for (index, table) in tables.enumerated() {
      let path = "tables[\(index)]"
      try requireName(table.name, at: path + ".name")
      try requireCount(table.dimension, in: 0...Limits.dimension, at: path + ".dimension")
      try validate(table.optimizer, at: path + ".optimizer")
      guard table.initialDeviation.isFinite, table.initialDeviation >= 0 else {
        throw SchemaError(path: path + ".initial_deviation", reason: "must be 0 or more")
      }
      try validate(table.admission, at: path + ".admission")
      try validate(
        timeToLiveMinutes: table.timeToLiveMinutes, atLeast: 1, at: path + ".expiry.time_to_live_minutes")
      if let rows = table.maximumRows {
        try requireCount(rows, in: 1...Limits.maximumRows, at: path + ".maximum_rows")
      }
    }
    try validateOverrides()
  }

  /// - Precondition: Slots name tables that exist.
  private func validateOverrides() throws(SchemaError) {
    for (index, slot) in slots.enumerated() {
      let path = "slots[\(index)]"
      if let rate = slot.overrides.learningRate { try requirePositive(rate, at: path + ".learning_rate") }
      if let admission = slot.overrides.admission { try validate(admission, at: path + ".admission") }
      try validate(
        timeToLiveMinutes: slot.overrides.timeToLiveMinutes, atLeast: 0, at: path + ".expiry.time_to_live_minutes")
    }
    let rowTables = rowTables
    guard rowTables.tables.count <= Limits.rowTables else {
      throw SchemaError(
        path: "slots",
        reason: "have overrides that make \(rowTables.tables.count) tables, at most \(Limits.rowTables) are possible")
    }
    var names = Set<String>()
    for table in rowTables.tables where !names.insert(table.name).inserted {
      throw SchemaError(
        path: "slots", reason: "have overrides that make a table `\(table.name)`, and another table has that name")
    }
  }

  private func validate(_ admission: AdmissionSpec, at path: String) throws(SchemaError) {
    switch admission {
    case .everything: break
    case .minimumCount(let count, let sketchBytes):
      try requireCount(count, in: 2...Limits.minimumCount, at: path + ".minimum_count")
      try requireCount(sketchBytes, in: Limits.sketchBytes, at: path + ".sketch_bytes")
    case .probability(let probability):
      guard probability > 0, probability < 1 else {
        throw SchemaError(path: path + ".probability", reason: "must be above 0 and below 1, is \(probability)")
      }
    }
  }

  private func validate(
    timeToLiveMinutes minutes: UInt32?, atLeast least: Int, at path: String
  ) throws(SchemaError) {
    if let minutes { try requireCount(Int(minutes), in: least...Limits.timeToLiveMinutes, at: path) }
  }

  func validate(_ optimizer: OptimizerSpec, at path: String) throws(SchemaError) {
    try requirePositive(optimizer.learningRate, at: path + ".learning_rate")
    try requireNotNegative(optimizer.l1, at: path + ".l1")
    try requireNotNegative(optimizer.l2, at: path + ".l2")
    if let bound = optimizer.clipValue { try requirePositive(bound, at: path + ".clip_value") }
    if let bound = optimizer.clipNorm { try requirePositive(bound, at: path + ".clip_norm") }
    switch optimizer.kind {
    case .sgd: break
    case .momentum(let momentum): try requireDecay(momentum, at: path + ".momentum")
    case .adagrad(let accumulator, let epsilon):
      try requireNotNegative(accumulator, at: path + ".initial_accumulator")
      try requirePositive(epsilon, at: path + ".epsilon")
    case .rmsProp(let decay, let epsilon):
      try requireDecay(decay, at: path + ".decay")
      try requirePositive(epsilon, at: path + ".epsilon")
    case .adam(let beta1, let beta2, let epsilon):
      try requireDecay(beta1, at: path + ".beta1")
      try requireDecay(beta2, at: path + ".beta2")
      try requirePositive(epsilon, at: path + ".epsilon")
    case .ftrl(let beta): try requireNotNegative(beta, at: path + ".beta")
    }
  }

  private func requirePositive(_ value: Double, at path: String) throws(SchemaError) {
    guard value.isFinite, value > 0 else { throw SchemaError(path: path, reason: "must be above 0, is \(value)") }
  }

  private func requireNotNegative(_ value: Double, at path: String) throws(SchemaError) {
    guard value.isFinite, value >= 0 else { throw SchemaError(path: path, reason: "must be 0 or more, is \(value)") }
  }

  /// Kernels compute with 32 bits, where what is too near to 1 becomes 1 and would divide by 0.
  private func requireDecay(_ value: Double, at path: String) throws(SchemaError) {
    guard value >= 0, Float(value) < 1 else {
      throw SchemaError(path: path, reason: "must be 0 or more and below 1, is \(value)")
    }
  }
}

extension ModelSpec {
  func validateNetwork() throws(SchemaError) {
    try validate(network.optimizer, at: "network.optimizer")
    try network.validateSizes()
    guard network.kind != .logistic else { return }
    let dimension = tables[slots[0].table].dimension
    for (index, slot) in slots.enumerated() where tables[slot.table].dimension != dimension || dimension == 0 {
      throw SchemaError(
        path: "slots[\(index)].table",
        reason: "\(network.kind.rawValue) needs tables of one dimension above 0 for all slots")
    }
    let count = DenseLayout(shape: NetworkShape(self)).parameterCount
    guard count <= Limits.denseParameters else {
      throw SchemaError(
        path: "network", reason: "has \(count) parameters of its own, at most \(Limits.denseParameters) are possible")
    }
  }
}

extension NetworkSpec {
  /// Throws for the first size that the kind does not have, or needs and has not, with the path of its key.
  public func validateSizes() throws(SchemaError) {
    try requireUnits(hidden, "hidden", least: kind == .deepFM || kind == .towers ? 1 : 0, of: [.deepFM, .dcn, .towers])
    try requireUnits(expertHidden, "expert_hidden", least: 1, of: [.mmoe])
    try requireUnits(towerHidden, "tower_hidden", least: kind == .towers ? 1 : 0, of: [.towers, .mmoe])
    try requireSize(crossLayers, "cross_layers", in: 1...ModelSpec.Limits.crossLayers, of: .dcn)
    try requireSize(experts, "experts", in: 2...ModelSpec.Limits.experts, of: .mmoe)
    if let crossRank { try requireSize(crossRank, "cross_rank", in: 1...ModelSpec.Limits.hiddenUnits, of: .dcn) }
  }

  private func requireUnits(
    _ layers: [Int], _ key: String, least: Int, of kinds: [Kind]
  ) throws(SchemaError) {
    typealias Limits = ModelSpec.Limits
    guard kinds.contains(kind) else {
      guard layers.isEmpty else { throw misplaced(key, kinds) }
      return
    }
    guard (least...Limits.hiddenLayers).contains(layers.count) else {
      throw SchemaError(
        path: "network." + key,
        reason: "\(kind.rawValue) has \(least) to \(Limits.hiddenLayers) such layers, not \(layers.count)")
    }
    for (index, units) in layers.enumerated() where !(1...Limits.hiddenUnits).contains(units) {
      throw SchemaError(
        path: "network.\(key)[\(index)]", reason: "\(units) is outside 1...\(Limits.hiddenUnits)")
    }
  }

  private func requireSize(
    _ size: Int, _ key: String, in range: ClosedRange<Int>, of kind: Kind
  ) throws(SchemaError) {
    guard self.kind == kind else {
      guard size == 0 else { throw misplaced(key, [kind]) }
      return
    }
    guard range.contains(size) else {
      throw SchemaError(path: "network." + key, reason: "\(size) is outside \(range.lowerBound)...\(range.upperBound)")
    }
  }

  private func misplaced(_ key: String, _ kinds: [Kind]) -> SchemaError {
    let names = kinds.map(\.rawValue).joined(separator: ", ")
    return SchemaError(path: "network." + key, reason: "only \(names) can have it, not \(kind.rawValue)")
  }
}

extension ModelSpec {
  func validateNetwork() throws(SchemaError) {
    try validate(network.optimizer, at: "network.optimizer")
    try network.validateSizes()
    try network.validateSlots(slots, tables: tables)
    guard network.kind != .logistic else { return }
    let count = DenseLayout(shape: NetworkShape(self)).parameterCount
    guard count <= Limits.denseParameters else {
      throw SchemaError(
        path: "network", reason: "has \(count) parameters of its own, at most \(Limits.denseParameters) are possible")
    }
  }
}

extension NetworkSpec {
  /// Throws if the network cannot compute on the vectors of these slots, with the path of the key that would have to say so.
  /// - Precondition: Slots name tables that exist.
  public func validateSlots(_ slots: [SlotSpec], tables: [TableSpec]) throws(SchemaError) {
    if hasFactorizationMachine {
      try validateFactorizedSlots(slots, tables)
    } else if kind != .logistic, !slots.isEmpty, slots.allSatisfy({ tables[$0.table].dimension == 0 }) {
      throw SchemaError(
        path: "network.kind",
        reason: "\(kind.rawValue) computes on the slots' vectors, and the tables of all slots have dimension 0")
    }
  }

  private func validateFactorizedSlots(_ slots: [SlotSpec], _ tables: [TableSpec]) throws(SchemaError) {
    func mistake(_ reason: String) -> SchemaError { SchemaError(path: "network.fm_slots", reason: reason) }
    if let factorizedSlots {
      guard factorizedSlots.allSatisfy({ slots.indices.contains($0) }) else {
        throw mistake("has a position that no slot has")
      }
      guard factorizedSlots.count >= 2 else {
        throw mistake("needs two slots or more, whose vectors are multiplied, not \(factorizedSlots.count)")
      }
      for (number, slot) in factorizedSlots.enumerated() where factorizedSlots[..<number].contains(slot) {
        throw mistake("has `\(slots[slot].name)` twice")
      }
    }
    let multiplied = factorizedSlots ?? Array(slots.indices)
    guard let first = multiplied.first else { return }
    func dimension(_ slot: Int) -> Int { tables[slots[slot].table].dimension }
    func description(_ slot: Int) -> String {
      "`\(slots[slot].name)` has dimension \(dimension(slot)) (table `\(tables[slots[slot].table].name)`)"
    }
    guard dimension(first) > 0 else {
      throw mistake("\(kind.rawValue) multiplies the slots' vectors, and " + description(first))
    }
    if let other = multiplied.first(where: { dimension($0) != dimension(first) }) {
      throw mistake(
        "\(kind.rawValue) multiplies vectors of one dimension, and " + description(first) + ", " + description(other)
          + "; list slots of one dimension here, or give them tables of one")
    }
  }

  /// Throws for the first size that the kind does not have, or needs and has not, with the path of its key.
  public func validateSizes() throws(SchemaError) {
    if factorizedSlots != nil, !hasFactorizationMachine { throw misplaced("fm_slots", [.fm, .deepFM]) }
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

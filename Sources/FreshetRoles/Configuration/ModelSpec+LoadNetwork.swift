import FreshetModel

extension ModelSpec {
  static func network(
    _ section: YAMLSection, slots: [SlotSpec], tables: [TableSpec]
  ) throws(ConfigurationError) -> NetworkSpec {
    let kind = try section.choice("kind", default: NetworkSpec.Kind.deepFM)
    let network = NetworkSpec(
      kind: kind, factorizedSlots: try factorizedSlots(section, slots), hidden: try section.ints("hidden", default: []),
      crossLayers: try section.int(
        "cross_layers", default: kind == .dcn ? 2 : 0, in: kind == .dcn ? 1...Limits.crossLayers : 0...Int.max),
      crossRank: try section.optionalInt("cross_rank", in: 1...Limits.hiddenUnits),
      crossStructure: try crossStructure(section, kind),
      experts: try section.int(
        "experts", default: kind == .mmoe ? 4 : 0, in: kind == .mmoe ? 2...Limits.experts : 0...Int.max),
      expertHidden: try section.ints("expert_hidden", default: []),
      towerHidden: try section.ints("tower_hidden", default: []), optimizer: try optimizer(section.section("optimizer"))
    )
    try section.finish()
    do {
      try network.validateSizes()
      try network.validateSlots(slots, tables: tables)
    } catch {
      let path = error.path.dropFirst("network.".count)
      throw section.error(String(path.prefix { $0 != "[" }), String(error.message.dropFirst(error.path.count + 2)))
    }
    return network
  }

  private static func factorizedSlots(
    _ section: YAMLSection, _ slots: [SlotSpec]
  ) throws(ConfigurationError) -> [Int]? {
    let names = try section.optionalStrings("fm_slots")
    guard let names else { return nil }
    var positions: [Int] = []
    for name in names {
      guard let position = slots.firstIndex(where: { $0.name == name }) else {
        throw section.error(
          "fm_slots", "`\(name)` is not among model.slots" + NearestName.hint(name, among: slots.map(\.name)))
      }
      positions.append(position)
    }
    return positions
  }

  private static func crossStructure(
    _ section: YAMLSection, _ kind: NetworkSpec.Kind
  ) throws(ConfigurationError) -> NetworkSpec.CrossStructure {
    let structure = try section.choice("cross_structure", default: NetworkSpec.CrossStructure.parallel)
    guard kind == .dcn || !section.has("cross_structure") || structure == .parallel else {
      throw section.error("cross_structure", "only dcn can have it, not \(kind.rawValue)")
    }
    return structure
  }
}

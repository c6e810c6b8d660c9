import FreshetModel
import Testing

@Suite struct RowTablesTests {
  /// Two tables for eight slots, in turn.
  static var model: ModelSpec {
    var spec = ModelSpec.movieLens
    spec.tables = [
      TableSpec(name: "a", dimension: 8, timeToLiveMinutes: 60, maximumRows: 1000), TableSpec(name: "b", dimension: 8),
    ]
    for index in spec.slots.indices { spec.slots[index].table = index % 2 }
    return spec
  }

  @Test func withoutOverridesTheyAreTheSchemasTables() {
    let tables = Self.model.rowTables
    #expect(tables.tables == Self.model.tables)
    #expect(tables.tableOfSlot == [0, 1, 0, 1, 0, 1, 0, 1])
  }

  @Test func everyDistinctSetOfOverridesOfATableMakesOneTableBehindTheOthers() throws {
    var spec = Self.model
    let overrides = SlotOverrides(learningRate: 0.5, admission: .probability(0.5), timeToLiveMinutes: 7)
    for slot in [1, 2, 3, 6] { spec.slots[slot].overrides = overrides }
    spec.slots[4].overrides.timeToLiveMinutes = 0
    try spec.validate()
    let tables = spec.rowTables
    #expect(tables.tables.map(\.name) == ["a", "b", "b/item_id", "a/gender", "a/occupation"])
    #expect(tables.tableOfSlot == [0, 2, 3, 2, 4, 1, 3, 1])
    #expect(Array(tables.tables[..<2]) == spec.tables)
    let derived = tables.tables[3]
    #expect(derived.optimizer.learningRate == 0.5 && derived.optimizer.kind == spec.tables[0].optimizer.kind)
    #expect(derived.admission == .probability(0.5) && derived.timeToLiveMinutes == 7)
    #expect(derived.maximumRows == 1000 && derived.seed == spec.tables[0].seed)
    #expect(tables.tables[4].timeToLiveMinutes == nil)
  }

  @Test func overridesThatSayWhatTheTableSaysMakeNoTable() {
    var spec = Self.model
    spec.slots[2].overrides = SlotOverrides(
      learningRate: spec.tables[0].optimizer.learningRate, admission: .everything, timeToLiveMinutes: 60)
    spec.slots[3].overrides.timeToLiveMinutes = 0
    #expect(spec.rowTables.tables == spec.tables)
    #expect(spec.rowTables.tableOfSlot == Self.model.rowTables.tableOfSlot)
  }

  @Test func aTableThatASlotMakesMayNotHaveAnotherTablesName() {
    var spec = Self.model
    spec.slots[0].overrides.learningRate = 0.5
    spec.tables[1].name = "a/user_id"
    #expect(throws: SchemaError.self) { try spec.validate() }
  }

  @Test func noMoreTablesAreMadeThanPositionsCanName() throws {
    var spec = ModelSpec.movieLens
    let slots = spec.slots
    spec.slots = (0..<254).map { index in
      var slot = slots[index % slots.count]
      slot.name = "slot\(index)"
      slot.index = index
      if index > 0 { slot.overrides.learningRate = Double(index) }
      return slot
    }
    try spec.validate()
    #expect(spec.rowTables.tables.count == ModelSpec.Limits.rowTables)
    spec.slots[0].overrides.learningRate = 1000
    let error = #expect(throws: SchemaError.self) { try spec.validate() }
    #expect(error?.path == "slots")
  }
}

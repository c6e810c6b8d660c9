/// The tables that rows really live in: those of the schema, and one more for each distinct set of overrides that slots put
/// on one of them.
public struct RowTables: Sendable, Equatable {
  /// The schema's tables with their names and positions, then the derived ones in the order of the slots that need them
  /// first. A derived table is named `table/slot` after that slot.
  public var tables: [TableSpec]
  /// By slot, the position of its table.
  public var tableOfSlot: [Int]
}

extension ModelSpec {
  /// Where each slot's rows live. Fids of different slots differ, so slots of one table can be told apart without harm.
  ///
  /// Overrides that say what the table says make no table, and slots of one table with equal overrides share one.
  /// - Precondition: Slots name tables that exist.
  public var rowTables: RowTables {
    var all = tables
    var origins = Array(tables.indices)
    var tableOfSlot: [Int] = []
    for slot in slots {
      var table = tables[slot.table].overridden(by: slot.overrides)
      let known = all.indices.first { position in
        table.name = all[position].name
        return origins[position] == slot.table && all[position] == table
      }
      if known == nil {
        table.name = tables[slot.table].name + "/" + slot.name
        all.append(table)
        origins.append(slot.table)
      }
      tableOfSlot.append(known ?? all.count - 1)
    }
    return RowTables(tables: all, tableOfSlot: tableOfSlot)
  }
}

extension TableSpec {
  func overridden(by overrides: SlotOverrides) -> TableSpec {
    var table = self
    if let rate = overrides.learningRate { table.optimizer.learningRate = rate }
    if let admission = overrides.admission { table.admission = admission }
    if let minutes = overrides.timeToLiveMinutes { table.timeToLiveMinutes = minutes == 0 ? nil : minutes }
    return table
  }
}

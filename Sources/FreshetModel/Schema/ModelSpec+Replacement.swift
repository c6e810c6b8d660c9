extension ModelSpec {
  /// Why requests that `live` answers could not be sent to this model: fields that they may name and it lacks or reads otherwise,
  /// tasks that they may ask for and it lacks. Empty if it can take the place of `live` without a client's noticing.
  ///
  /// It may have further fields and tasks. Slots, tables and network are its own affair.
  public func obstacles(toReplacing live: ModelSpec) -> [String] {
    var obstacles: [String] = []
    if name != live.name { obstacles.append("its name is \(name), and clients ask for \(live.name)") }
    if fields[itemKey].name != live.fields[live.itemKey].name {
      obstacles.append("its item_key is \(fields[itemKey].name), not \(live.fields[live.itemKey].name)")
    }
    for field in live.fields {
      guard let position = self.field(named: field.name) else {
        obstacles.append("it has no field \(field.name)")
        continue
      }
      let mine = fields[position]
      if mine.type != field.type {
        obstacles.append("its field \(field.name) is of type \(mine.type.rawValue), not \(field.type.rawValue)")
      }
      if mine.multi != field.multi {
        obstacles.append("its field \(field.name) takes \(mine.multi ? "several values" : "one value")")
      }
      if (mine.source == .item) != (field.source == .item) {
        obstacles.append("its field \(field.name) is \(mine.source == .item ? "the item's" : "the request's")")
      }
    }
    let missing = live.tasks.map(\.name).filter { name in !tasks.contains { $0.name == name } }
    obstacles += missing.map { "it has no task \($0)" }
    if let first = live.tasks.first, tasks.first?.name != first.name, !missing.contains(first.name) {
      obstacles.append("its first task, which the name alone asks for, is \(tasks[0].name), not \(first.name)")
    }
    return obstacles
  }
}

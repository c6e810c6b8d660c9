import FreshetWire

/// The commands of a port by name: what every request is looked up in, so it takes no hashing and no memory.
struct CommandTable: Sendable {
  /// A command's position among all of them.
  let names: [CommandName]
  private let arities: [Int]
  private let isBuiltIn: [Bool]
  /// Positions plus one by spread; 0 is free. Twice as many as commands, so that most lie in the first place.
  private let places: [UInt16]
  private let mask: Int

  init(_ commands: BuiltInCommands) {
    let names = commands.descriptions.keys.sorted { $0.text < $1.text }
    self.names = names
    arities = names.map { commands.descriptions[$0]!.arity }
    isBuiltIn = names.map { commands.names.contains($0) }
    var size = 16
    while size < names.count * 4 { size *= 2 }
    mask = size - 1
    var places = [UInt16](repeating: 0, count: size)
    for (position, name) in names.enumerated() {
      var place = Int(truncatingIfNeeded: name.spread) & mask
      while places[place] != 0 { place = (place + 1) & mask }
      places[place] = UInt16(position + 1)
    }
    self.places = places
  }

  /// - Returns: The command's position, or nil if there is none of this name.
  @inline(__always)
  func position(of name: CommandName) -> Int? {
    var place = Int(truncatingIfNeeded: name.spread) & mask
    while true {
      let position = Int(places[place]) &- 1
      guard position >= 0 else { return nil }
      if names[position] == name { return position }
      place = (place &+ 1) & mask
    }
  }

  /// Whether the command is the service's and takes so many words.
  @inline(__always)
  func isService(_ position: Int, wordCount: Int) -> Bool {
    guard !isBuiltIn[position] else { return false }
    let arity = arities[position]
    return arity >= 0 ? wordCount == arity : wordCount >= -arity
  }
}

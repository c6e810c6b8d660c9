import ArgumentParser
import FreshetRoles

/// Names of commands on the command line, before anything is parsed.
enum CommandNames {
  /// - Returns: What to say of the first word that should be a command and is none; nil if there is no such word.
  static func mistake(in words: [String], below root: any ParsableCommand.Type) -> String? {
    var command = root
    var path = [name(of: root)]
    for word in words {
      let children = command.configuration.subcommands
      guard !word.hasPrefix("-"), word != "help", !children.isEmpty else { return nil }
      guard let child = children.first(where: { name(of: $0) == word }) else {
        // Its first argument may be one of the command that runs without a name.
        if command.configuration.defaultSubcommand != nil { return nil }
        let names = children.filter { $0.configuration.shouldDisplay }.map { name(of: $0) }
        let hint = NearestName.hint(word, among: names)
        let known = hint.isEmpty ? "; there are " + names.joined(separator: ", ") : hint
        return "`\(path.joined(separator: " "))` has no command `\(word)`" + known
      }
      command = child
      path.append(word)
    }
    return nil
  }

  static func name(of command: any ParsableCommand.Type) -> String {
    command._commandName
  }
}

import Foundation

/// All keys of a configuration with type, default, unit and meaning: the tables of docs/configuration.md.
///
/// Types, bounds and defaults are what the program itself reads, noted while it reads a file that gives nothing. Units and meanings
/// are written down by section (`ConfigurationReference+…`).
public struct ConfigurationReference: Sendable {
  /// What cannot be seen from the reading of a key.
  struct Meaning: Sendable {
    let unit: String
    let text: String
    /// In words, where the default depends on other keys; nil: as it is read.
    let fallback: String?
    /// In words, where it is no plain value; nil: as it is read.
    let type: String?

    init(_ unit: String, _ text: String, fallback: String? = nil, type: String? = nil) {
      self.unit = unit
      self.text = text
      self.fallback = fallback
      self.type = type
    }
  }

  struct Key: Sendable {
    let name: String
    let type: String
    let fallback: String
  }

  /// Sections in their order, each with its keys in theirs.
  let sections: [(name: String, keys: [Key])]
  private let meanings: [String: [String: Meaning]]

  /// - Parameter meanings: By section and key.
  init(_ values: [EffectiveValue], meanings: [String: [String: Meaning]]) {
    self.meanings = meanings
    var sections: [(name: String, keys: [Key])] = []
    for value in values {
      let (section, name) = Self.place(of: value.path)
      if !sections.contains(where: { $0.name == section }) { sections.append((section, [])) }
      let index = sections.firstIndex { $0.name == section }!
      guard !sections[index].keys.contains(where: { $0.name == name }) else { continue }
      let isGiven = value.origin != .standard
      sections[index].keys.append(
        Key(name: name, type: value.kind.described, fallback: isGiven ? "required" : value.kind.shown(value.value)))
    }
    self.sections = sections
  }

  /// Every key that the program reads.
  public static var shipped: ConfigurationReference {
    get throws {
      var values: [EffectiveValue] = []
      for template in templates {
        let source = YAMLSource(file: "template", overrides: [:], environment: [:])
        _ = try FreshetConfiguration.read(source.root(text: template))
        values += source.effective
      }
      return ConfigurationReference(values.filter(Self.isShown), meanings: meanings)
    }
  }

  /// Keys that no meaning is written down for, and meanings of keys that there are not.
  var differences: [String] {
    let known = Set(sections.flatMap { section in section.keys.map { "\(section.name).\($0.name)" } })
    let told = Set(meanings.flatMap { section, keys in keys.keys.map { "\(section).\($0)" } })
    return known.symmetricDifference(told).sorted()
  }

  // MARK: - Markdown

  /// - Parameter section: nil for all.
  /// - Throws: `UsageError` if there is no such section.
  public func markdown(section name: String?) throws(UsageError) -> String {
    guard let name else {
      return sections.map { "## \($0.name)\n\n" + table($0.name, $0.keys) }.joined(separator: "\n")
    }
    guard let section = sections.first(where: { $0.name == name }) else {
      let names = sections.map(\.name)
      throw UsageError(
        "there is no section `\(name)`" + NearestName.hint(name, among: names) + "; there are "
          + names.joined(separator: ", "))
    }
    return table(section.name, section.keys)
  }

  /// A document with new tables, each between `<!-- keys of SECTION -->` and `<!-- end -->`.
  /// - Throws: `UsageError` if a section has no place in it, or a place no section.
  public func updated(_ document: String) throws(UsageError) -> String {
    var lines: [String] = []
    var missing = Set(sections.map(\.name))
    var isInside = false
    for line in document.split(separator: "\n", omittingEmptySubsequences: false) {
      if isInside, line != "<!-- end -->" { continue }
      isInside = false
      lines.append(String(line))
      guard let match = line.wholeMatch(of: /<!-- keys of (.+) -->/) else { continue }
      let name = String(match.1)
      lines += try markdown(section: name).split(separator: "\n").map(String.init)
      missing.remove(name)
      isInside = true
    }
    guard !isInside else { throw UsageError("a table of keys has no `<!-- end -->`") }
    if let name = missing.sorted().first {
      throw UsageError("the document has no place for the keys of `\(name)`: a line `<!-- keys of \(name) -->`")
    }
    return lines.joined(separator: "\n")
  }

  private func table(_ section: String, _ keys: [Key]) -> String {
    let rows = keys.map { key in
      let meaning = meanings[section]?[key.name]
      return [
        "`\(key.name)`", meaning?.type ?? key.type, meaning?.fallback ?? key.fallback, meaning?.unit ?? "",
        meaning?.text ?? "",
      ]
    }
    let head = ["key", "type", "default", "unit", "what"]
    return ([head, Array(repeating: "---", count: head.count)] + rows)
      .map { "|" + $0.map { $0.isEmpty ? " " : $0 == "---" ? $0 : " \($0) " }.joined(separator: "|") + "|\n" }.joined()
  }

  // MARK: - Places

  /// What stands for a name of the file's own.
  private static let name = "<name>"

  /// Whether a path is not only there because its template needs it, or because every kind of network is asked for it.
  private static func isShown(_ value: EffectiveValue) -> Bool {
    if value.path.starts(with: ["model", "network"]), value.kind == .integer(0...Int.max) { return false }
    switch value.path.prefix(2).joined(separator: ".") {
    case "model.fields", "model.enrichments", "model.tables", "model.slots", "model.dense_features", "model.tasks":
      return value.path[2] == name
    default: return true
    }
  }

  /// Section and key: `trainer` and `guard.window`, `model.tables` and `dimension`. Optimizers are a section of their own, and so are
  /// sections of keys that another one refers to.
  private static func place(of path: [String]) -> (section: String, key: String) {
    if let optimizer = path.firstIndex(of: "optimizer"), path[0] == "model" {
      return ("model.optimizer", path[(optimizer + 1)...].joined(separator: "."))
    }
    if let bucket = path.firstIndex(of: "s3") { return ("s3", path[(bucket + 1)...].joined(separator: ".")) }
    if path.count == 3, path[2] == name { return (path[0], path[1]) }
    guard path[0] == "model", path.count > 2 else { return (path[0], path.dropFirst().joined(separator: ".")) }
    let rest = path[path[2] == name ? 3... : 2...]
    // With the keys of a table.
    if path[1] == "slots", rest.count > 1 { return ("model.slots", rest[rest.startIndex]) }
    return ("model.\(path[1])", rest.joined(separator: "."))
  }

  /// Configurations that give nothing but what is required; the further ones reach keys that others exclude.
  private static let templates: [String] = {
    func model(table: String = "", slot: String = "", dense: String = "", network: String = "kind: dcn") -> String {
      """
      kafka: {properties: {<name>: value}}
      model:
        user_key: u
        item_key: u
        enrichments: {<name>: {key: u}}
        fields: {u: {}, <name>: {}}
        tables: {<name>: {\(table)}}
        slots: {u: {}, <name>: {\(slot)}}
        dense_features: {<name>: {\(dense)}}
        network: {\(network)}
        tasks: {<name>: {}}
      """
    }
    return [
      model(), model(slot: "cross: [u, u]", dense: "transform: standardize"),
      model(slot: "prefix: 1", network: "kind: mmoe, expert_hidden: [1]"), model(slot: "boundaries: [1]"),
    ] + ["momentum", "rmsprop", "adam", "ftrl"].map { model(table: "optimizer: {kind: \($0)}") }
  }()
}

extension EffectiveValue.Kind {
  /// For people.
  fileprivate var described: String {
    switch self {
    case .text: "text"
    case .flag: "`true`, `false`"
    case .list: "list"
    case .choice(let choices): choices.map { "`\($0.lowercased())`" }.joined(separator: ", ")
    case .integer(let range): "integer, \(Self.range(Self.figure(range.lowerBound), Self.figure(range.upperBound)))"
    case .number(let range):
      range.upperBound == .infinity
        ? "number" : "number, \(Self.range(Self.figure(range.lowerBound), Self.figure(range.upperBound)))"
    }
  }

  /// A default as the table has it.
  fileprivate func shown(_ value: String) -> String {
    if value == "null" { return "none" }
    switch self {
    case .integer: return Int(value).map(Self.digits) ?? value
    case .number: return Double(value).map(Self.figure) ?? value
    case .choice: return "`\(value.lowercased())`"
    case .text, .list, .flag: return "`\(value)`"
    }
  }

  private static func range(_ low: String, _ high: String) -> String {
    (low + high).allSatisfy { $0.isASCII && $0 != "e" } ? "\(low)–\(high)" : "\(low) to \(high)"
  }

  /// Large powers of two as such.
  private static func figure(_ value: Int) -> String {
    if value == .max { return "2⁶³ − 1" }
    if value >= 1 << 20, value & (value - 1) == 0 { return "2" + superscript(value.trailingZeroBitCount) }
    return digits(value)
  }

  /// With commas between thousands where there are more than four digits.
  private static func digits(_ value: Int) -> String {
    let digits = Array(String(abs(value)))
    var text = value < 0 ? "−" : ""
    for (position, digit) in digits.enumerated() {
      if digits.count > 4, position > 0, (digits.count - position) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return text
  }

  /// Powers of ten that are long as such.
  private static func figure(_ value: Double) -> String {
    if value < 0 { return "−" + figure(-value) }
    let exponent = value > 0 ? Int(log10(value).rounded()) : 0
    if abs(exponent) > 4, abs(value / pow(10, Double(exponent)) - 1) < 1e-9 { return "10" + superscript(exponent) }
    return value == value.rounded() && value < 1e15 ? digits(Int(value)) : "\(value)"
  }

  private static func superscript(_ value: Int) -> String {
    String(
      String(value).map { character in
        character == "-" ? "⁻" : Array("⁰¹²³⁴⁵⁶⁷⁸⁹")[character.wholeNumberValue!]
      })
  }
}

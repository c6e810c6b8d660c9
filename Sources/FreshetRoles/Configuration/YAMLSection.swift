import FreshetCore
import Yams

/// One mapping of the configuration file, read key by key.
///
/// Each getter names a key with its default and its bounds, and notes the value that is in effect. So `finish()` knows which
/// keys nobody asked for, and `config print` prints exactly what the program uses.
final class YAMLSection {
  /// Keys from the root to here.
  let path: [String]
  private let source: YAMLSource
  private let mapping: [(key: String, line: Int?, value: Node)]
  private var asked: Set<String> = []

  fileprivate init(path: [String], source: YAMLSource, node: Node?) throws(ConfigurationError) {
    self.path = path
    self.source = source
    guard let node, !node.isNull else {
      mapping = []
      return
    }
    guard case .mapping(let pairs) = node else {
      throw source.error(path, node.mark?.line, "must be a mapping of keys to values")
    }
    var mapping: [(key: String, line: Int?, value: Node)] = []
    for (key, value) in pairs {
      guard let name = key.string else { throw source.error(path, key.mark?.line, "a key must be text") }
      if mapping.contains(where: { $0.key == name }) {
        throw source.error(path + [name], key.mark?.line, "is given twice")
      }
      mapping.append((name, key.mark?.line, value))
    }
    self.mapping = mapping
  }

  /// The keys in the file's order, for mappings whose keys are names.
  var keys: [String] {
    mapping.map(\.key)
  }

  func error(_ key: String, _ reason: String) -> ConfigurationError {
    source.error(path + [key], mapping.first { $0.key == key }?.line, reason)
  }

  // MARK: - Values

  func string(_ key: String, default fallback: String) throws(ConfigurationError) -> String {
    let text = try scalar(key) ?? fallback
    note(key, Self.quoted(text), .text)
    return text
  }

  func string(_ key: String) throws(ConfigurationError) -> String {
    guard let text = try scalar(key) else { throw error(key, "is required") }
    note(key, Self.quoted(text), .text)
    return text
  }

  func optionalString(_ key: String) throws(ConfigurationError) -> String? {
    try optionalString(key, variables: [])
  }

  /// - Parameter variables: Of the environment; the first of them that is set counts where the key is not given.
  func string(_ key: String, variables: [String], default fallback: String) throws(ConfigurationError) -> String {
    let given = try scalar(key)
    let found = given == nil ? source.value(ofFirst: variables) : nil
    let text = given ?? found?.value ?? fallback
    note(key, Self.quoted(text), .text, from: found?.origin)
    return text
  }

  /// - Parameter variables: As for `string`.
  func optionalString(_ key: String, variables: [String]) throws(ConfigurationError) -> String? {
    let given = try scalar(key)
    let found = given == nil ? source.value(ofFirst: variables) : nil
    let text = given ?? found?.value
    note(key, text.map { Self.quoted($0) }, .text, from: found?.origin)
    return text
  }

  func optionalBool(_ key: String) throws(ConfigurationError) -> Bool? {
    let value = try boolean(key)
    note(key, value.map { "\($0)" }, .flag)
    return value
  }

  private func boolean(_ key: String) throws(ConfigurationError) -> Bool? {
    switch try scalar(key) {
    case nil: return nil
    case "true": return true
    case "false": return false
    case let text?: throw error(key, "`\(text)` is neither true nor false")
    }
  }

  func int(_ key: String, default fallback: Int, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
    let value = try integer(key, in: range) ?? fallback
    note(key, String(value), .integer(range))
    return value
  }

  func optionalInt(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
    let value = try integer(key, in: range)
    note(key, value.map { "\($0)" }, .integer(range))
    return value
  }

  private func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
    guard let text = try scalar(key) else { return nil }
    guard let value = Int(text) else { throw error(key, "`\(text)` is not an integer") }
    try requireContained(value, in: range, key)
    return value
  }

  private func requireContained<Value>(
    _ value: Value, in range: ClosedRange<Value>, _ key: String
  ) throws(ConfigurationError) {
    guard range.contains(value) else {
      throw error(key, "\(value) is outside \(range.lowerBound)...\(range.upperBound)")
    }
  }

  func double(_ key: String, default fallback: Double, in range: ClosedRange<Double>) throws(ConfigurationError)
    -> Double
  {
    let value = try number(key) ?? fallback
    try requireContained(value, in: range, key)
    note(key, "\(value)", .number(range))
    return value
  }

  func optionalDouble(
    _ key: String, in range: ClosedRange<Double> = -.infinity ... .infinity
  ) throws(ConfigurationError) -> Double? {
    let value = try number(key)
    if let value { try requireContained(value, in: range, key) }
    note(key, value.map { "\($0)" }, .number(range))
    return value
  }

  private func number(_ key: String) throws(ConfigurationError) -> Double? {
    guard let text = try scalar(key) else { return nil }
    guard let value = Double(text), value.isFinite else { throw error(key, "`\(text)` is not a number") }
    return value
  }

  func bool(_ key: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
    let value = try boolean(key) ?? fallback
    note(key, String(value), .flag)
    return value
  }

  func choice<Value: RawRepresentable<String> & CaseIterable>(
    _ key: String, default fallback: Value
  ) throws(ConfigurationError) -> Value {
    let choices = Value.allCases.map(\.rawValue)
    var value = fallback
    if let text = try scalar(key) {
      guard let given = Value.allCases.first(where: { $0.rawValue.lowercased() == text.lowercased() }) else {
        throw error(
          key, "`\(text)` is none of \(choices.joined(separator: ", "))" + NearestName.hint(text, among: choices))
      }
      value = given
    }
    note(key, value.rawValue, .choice(choices))
    return value
  }

  func strings(_ key: String, default fallback: [String]) throws(ConfigurationError) -> [String] {
    let values = try list(key) ?? fallback
    note(key, Self.list(values), .list)
    return values
  }

  func optionalStrings(_ key: String) throws(ConfigurationError) -> [String]? {
    let values = try list(key)
    note(key, values.map { Self.list($0) }, .list)
    return values
  }

  private static func list(_ values: [String]) -> String { "[" + values.map(quoted).joined(separator: ", ") + "]" }

  private func list(_ key: String) throws(ConfigurationError) -> [String]? {
    asked.insert(key)
    if let override = source.override(path + [key]) { return override.value.split(separator: ",").map(String.init) }
    guard let node = value(key), !node.isNull else { return nil }
    guard case .sequence(let sequence) = node else { throw error(key, "must be a list") }
    var texts: [String] = []
    for element in sequence {
      guard let text = element.scalar?.string else { throw error(key, "must be a list of plain values") }
      texts.append(text)
    }
    return texts
  }

  func doubles(_ key: String) throws(ConfigurationError) -> [Double] {
    var values: [Double] = []
    for text in try strings(key, default: []) {
      guard let value = Double(text) else { throw error(key, "`\(text)` is not a number") }
      values.append(value)
    }
    return values
  }

  func ints(_ key: String, default fallback: [Int]) throws(ConfigurationError) -> [Int] {
    var values: [Int] = []
    for text in try strings(key, default: fallback.map(String.init)) {
      guard let value = Int(text) else { throw error(key, "`\(text)` is not an integer") }
      values.append(value)
    }
    return values
  }

  /// A mapping of arbitrary keys to plain values.
  func dictionary(_ key: String) throws(ConfigurationError) -> [String: String] {
    let section = try self.section(key)
    var values: [String: String] = [:]
    let added = source.overrides(below: section.path).filter { !section.keys.contains($0) }
    for name in section.keys + added { values[name] = try section.string(name) }
    return values
  }

  /// - Parameters:
  ///   - value: As YAML; nil for none.
  ///   - found: Where it comes from, if neither from the file nor from an override.
  private func note(
    _ key: String, _ value: String?, _ type: EffectiveValue.Kind, from found: EffectiveValue.Origin? = nil
  ) {
    let entry = mapping.first { $0.key == key && !$0.value.isNull }
    let origin =
      found ?? source.override(path + [key])?.origin ?? entry.map { source.origin(line: $0.line) } ?? .standard
    source.note(path + [key], value ?? "null", type, origin)
  }

  func section(_ key: String) throws(ConfigurationError) -> YAMLSection {
    asked.insert(key)
    return try YAMLSection(path: path + [key], source: source, node: value(key))
  }

  func has(_ key: String) -> Bool {
    asked.insert(key)
    return source.override(path + [key]) != nil || mapping.contains { $0.key == key }
  }

  /// Whether there is a value for the key, in the file or as an override.
  func isGiven(_ key: String) throws(ConfigurationError) -> Bool { try scalar(key) != nil }

  /// Throws if the file has a key that no getter asked for.
  func finish() throws(ConfigurationError) {
    for (key, line, _) in mapping where !asked.contains(key) {
      let hint =
        NearestName.of(key, among: asked).map { "; did you mean `\($0)`?" }
        ?? "; known here: " + asked.sorted().joined(separator: ", ")
      throw source.error(path + [key], line, "unknown key" + hint)
    }
  }

  // MARK: - Nodes

  private func value(_ key: String) -> Node? { mapping.first { $0.key == key }?.value }

  private func scalar(_ key: String) throws(ConfigurationError) -> String? {
    asked.insert(key)
    if let override = source.override(path + [key]) { return override.value }
    guard let node = value(key), !node.isNull else { return nil }
    guard let text = node.scalar?.string else { throw error(key, "must be one plain value") }
    return text
  }

  private static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy { $0.isLetter || $0.isNumber || "-_./:@".contains($0) }
    return plain && !text.isEmpty && !text.hasSuffix(":") ? text : "\"" + text.replacing("\"", with: "\\\"") + "\""
  }
}

/// The file that sections come from, with what overrides it and what was read from it.
final class YAMLSource {
  struct Override {
    let value: String
    let origin: EffectiveValue.Origin
  }

  private let file: String
  private var overrides: [String: Override]
  private let environment: [String: String]
  private var usedOverrides: Set<String> = []
  private(set) var effective: [EffectiveValue] = []

  /// - Parameters:
  ///   - overrides: Dotted path → value, taken instead of what the file says.
  ///   - environment: Of the process.
  init(file: String, overrides: [String: Override], environment: [String: String]) {
    self.file = file
    self.overrides = overrides
    self.environment = environment
  }

  func root(text: String) throws(ConfigurationError) -> YAMLSection {
    let node: Node?
    do {
      node = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw ConfigurationError(file: file, line: Self.line(of: error), key: "", reason: "\(error)")
    } catch {
      throw ConfigurationError(file: file, line: nil, key: "", reason: "\(error)")
    }
    return try YAMLSection(path: [], source: self, node: node)
  }

  fileprivate func origin(line: Int?) -> EffectiveValue.Origin { .file(file, line: line) }

  /// The first of these variables that is set.
  fileprivate func value(ofFirst variables: [String]) -> Override? {
    for variable in variables {
      if let value = environment[variable], !value.isEmpty {
        return Override(value: value, origin: .environment(variable))
      }
    }
    return nil
  }

  fileprivate func override(_ path: [String]) -> Override? {
    let name = path.joined(separator: ".")
    guard let value = overrides[name] else { return nil }
    usedOverrides.insert(name)
    return value
  }

  /// The last parts of the overrides that name something below a path, sorted.
  fileprivate func overrides(below path: [String]) -> [String] {
    let prefix = path.joined(separator: ".") + "."
    return overrides.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }.sorted()
  }

  fileprivate func note(
    _ path: [String], _ value: String, _ kind: EffectiveValue.Kind, _ origin: EffectiveValue.Origin
  ) {
    let isSecret =
      path.last.map { key in ["password", "secret", "session_token"].contains { key.contains($0) } } ?? false
    effective.append(
      EffectiveValue(
        path: path, value: isSecret && value != "null" ? "\"(hidden)\"" : value, kind: kind, origin: origin))
  }

  fileprivate func error(_ path: [String], _ line: Int?, _ reason: String) -> ConfigurationError {
    ConfigurationError(file: file, line: line, key: path.joined(separator: "."), reason: reason)
  }

  /// Throws if an override named a key that does not exist.
  func finish() throws(ConfigurationError) {
    for path in overrides.keys.sorted() where !usedOverrides.contains(path) {
      throw ConfigurationError(
        file: overrides[path]!.origin.text, line: nil, key: path,
        reason: "unknown key" + NearestName.hint(path, among: effective.map(\.name)))
    }
  }

  private static func line(of error: YamlError) -> Int? {
    switch error {
    case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
    default: nil
    }
  }
}

extension Node {
  fileprivate var isNull: Bool { scalar.map { $0.string.isEmpty || $0.string == "null" || $0.string == "~" } ?? false }
}

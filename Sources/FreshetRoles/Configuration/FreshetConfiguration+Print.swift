import Foundation
import Yams

/// How a configuration in effect is shown.
extension FreshetConfiguration {
  /// The configuration in effect as YAML, defaults included.
  public var effectiveYAML: String { yaml { _ in true } }

  /// The same with a comment behind each value that says where it comes from.
  public var annotatedYAML: String {
    yaml({ _ in true }) { line, value in
      let padding = String(repeating: " ", count: max(2, Self.commentColumn - line.count))
      return line + padding + "# " + value.origin.text
    }
  }

  /// The same as one JSON object: dotted key → `value`, `from` (`default`, `file`, `environment` or `option`), and which file, line or
  /// variable.
  public var annotatedJSON: String {
    get throws {
      var object: [String: Any] = [:]
      for value in effective {
        var entry: [String: Any] = ["value": value.json]
        switch value.origin {
        case .standard: entry["from"] = "default"
        case .option: entry["from"] = "option"
        case .environment(let variable):
          entry["from"] = "environment"
          entry["variable"] = variable
        case .file(let file, let line):
          entry["from"] = "file"
          entry["file"] = file
          if let line { entry["line"] = line }
        }
        object[value.name] = entry
      }
      let data = try JSONSerialization.data(
        withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
      return String(decoding: data, as: UTF8.self)
    }
  }

  /// Where comments begin, unless a line is longer.
  private static let commentColumn = 44

  /// The values in effect whose paths are wanted, as YAML.
  /// - Parameter finish: Gets each line with its value.
  func yaml(
    _ isWanted: ([String]) -> Bool, finish: (String, EffectiveValue) -> String = { line, _ in line }
  ) -> String {
    var lines: [String] = []
    var open: [String] = []
    for value in effective where isWanted(value.path) {
      let sections = value.path.dropLast()
      let common = zip(open, sections).prefix { $0 == $1 }.count
      for depth in common..<max(common, sections.count) {
        lines.append(String(repeating: "  ", count: depth) + sections[depth] + ":")
      }
      open = Array(sections)
      let line = String(repeating: "  ", count: sections.count) + value.path[sections.count] + ": " + value.value
      lines.append(finish(line, value))
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension EffectiveValue {
  /// What JSON has for it.
  fileprivate var json: Any {
    let node = try? Yams.compose(yaml: value)
    if let sequence = node?.sequence { return sequence.map { $0.scalar?.string ?? "" } }
    guard value != "null", let text = node?.scalar?.string else { return NSNull() }
    switch kind {
    case .integer: return Int(text) ?? text
    case .number: return Double(text) ?? text
    case .flag: return text == "true"
    case .text, .choice, .list: return text
    }
  }
}

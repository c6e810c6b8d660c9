import Foundation
import FreshetModel
import Testing

@testable import FreshetRoles

@Suite struct NetworkConfigurationTests {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static let examples: [URL] = {
    let folder = root.appendingPathComponent("Examples/models")
    let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    return files.filter { $0.pathExtension == "yaml" }.sorted { $0.path < $1.path }
  }()

  func parse(_ text: String) throws -> FreshetConfiguration {
    try FreshetConfiguration.parse(text, file: "c.yaml", overrides: [:], environment: [:])
  }

  /// The shipped file with another network.
  func network(_ lines: String) throws -> (spec: NetworkSpec, text: String) {
    let text = try ConfigurationTests.shipped.replacing("    kind: deepfm\n    hidden: [64, 32]\n", with: lines)
    let configuration = try parse(text)
    #expect(try parse(configuration.effectiveYAML).model == configuration.model, "printed and read back")
    return (configuration.model.network, text)
  }

  static let networks: [(String, NetworkSpec)] = [
    ("kind: dcn", NetworkSpec(kind: .dcn, crossLayers: 2)),
    (
      "kind: dcn, cross_layers: 3, cross_rank: 16, cross_structure: stacked, hidden: [8]",
      NetworkSpec(kind: .dcn, hidden: [8], crossLayers: 3, crossRank: 16, crossStructure: .stacked)
    ),
    ("kind: towers, hidden: [8], tower_hidden: [4]", NetworkSpec(kind: .towers, hidden: [8], towerHidden: [4])),
    ("kind: mmoe, expert_hidden: [8]", NetworkSpec(kind: .mmoe, experts: 4, expertHidden: [8])),
    (
      "kind: mmoe, experts: 8, expert_hidden: [8, 4], tower_hidden: [2]",
      NetworkSpec(kind: .mmoe, experts: 8, expertHidden: [8, 4], towerHidden: [2])
    ),
  ]

  /// Keys of a line each, as they stand below `network`.
  static func lines(_ keys: String) -> String {
    var depth = 0
    var lines = "    "
    for character in keys {
      if character == "[" { depth += 1 }
      if character == "]" { depth -= 1 }
      if character == ",", depth == 0 { lines += "\n   " } else { lines.append(character) }
    }
    return lines + "\n"
  }

  @Test(arguments: networks)
  func everyKindIsReadWithItsKeysAndDefaults(keys: String, expected: NetworkSpec) throws {
    var spec = try network(Self.lines(keys)).spec
    spec.optimizer = .standard
    #expect(spec == expected)
  }

  static let mistakes: [(keys: String, key: String, reason: String)] = [
    ("kind: deepfm, hidden: [8], experts: 4", "experts", "only mmoe can have it, not deepFM"),
    ("kind: deepfm, hidden: []", "hidden", "deepFM has 1 to 8 such layers, not 0"),
    ("kind: fm, hidden: [8]", "hidden", "only deepFM, dcn, towers can have it, not fm"),
    ("kind: dcn, cross_layers: 9", "cross_layers", "9 is outside 1...8"),
    ("kind: dcn, cross_layers: 0", "cross_layers", "0 is outside 1...8"),
    ("kind: dcn, cross_rank: 0", "cross_rank", "0 is outside 1...4096"),
    ("kind: dcn, cross_structure: upside-down", "cross_structure", "`upside-down` is none of parallel, stacked"),
    ("kind: fm, cross_structure: stacked", "cross_structure", "only dcn can have it, not fm"),
    ("kind: fm, cross_layers: 1", "cross_layers", "only dcn can have it, not fm"),
    ("kind: fm, cross_rank: 4", "cross_rank", "only dcn can have it, not fm"),
    ("kind: towers, hidden: [8]", "tower_hidden", "towers has 1 to 8 such layers, not 0"),
    ("kind: mmoe, expert_hidden: [8], hidden: [8]", "hidden", "not mmoe"),
    ("kind: mmoe, expert_hidden: [8, 0]", "expert_hidden", "0 is outside 1...4096"),
    ("kind: mmoe, experts: 65, expert_hidden: [8]", "experts", "65 is outside 2...64"),
    ("kind: mmoe, expert_hiden: [8]", "expert_hiden", "unknown key; did you mean `expert_hidden`?"),
  ]

  @Test(arguments: mistakes)
  func aSizeThatAKindCannotHaveIsNamedWithItsLine(keys: String, key: String, reason: String) throws {
    let text = Self.lines(keys)
    let error = #expect(throws: ConfigurationError.self) { try network(text) }
    let message = error?.message ?? ""
    #expect(message.contains("model.network.\(key): "), "\(message)")
    #expect(message.contains(reason), "\(message)")
    let shipped = try ConfigurationTests.shipped
    let before = try #require(shipped.range(of: "    kind: deepfm\n"))
    let first = shipped[..<before.lowerBound].count { $0 == "\n" } + 1
    if let position = text.split(separator: "\n").firstIndex(where: { $0.contains(" \(key):") }) {
      #expect(message.hasPrefix("c.yaml:\(first + position): "), "\(message)")
    }
  }

  @Test func poolingAndLengthOfSlotsAreRead() throws {
    func genres(_ keys: String) throws -> SlotSpec {
      let text = try ConfigurationTests.shipped.replacing("    genres: {}\n", with: "    genres: {\(keys)}\n")
      let configuration = try parse(text)
      #expect(try parse(configuration.effectiveYAML).model == configuration.model, "printed and read back")
      return configuration.model.slots[7]
    }
    let plain = try genres("")
    #expect(plain.pooling == .mean && plain.maximumLength == nil)
    let other = try genres("pooling: sqrtn, max_length: 3")
    #expect(other.pooling == .sqrtn && other.maximumLength == 3)
    for (keys, reason) in [
      ("max_length: 0", "model.slots.genres.max_length: 0 is outside 1...255"),
      ("pooling: max", "model.slots.genres.pooling: `max` is none of sum, mean, sqrtn"),
    ] {
      let error = #expect(throws: ConfigurationError.self) { try genres(keys) }
      #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }
  }

  @Test func thereIsAnExampleOfEveryKindOfNetwork() throws {
    let kinds = try Self.examples.map { file in
      let text = try String(contentsOf: file, encoding: .utf8)
      let configuration = try FreshetConfiguration.parse(
        text, file: file.lastPathComponent, overrides: [:], environment: [:])
      return configuration.model.network.kind
    }
    #expect(Set(kinds + [try parse(ConfigurationTests.shipped).model.network.kind]) == Set(NetworkSpec.Kind.allCases))
  }
}

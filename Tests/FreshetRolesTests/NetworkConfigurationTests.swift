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
    ("kind: fm", NetworkSpec(kind: .fm)),
    ("kind: fm, fm_slots: [item_id, user_id]", NetworkSpec(kind: .fm, factorizedSlots: [1, 0])),
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
    ("kind: dcn, fm_slots: [user_id, item_id]", "fm_slots", "only fm, deepFM can have it, not dcn"),
    ("kind: fm, fm_slots: [user_id, who]", "fm_slots", "`who` is not among model.slots"),
    ("kind: fm, fm_slots: [user_id]", "fm_slots", "needs two slots or more, whose vectors are multiplied, not 1"),
    ("kind: fm, fm_slots: [user_id, item_id, user_id]", "fm_slots", "has `user_id` twice"),
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

  @Test func dimensionsThatAMachineCannotMultiplyAreNamedWithTheirSlotsAndTables() throws {
    let file = Self.root.appendingPathComponent("Examples/models/mixed-dimensions.yaml")
    let text = try String(contentsOf: file, encoding: .utf8)
    let model = try parse(text).model
    #expect(model.slots.map { model.tables[$0.table].dimension } == [32, 32, 4, 4, 4, 4, 8, 8])
    #expect(model.network.factorizedSlots == [0, 1])
    let line = text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains("fm_slots:") }
    for (list, start) in [
      ("fm_slots: [user_id, year]", "c.yaml:\(try #require(line) + 1): model.network.fm_slots: "),
      ("", "c.yaml: model.network.fm_slots: "),
    ] {
      let changed = text.replacing("fm_slots: [user_id, item_id]", with: list)
      let message = #expect(throws: ConfigurationError.self) { try parse(changed) }?.message ?? ""
      #expect(message.hasPrefix(start), "\(message)")
      #expect(message.contains("`user_id` has dimension 32 (table `ids`), `"), "\(message)")
      let other = list.isEmpty ? "`gender` has dimension 4 (table `groups`)" : "`year` has dimension 8 (table `values`)"
      #expect(message.contains(other), "\(message)")
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

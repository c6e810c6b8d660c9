import Foundation
import Testing

@testable import FreshetRoles

@Suite struct ConfigurationReferenceTests {
  private static func document() throws -> String {
    let path = URL(fileURLWithPath: #filePath).pathComponents.dropFirst().dropLast(3).joined(separator: "/")
    return try String(contentsOfFile: "/\(path)/docs/configuration.md", encoding: .utf8)
  }

  @Test func everyKeyThatIsReadHasAMeaningAndNothingElseHas() throws {
    #expect(try ConfigurationReference.shipped.differences == [])
  }

  @Test func theDocumentIsMadeOfWhatIsRead() throws {
    let document = try Self.document()
    #expect(
      try ConfigurationReference.shipped.updated(document) == document,
      "run: freshet config reference --update docs/configuration.md")
  }

  /// Nothing that the shipped file, or a whole model, gives is missing.
  @Test func everyKeyOfAConfigurationInEffectIsThere() throws {
    let configuration = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: [:], environment: [:])
    let reference = try ConfigurationReference.shipped
    for value in configuration.effective where value.path.first != "model" {
      let section = try #require(
        reference.sections.first { $0.name == (value.path.contains("s3") ? "s3" : value.path[0]) })
      let key = value.path.dropFirst(value.path.contains("s3") ? 2 : 1).joined(separator: ".")
      #expect(section.keys.contains { $0.name == key }, "\(value.name)")
    }
    for (section, keys) in [
      ("model.slots", ["field", "cross", "prefix", "boundaries", "pooling", "max_length", "admission"]),
      ("model.optimizer", ["kind", "momentum", "decay", "beta1", "beta", "initial_accumulator"]),
      ("model.network", ["cross_layers", "experts"]), ("model.dense_features", ["mean", "default"]),
      ("model.tasks", ["positive_if_dwell_ms"]), ("model.enrichments", ["key", "topic"]),
    ] {
      let found = reference.sections.first { $0.name == section }?.keys.map(\.name) ?? []
      #expect(Set(keys).isSubset(of: found), "\(section): \(found)")
    }
  }

  @Test func typesBoundsAndDefaultsAreThoseThatAreRead() throws {
    let reference = try ConfigurationReference.shipped
    let trainer = try reference.markdown(section: "trainer")
    for row in [
      "| `batch_size` | integer, 1–65,536 | 128 | examples | most examples in a batch",
      "| `queued_examples` | integer, 1 to 2²⁰ | 8192 | examples, per partition |",
      "| `validation.slices` | list | `[]` | slots of the model |",
      "| `guard.maximum_logloss` | number, 10⁻⁶ to 10⁶ | none | nats |",
    ] { #expect(trainer.contains(row), "\(row)\n\(trainer)") }
    #expect(try reference.markdown(section: "ps").contains("| `sync_weights` | `fp32`, `fp16`, `bf16` | `fp32` |"))
    #expect(try reference.markdown(section: "joiner").contains("| `negatives` | `true`, `false` | `false` |"))
    #expect(try reference.markdown(section: "model").contains("| `user_key` | text | required |"))
    let error = #expect(throws: UsageError.self) { try reference.markdown(section: "trainr") }
    #expect(error?.message.contains("did you mean `trainer`?") == true)
  }

  @Test func aDocumentWithoutAPlaceForASectionIsRefused() throws {
    let reference = try ConfigurationReference.shipped
    let document = try Self.document()
    for broken in [
      document.replacing("<!-- keys of joiner -->", with: ""), document.replacing("<!-- end -->", with: ""),
      document.replacing("keys of joiner", with: "keys of joinre"),
    ] { #expect(throws: UsageError.self) { try reference.updated(broken) } }
  }
}

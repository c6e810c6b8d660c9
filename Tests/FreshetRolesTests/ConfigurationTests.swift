import Foundation
import FreshetCore
import FreshetModel
import Testing

@testable import FreshetRoles

@Suite struct ConfigurationTests {
  static var shipped: String {
    get throws {
      let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
      return try String(contentsOf: root.appendingPathComponent("Config/cluster.yaml"), encoding: .utf8)
    }
  }

  func parse(_ text: String, _ overrides: [String: String] = [:]) throws -> FreshetConfiguration {
    try FreshetConfiguration.parse(text, file: "c.yaml", overrides: overrides)
  }

  @Test func theShippedFileIsTheMovieLensModel() throws {
    let configuration = try parse(Self.shipped)
    #expect(configuration.model.fingerprint == ModelSpec.movieLens.fingerprint)
    #expect(configuration.cluster.map == ShardMap(shardCount: 16, serverCount: 2))
    #expect(configuration.trainer.batchSize == 32)
  }

  @Test func whatIsPrintedReadsBackAsTheSameConfiguration() throws {
    let configuration = try parse(Self.shipped)
    let again = try parse(configuration.effectiveYAML)
    #expect(again.model == configuration.model)
    #expect(again.effectiveYAML == configuration.effectiveYAML)
  }

  @Test func anUnknownKeyIsNamedWithItsLineAndTheNearestOne() throws {
    let text = try Self.shipped.replacing("batch_size: 32", with: "batchsize: 32")
    let line =
      text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains("batchsize:") }! + 1
    let error = #expect(throws: ConfigurationError.self) { try parse(text) }
    #expect(error?.message == "c.yaml:\(line): trainer.batchsize: unknown key; did you mean `batch_size`?")
  }

  @Test(arguments: [
    ("batch_size: 32", "batch_size: many", "trainer.batch_size: `many` is not an integer"),
    ("batch_size: 32", "batch_size: 0", "trainer.batch_size: 0 is outside 1...65536"),
    ("kind: deepfm", "kind: transformer", "model.network.kind: `transformer` is none of logistic, fm, deepFM"),
    ("user_key: user_id", "user_key: nobody", "model.user_key: `nobody` is not among model.fields"),
    ("[\"127.0.0.1:7100\", \"127.0.0.1:7101\"]", "[nowhere]", "cluster.servers: `nowhere` is not host:port"),
    ("partitions: 4", "partitions: [4]", "kafka.partitions: must be one plain value"),
    ("name: movielens", "name: [", "c.yaml:"),
  ])
  func mistakesAreNamed(original: String, mistake: String, expected: String) throws {
    let text = try Self.shipped.replacing(original, with: mistake)
    let error = #expect(throws: ConfigurationError.self) { try parse(text) }
    #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
    #expect(error?.message.hasPrefix("c.yaml:") == true)
  }

  @Test func overridesStandAboveTheFileAndUnknownOnesAreRefused() throws {
    let configuration = try parse(
      Self.shipped, ["trainer.batch_size": "7", "cluster.servers": "a:1,b:2,c:3"])
    #expect(configuration.trainer.batchSize == 7)
    #expect(configuration.cluster.servers.map(\.description) == ["a:1", "b:2", "c:3"])
    let error = #expect(throws: ConfigurationError.self) { try parse(Self.shipped, ["trainer.batch": "7"]) }
    #expect(error?.message == "override: trainer.batch: unknown key")
  }

  @Test func secretsAreHiddenAndDottedKeysStayWhole() throws {
    let configuration = try parse(
      Self.shipped,
      [
        "cluster.password": "hunter2", "kafka.properties.sasl.password": "hunter3",
        "kafka.properties.client.rack": "r1",
      ])
    #expect(configuration.cluster.password == "hunter2")
    #expect(configuration.kafka.properties == ["sasl.password": "hunter3", "client.rack": "r1"])
    #expect(!configuration.effectiveYAML.contains("hunter"))
    #expect(!configuration.settings.values.contains { $0.contains("hunter") })
    #expect(configuration.effectiveYAML.contains("    client.rack: r1\n"))
    #expect(try parse(configuration.effectiveYAML).kafka.properties["client.rack"] == "r1")
  }

  @Test func whatFitsTogetherOnlyApartIsAConfigurationErrorToo() throws {
    let text = try Self.shipped.replacing("embedding:", with: "dense:")
    let error = #expect(throws: ConfigurationError.self) { try parse(text) }
    #expect(error?.message.contains("dense") == true)
    let unknown = #expect(throws: ConfigurationError.self) {
      try parse(Self.shipped, ["kafka.properties.no.such.property": "1"])
    }
    #expect(unknown?.message.contains("no.such.property") == true)
  }
}

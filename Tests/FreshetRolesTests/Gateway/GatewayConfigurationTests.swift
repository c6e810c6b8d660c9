import Foundation
import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct GatewayConfigurationTests {
  private func parse(_ overrides: [String: String] = [:], _ change: (String) -> String = { $0 }) throws
    -> FreshetConfiguration
  {
    try FreshetConfiguration.parse(
      change(try ConfigurationTests.shipped), file: "c.yaml", overrides: overrides, environment: [:])
  }

  @Test func withoutASectionThereIsNoGatewayInUpAndItsTopicsAreTheInputs() throws {
    let configuration = try parse()
    #expect(configuration.gateway.port == nil && configuration.gateway.statusPort == 7500)
    #expect(configuration.gateway.bounds == ProduceLedger.Bounds(records: 50_000, bytes: 64 << 20))
    #expect(configuration.gateway.timeoutMs == 5_000 && configuration.gateway.maxBodyBytes == 8 << 20)
    #expect(configuration.gateway.writableTopics(of: configuration.kafka.topics) == ["features", "actions", "items"])
    let enriched = try parse {
      $0.replacing("  item_key: item_id\n", with: "  item_key: item_id\n  enrichments: {users: {key: user_id}}\n")
        .replacing("    gender: {}\n    age: {type", with: "    gender: {source: users}\n    age: {type")
    }
    #expect(
      enriched.gateway.writableTopics(of: enriched.kafka.topics) == ["features", "actions", "items", "users"])
  }

  @Test func everythingCanBeSaid() throws {
    let gateway = try parse([
      "gateway.host": "0.0.0.0", "gateway.port": "9000", "gateway.status_port": "0", "gateway.topics": "items,other",
      "gateway.timeout_ms": "100", "gateway.max_body_bytes": "1024", "gateway.max_records_in_flight": "1",
      "gateway.max_bytes_in_flight": "1024",
    ]).gateway
    #expect(gateway.host == "0.0.0.0" && gateway.port == 9000 && gateway.statusPort == 0)
    #expect(gateway.topics == ["items", "other"] && gateway.timeoutMs == 100)
    #expect(gateway.bounds == ProduceLedger.Bounds(records: 1, bytes: 1024) && gateway.maxBodyBytes == 1024)
  }

  @Test(arguments: [
    ("gateway.port", "0", "0 is outside 1...65535"),
    ("gateway.topics", "items,items", "`items` is named twice"),
    ("gateway.topics", "examples", "written by Freshet's own roles alone"),
    ("gateway.topics", "dead-letter", "written by Freshet's own roles alone"),
    ("gateway.max_bytes_in_flight", "1024", "1024 is less than max_body_bytes, 8388608"),
    ("gateway.ports", "1", "gateway.ports"),
  ]) func mistakesAreNamed(key: String, value: String, reason: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try parse([key: value]) }
    #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
  }
}

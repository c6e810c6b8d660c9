import FreshetDashboard
import Testing

@testable import FreshetRoles

@Suite struct DashboardSettingsTests {
  private static func parse(_ overrides: [String: String]) throws -> FreshetConfiguration {
    try FreshetConfiguration.parse(ConfigurationTests.shipped, file: "c.yaml", overrides: overrides, environment: [:])
  }

  private static func watched(_ overrides: [String: String]) throws -> [String] {
    ClusterDescription(try parse(overrides)).processes.map { "\($0.id) \($0.address)" }
  }

  @Test func withoutListsTheProcessesOfTheRolesSectionsAreAsked() throws {
    #expect(
      try Self.watched(["serve.host": "0.0.0.0", "trainer.port": "0"]) == [
        "joiner-0 127.0.0.1:7300", "ps-0 127.0.0.1:7100", "ps-1 127.0.0.1:7101", "serve-0 127.0.0.1:7000",
      ])
    #expect(try Self.watched(["archive.store": "a"]).last == "archive-0 127.0.0.1:7400")
  }

  @Test func listsNameAllOfARole() throws {
    let watched = try Self.watched([
      "dashboard.trainers": "a:1,b:2", "dashboard.replicas": "", "dashboard.joiners": "c:3",
      "dashboard.archives": "d:4",
    ])
    #expect(
      watched == [
        "joiner-0 c:3", "trainer-0 a:1", "trainer-1 b:2", "ps-0 127.0.0.1:7100", "ps-1 127.0.0.1:7101", "archive-0 d:4",
      ])
  }

  @Test func upNamesWhatItStartsUnlessTheConfigurationDoes() throws {
    #expect(
      try Self.parse([:]).dashboardOverrides(trainers: 2, replicas: 1) == [
        "--set", "dashboard.trainers=127.0.0.1:7200,127.0.0.1:7201", "--set", "dashboard.replicas=127.0.0.1:7000",
      ])
    #expect(
      try Self.parse(["dashboard.replicas": "x:1", "trainer.port": "0"]).dashboardOverrides(trainers: 2, replicas: 1)
        == ["--set", "dashboard.trainers="])
  }

  @Test func whatIsNoAddressOrOutOfRangeIsRefused() {
    for (key, value) in [("trainers", "nowhere"), ("interval_ms", "100"), ("interval_ms", "6000"), ("titles", "-1")] {
      #expect(throws: ConfigurationError.self, "\(key)=\(value)") { try Self.parse(["dashboard.\(key)": value]) }
    }
  }
}

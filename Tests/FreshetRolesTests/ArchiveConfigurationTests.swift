import FreshetCluster
import FreshetCore
import FreshetStore
import Logging
import Testing

@testable import FreshetRoles

@Suite struct ArchiveConfigurationTests {
  func configuration(_ overrides: [String: String] = [:]) throws -> FreshetConfiguration {
    try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: overrides, environment: [:])
  }

  @Test func thereIsNoArchiveByDefault() throws {
    let archive = try configuration().archive
    #expect(archive.store == nil && archive.topics.isEmpty && archive.port == 7400 && archive.metricsPort == 8400)
    #expect(try SnapshotStore.open(archive, for: .writing, onRetry: { _ in }) == nil)
    #expect(
      archive.machine
        == ArchiveSettings(spanOffsets: 262_144, fileBytes: 64 << 20, windowMs: 3_600_000, closeAfterMs: 300_000))
  }

  @Test(arguments: [
    ("archive.store", "ftp://bucket", "archive.store: `ftp://bucket` is neither a directory nor s3://bucket/prefix"),
    ("archive.window_ms", "7000000", "archive.window_ms: 7000000 does not divide a day, 86400000"),
    ("archive.file_bytes", "1", "archive.file_bytes: 1 is outside"),
  ])
  func mistakesAreNamed(key: String, value: String, expected: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try configuration([key: value]) }
    #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
  }

  @Test func aBucketWithoutCredentialsCannotBeOpened() throws {
    let archive = try configuration(["archive.store": "s3://bucket"]).archive
    let error = #expect(throws: ConfigurationError.self) {
      try SnapshotStore.open(archive, for: .writing, onRetry: { _ in })
    }
    #expect(error?.message.contains("archive.s3.access_key_id: is required for s3://bucket") == true)
  }

  @Test func examplesAreKeptAsTheyAreAndOtherTopicsAsLines() throws {
    let configuration = try configuration(["archive.topics": "features,examples"])
    func topics(_ names: [String]) throws -> [String] {
      try ArchivedTopic.all(configuration, named: names).map { "\($0.name) \($0.content)" }
    }
    #expect(try topics([]) == ["features jsonLines", "examples records"])
    #expect(try topics(["actions"]) == ["actions jsonLines"])
    #expect(try ArchivedTopic.all(self.configuration(), named: []).map(\.name) == ["examples"])
    #expect(throws: UsageError.self) { try topics(["a", "a"]) }
    #expect(throws: UsageError.self) { try topics([String(repeating: "a", count: 230)]) }
    #expect(throws: UsageError.self) { try topics([".a"]) }
  }

  @Test func theRoleNeedsAStore() throws {
    let options = ArchiveRole.Options(topics: [], port: 0, metricsPort: 0, failsFast: true, allowsGap: false)
    #expect(throws: UsageError.self) {
      try ArchiveRole(configuration: configuration(), options: options, logger: Logger(label: "test"))
    }
  }

  @Test func aBatchStageIsCheckedBeforeItBegins() throws {
    #expect(BatchStage.none.passes == 0)
    #expect(try BatchStage(source: .archive, epochs: 3, until: "2026-11-30").passes == 2)
    #expect(try BatchStage(source: .beginning, epochs: 63, until: nil).epochs == 63)
    for (source, epochs, until) in [
      (nil, 2, nil), (nil, 1, "2026-11-30"), (.beginning, 1, "2026-11-30"), (.archive, 0, nil), (.archive, 64, nil),
      (.archive, 1, "2026-02-30"),
    ] as [(BatchStage.Source?, Int, String?)] {
      #expect(throws: UsageError.self) { try BatchStage(source: source, epochs: epochs, until: until) }
    }
  }
}

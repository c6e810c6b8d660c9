import FreshetCore
import FreshetS3
import FreshetStore
import Testing

@testable import FreshetRoles

@Suite struct SnapshotSectionTests {
  static let variables = [
    "AWS_ACCESS_KEY_ID": "environment-key", "AWS_SECRET_ACCESS_KEY": "environment-secret",
    "AWS_SESSION_TOKEN": "environment-token", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://all:1",
  ]

  func section(
    _ overrides: [String: String] = [:], environment: [String: String] = [:]
  ) throws -> SnapshotSection {
    try configuration(overrides, environment).snapshot
  }

  func configuration(
    _ overrides: [String: String], _ environment: [String: String]
  ) throws -> FreshetConfiguration {
    var all: [String: String] = [:]
    for (key, value) in overrides { all["snapshot." + key] = value }
    return try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: all, environment: environment)
  }

  @Test func thereIsNoStoreByDefault() throws {
    let section = try section()
    #expect(section.store == nil)
    #expect(section.intervalMs == 30_000 && section.baseEvery == 20 && section.keep == 3)
    #expect(try SnapshotStore.open(section, for: .writing, onRetry: { _ in }) == nil)
  }

  @Test func aPathIsADirectoryAndAURLABucket() throws {
    #expect(try section(["store": "some/path"]).location == nil)
    #expect(try section(["store": "s3://bucket/a/b"]).location?.prefix == "a/b/")
    #expect(throws: FileStoreError.self) {
      try SnapshotStore.open(try section(["store": "/dev/null/store"]), for: .writing, onRetry: { _ in })
    }
  }

  @Test func whatIsNotGivenComesFromAWSsVariables() throws {
    let s3 = try section(["store": "s3://bucket"], environment: Self.variables).s3
    #expect(s3.accessKeyID == "environment-key" && s3.secretAccessKey == "environment-secret")
    #expect(s3.sessionToken == "environment-token" && s3.region == "eu-west-1")
    #expect(s3.endpoint == S3Endpoint("http://all:1") && s3.usesPathStyle)
    let own = try section(environment: Self.variables.merging(["AWS_ENDPOINT_URL_S3": "https://s3:2"]) { $1 }).s3
    #expect(own.endpoint == S3Endpoint("https://s3:2"))
    let none = try section().s3
    #expect(none.accessKeyID == nil && none.endpoint == nil && none.region == "us-east-1" && !none.usesPathStyle)
  }

  @Test func aKeyOfTheFileDoesNotGoWithATokenOfTheEnvironment() throws {
    let s3 = try section(
      ["s3.access_key_id": "key", "s3.secret_access_key": "secret", "s3.region": "here", "s3.path_style": "false"],
      environment: Self.variables
    ).s3
    #expect(s3.accessKeyID == "key" && s3.secretAccessKey == "secret" && s3.sessionToken == nil)
    #expect(s3.region == "here" && s3.endpoint == S3Endpoint("http://all:1") && !s3.usesPathStyle)
  }

  @Test func secretsAreNotPrinted() throws {
    let text = try configuration([:], Self.variables).effectiveYAML
    #expect(text.contains("access_key_id: environment-key") && text.contains("region: eu-west-1"))
    #expect(!text.contains("environment-secret") && !text.contains("environment-token"))
  }

  @Test(arguments: [
    ("store", "ftp://bucket", "snapshot.store: `ftp://bucket` is neither a directory nor s3://bucket/prefix"),
    ("store", "s3://Bucket", "snapshot.store: `s3://Bucket` is neither a directory nor s3://bucket/prefix"),
    ("keep", "0", "snapshot.keep: 0 is outside 1...1000"),
    ("s3.endpoint", "host:1", "snapshot.s3.endpoint: `host:1` is not http://host[:port] or https://host[:port]"),
    ("s3.path_style", "maybe", "snapshot.s3.path_style: `maybe` is neither true nor false"),
  ])
  func mistakesAreNamed(key: String, value: String, expected: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try section([key: value]) }
    #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
  }

  @Test func aBucketWithoutCredentialsCannotBeOpened() throws {
    let section = try section(["store": "s3://bucket", "s3.access_key_id": "key"])
    let error = #expect(throws: ConfigurationError.self) {
      try SnapshotStore.open(section, for: .writing, onRetry: { _ in })
    }
    #expect(error?.message.contains("snapshot.s3.secret_access_key: is required for s3://bucket") == true)
  }
}

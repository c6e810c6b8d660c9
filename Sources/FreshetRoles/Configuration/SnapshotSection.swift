import FreshetS3

/// The section `snapshot`: where parameter servers save their shards, and when.
public struct SnapshotSection: Sendable {
  /// A directory, or `s3://bucket/prefix`; nil for no snapshots. Default: nil.
  public var store: String?
  /// From one round over all shards to the next. Default: 30,000.
  public var intervalMs: Int
  /// Deltas of a shard before it gets a new base; earlier if they are larger than half of it together. Default: 20.
  public var baseEvery: Int
  /// Snapshots of a shard that stay. Default: 3.
  public var keep: Int
  public var s3: S3

  /// How to get at an `s3://` store. Values that are not given come from AWS's usual environment variables.
  public struct S3: Sendable {
    /// Default: AWS's own of the region.
    public var endpoint: S3Endpoint?
    /// Default: us-east-1.
    public var region: String
    public var accessKeyID: String?
    public var secretAccessKey: String?
    public var sessionToken: String?
    /// Default: true if there is an `endpoint`.
    public var usesPathStyle: Bool
  }

  /// The bucket, if the store is one.
  var location: S3Location? { store.flatMap { S3Location($0) } }
}

extension SnapshotSection {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    store = try section.optionalString("store")
    if let store, store.contains("://"), S3Location(store) == nil {
      throw section.error("store", "`\(store)` is neither a directory nor s3://bucket/prefix")
    }
    intervalMs = try section.int("interval_ms", default: 30_000, in: 50...86_400_000)
    baseEvery = try section.int("base_every", default: 20, in: 0...1000)
    keep = try section.int("keep", default: 3, in: 1...1000)
    s3 = try S3(section.section("s3"))
    try section.finish()
  }
}

extension SnapshotSection.S3 {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    let endpoint = try section.optionalString("endpoint", variables: ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
    if let endpoint {
      guard let parsed = S3Endpoint(endpoint) else {
        throw section.error("endpoint", "`\(endpoint)` is not http://host[:port] or https://host[:port]")
      }
      self.endpoint = parsed
    }
    region = try section.string("region", variables: ["AWS_REGION", "AWS_DEFAULT_REGION"], default: "us-east-1")
    // Key, secret and token belong together: a token of the environment does not go with a key of the file.
    let isGiven = try section.isGiven("access_key_id")
    func variables(_ name: String) -> [String] { isGiven ? [] : [name] }
    accessKeyID = try section.optionalString("access_key_id", variables: variables("AWS_ACCESS_KEY_ID"))
    secretAccessKey = try section.optionalString("secret_access_key", variables: variables("AWS_SECRET_ACCESS_KEY"))
    sessionToken = try section.optionalString("session_token", variables: variables("AWS_SESSION_TOKEN"))
    usesPathStyle = try section.optionalBool("path_style") ?? (endpoint != nil)
    try section.finish()
  }
}

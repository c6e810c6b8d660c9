import FreshetCore
import FreshetS3
import FreshetStore

/// Opens the stores that a configuration names.
public enum SnapshotStore {
  public enum Access: Sendable { case reading, writing }

  /// - Parameter onRetry: Told of requests to a bucket that failed and are made again; called on any thread.
  /// - Returns: nil if the configuration has no store.
  /// - Throws: `ConfigurationError` if credentials of a bucket are missing, `FileStoreError` if a directory cannot be used.
  public static func open(
    _ section: SnapshotSection, for access: Access, onRetry: @escaping @Sendable (String) -> Void
  ) throws -> (any FileStore)? {
    guard let path = section.store else { return nil }
    return try open(path, section.s3, of: "snapshot", for: access, onRetry: onRetry)
  }

  /// The same for the archive.
  public static func open(
    _ archive: ArchiveConfiguration, for access: Access, onRetry: @escaping @Sendable (String) -> Void
  ) throws -> (any FileStore)? {
    guard let path = archive.store else { return nil }
    return try open(path, archive.s3, of: "archive", for: access, onRetry: onRetry)
  }

  /// - Parameter section: Of the configuration, for messages.
  private static func open(
    _ path: String, _ s3: SnapshotSection.S3, of section: String, for access: Access,
    onRetry: @escaping @Sendable (String) -> Void
  ) throws -> any FileStore {
    guard let location = S3Location(path) else {
      return try access == .writing ? DirectoryStore(writing: path) : DirectoryStore(reading: path)
    }
    return S3Store(try configuration(location, s3, of: section), onRetry: onRetry)
  }

  private static func configuration(
    _ location: S3Location, _ s3: SnapshotSection.S3, of section: String
  ) throws(ConfigurationError) -> S3Configuration {
    func required(_ value: String?, _ key: String, _ variable: String) throws(ConfigurationError) -> String {
      if let value { return value }
      throw ConfigurationError(
        file: "configuration", line: nil, key: "\(section).s3.\(key)",
        reason: "is required for \(location), or the environment variable \(variable)")
    }
    return S3Configuration(
      location: location, endpoint: s3.endpoint ?? S3Endpoint(region: s3.region), region: s3.region,
      credentials: S3Credentials(
        accessKeyID: try required(s3.accessKeyID, "access_key_id", "AWS_ACCESS_KEY_ID"),
        secretAccessKey: try required(s3.secretAccessKey, "secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        sessionToken: s3.sessionToken),
      usesPathStyle: s3.usesPathStyle)
  }
}

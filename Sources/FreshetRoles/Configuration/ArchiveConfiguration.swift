import FreshetCluster
import FreshetS3

/// The section `archive`: where topics are kept as files, and how they are cut.
public struct ArchiveConfiguration: Sendable {
  /// A directory, or `s3://bucket/prefix`; nil for no archive. Default: nil.
  public var store: String?
  /// Consumer group of the archive's processes. Default: freshet-archive.
  public var group: String
  /// What is archived; empty for the examples. Default: none.
  public var topics: [String]
  /// Offsets of a file, at most. Default: 262,144.
  public var fileOffsets: Int
  /// Keys and values of a file, before compression. Default: 64 MiB.
  public var fileBytes: Int
  /// Of record times, a divisor of a day. Default: one hour.
  public var windowMs: Int
  /// After a window's end. Default: 5 minutes.
  public var closeAfterMs: Int
  public var s3: SnapshotSection.S3
  /// Where the status port listens; port 0 opens none. Default: 127.0.0.1:7400.
  public var host: String
  public var port: Int
  /// The HTTP port for metrics and health; 0 opens none. Default: 8400.
  public var metricsPort: Int

  var machine: ArchiveSettings {
    ArchiveSettings(
      spanOffsets: Int64(fileOffsets), fileBytes: fileBytes, windowMs: Int64(windowMs),
      closeAfterMs: Int64(closeAfterMs))
  }
}

extension ArchiveConfiguration {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    store = try section.optionalString("store")
    if let store, store.contains("://"), S3Location(store) == nil {
      throw section.error("store", "`\(store)` is neither a directory nor s3://bucket/prefix")
    }
    group = try section.string("group", default: "freshet-archive")
    topics = try section.strings("topics", default: [])
    fileOffsets = try section.int("file_offsets", default: 262_144, in: 1...1 << 40)
    fileBytes = try section.int("file_bytes", default: 64 << 20, in: 1024...1 << 34)
    windowMs = try section.int("window_ms", default: 3_600_000, in: 1_000...86_400_000)
    guard 86_400_000 % windowMs == 0 else {
      throw section.error("window_ms", "\(windowMs) does not divide a day, 86400000")
    }
    closeAfterMs = try section.int("close_after_ms", default: 300_000, in: 0...86_400_000)
    s3 = try SnapshotSection.S3(section.section("s3"))
    host = try section.string("host", default: "127.0.0.1")
    port = try section.int("port", default: 7400, in: 0...65_535)
    metricsPort = try section.int("metrics_port", default: 8400, in: 0...65_535)
    try section.finish()
  }
}

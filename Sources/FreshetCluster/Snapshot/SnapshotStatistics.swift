import FreshetCore

/// What has become of a server's snapshots.
public struct SnapshotStatistics: Sendable, Equatable {
  public var bases: UInt64 = 0
  public var deltas: UInt64 = 0
  public var rows: UInt64 = 0
  /// Of data files.
  public var bytesWritten: UInt64 = 0
  /// The same before compression.
  public var rawBytes: UInt64 = 0
  /// Snapshots that the store could not take.
  public var failures: UInt64 = 0
  /// Snapshots given up because `SnapshotSettings.sideBytes` was reached.
  public var abandoned: UInt64 = 0
  /// How often copying paused because `SnapshotSettings.partsInFlight` parts were waiting.
  public var pauses: UInt64 = 0
  /// Requests refused because `SnapshotKeeper.maximumRequests` were waiting.
  public var requestsRefused: UInt64 = 0
  public var lastFailure: String?
  /// From the cut until file and manifest were durable, of the newest snapshot.
  public var lastDurationMs: Double?

  public init() {}
}

/// The newest snapshot of one shard.
public struct ShardSnapshotStatus: Sendable, Equatable {
  public let shard: ShardID
  /// nil if there is none.
  public let number: UInt64?
  /// Files of its chain and their size.
  public let files: Int
  public let bytes: Int
  /// Since it became durable; nil if that was in an earlier life or never.
  public let ageMs: Double?
  /// Whether the shard has learned anything since.
  public let isCurrent: Bool
}

import FreshetCore

/// What a replica tells of itself: a value that its writer publishes after each event but a frame, for any thread to read.
public struct ReplicaStatus: Sendable {
  public struct Position: Sendable, Equatable {
    public let shard: ShardID
    public let generation: UInt64
    public let sequence: UInt64
    public let isComplete: Bool
  }

  public struct Table: Sendable, Equatable {
    public let name: String
    public let rows: Int
    public let bytes: Int
  }

  /// Whether every shard has been copied completely at least once.
  public var isReady = false
  public var connectedServers = 0
  /// When the shard that has waited longest was last brought up to date; nil while one never was.
  public var oldestCurrent: Instant?
  public var positions: [Position] = []
  /// The offset of each partition below which every example is reflected in every shard.
  public var watermarks: [(partition: PartitionID, offset: Offset)] = []
  public var tables: [Table] = []
  public var statistics = Replica.Statistics()

  public var rows: Int { tables.reduce(0) { $0 + $1.rows } }

  /// Milliseconds since the shard that has waited longest was last brought up to date; nil while one never was.
  public func ageMs(now: Instant) -> Double? { oldestCurrent.map { now.milliseconds(since: $0) } }
}

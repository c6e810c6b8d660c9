import FreshetCluster
import FreshetCore

/// What `freshet inspect` found, as `--json` prints it.
public struct InspectReport: Encodable, Sendable {
  public var shards: [Shard]?
  public var snapshot: Snapshot?
  public var file: File?
  public var rows: [Row]?
  /// What is not as it should be; the command fails if there is anything.
  public var problems: [String] = []

  public struct Shard: Encodable, Sendable {
    public let shard: Int
    public let snapshots: [Snapshot]
    public let files: Int
    public let bytes: Int
    /// Files that no snapshot needs.
    public let leftovers: [String]
  }

  public struct Snapshot: Encodable, Sendable {
    public let manifest: String
    public let shard: Int
    public let shardCount: Int
    public let number: UInt64
    public let life: String
    public let takenAtMs: Int64
    public let chain: [ChainFile]
    /// nil if it was not asked for.
    public var isVerified: Bool?

    public var bytes: Int { chain.reduce(0) { $0 + $1.bytes } }
  }

  public struct ChainFile: Encodable, Sendable, Hashable {
    public let name: String
    public let kind: String
    public let bytes: Int
    public let checksum: String
  }

  public struct File: Encodable, Sendable {
    public let name: String
    public let bytes: Int
    public let kind: String
    public let shard: Int
    public let shardCount: Int
    public let number: UInt64
    public let life: String
    public let parent: String?
    public let takenAtMs: Int64
    public let newestMinutes: UInt32
    public let watermarks: [Watermark]
    public let tables: [Table]
    public var verified: Verified?
  }

  public struct Watermark: Encodable, Sendable {
    public let partition: Int32
    /// −1 if nothing has been applied.
    public let offset: Int64
    /// −1 if it is not known.
    public let origin: Int64
  }

  public struct Table: Encodable, Sendable {
    public let name: String
    public let width: Int
    public let weights: String
    public let optimizer: String
    public let rowBytes: Int
    public let rows: Int
    public let sketchBytes: Int
    public let newestMinutes: UInt32
    public let updates: UInt64
    public let inserts: UInt64
    public let removals: UInt64
  }

  /// Counted while everything was read.
  public struct Verified: Encodable, Sendable {
    public let blocks: Int
    public let rows: UInt64
    public let tombstones: UInt64
    public let rawBytes: UInt64
    public let checksum: String
  }

  public struct Row: Encodable, Sendable, Equatable {
    public let table: String
    public let fid: Fid
    public let minutes: UInt32
    public let weights: [Float]
    /// Optimizer state.
    public let state: [Float]
  }
}

import FreshetCore
import FreshetModel
import FreshetTable

/// What a `SnapshotKeeper` is told.
public enum SnapshotEvent: Sendable {
  /// Time has passed. Send one every 100 ms or so.
  case tick
  /// `SNAPSHOT`: every shard is to have a snapshot of what it holds now. `reply` with this id follows.
  case requested(id: UInt64)
  /// Save what has changed and stop, within this time. `stopped` follows. Ticks must go on coming until then.
  case stopping(withinMs: Int)
  /// The writer has taken this many parts; as many more may be sent.
  case accepted(ticket: UInt64, parts: Int)
  /// File and manifest are durable.
  case stored(ticket: UInt64, SnapshotResult)
  case failed(ticket: UInt64, reason: String)
  /// Files that could not be removed. They are tried again with the next ones.
  case removalFailed([String], reason: String)
}

/// What a `SnapshotKeeper` wants done, in this order, by one `SnapshotFileWriter`. Replies, notices and the end are the
/// owner's.
public enum SnapshotAction: Sendable {
  case begin(SnapshotPlan)
  case part(SnapshotPart, ticket: UInt64)
  /// Forget the snapshot that was begun: no `stored` or `failed` is waited for.
  case abandon(ticket: UInt64)
  case remove([String])
  case reply(id: UInt64, SnapshotReply)
  /// Something that an operator should read.
  case notice(String)
  /// Nothing more is to come, and nothing is under way.
  case stopped
}

/// One data file to write, and the chain that its manifest lists.
public struct SnapshotPlan: Sendable {
  /// Which attempt of the keeper this is; parts and events carry it.
  public let ticket: UInt64
  public let header: SnapshotHeader
  /// The base and the deltas that come before this file, in order; empty for a base.
  public let chain: [SnapshotFile]

  public init(ticket: UInt64, header: SnapshotHeader, chain: [SnapshotFile]) {
    self.ticket = ticket
    self.header = header
    self.chain = chain
  }

  public var fileName: String { header.id.fileName(header.kind) }
  public var manifestName: String { header.id.manifestName }
}

/// A piece of a data file. Of one table the tombstones come before the rows, the rows before the sketch.
public enum SnapshotPart: Sendable {
  case tombstones(table: Int, [Fid])
  case rows(table: Int, TableRows)
  /// A stretch of the admission sketch that begins at byte `offset`.
  case sketch(table: Int, offset: Int, [UInt8])
  /// Progressive validation of one partition and task; the tasks of a partition follow each other from 0 on.
  case validation(PartitionID, task: Int, ProgressiveValidation)
  case end
}

/// A data file of a store, as a manifest lists it.
public struct SnapshotFile: Sendable, Hashable {
  public let name: String
  public let kind: SnapshotKind
  public let sizeBytes: Int
  /// XXH3-64 over the checksums of all its blocks: docs/snapshot-format.md.
  public let checksum: UInt64

  public init(name: String, kind: SnapshotKind, sizeBytes: Int, checksum: UInt64) {
    self.name = name
    self.kind = kind
    self.sizeBytes = sizeBytes
    self.checksum = checksum
  }
}

/// What was written.
public struct SnapshotResult: Sendable, Hashable {
  public let id: SnapshotID
  public let file: SnapshotFile
  public let rows: UInt64
  public let tombstones: UInt64
  /// Of all blocks before compression.
  public let rawBytes: UInt64

  public init(id: SnapshotID, file: SnapshotFile, rows: UInt64, tombstones: UInt64, rawBytes: UInt64) {
    self.id = id
    self.file = file
    self.rows = rows
    self.tombstones = tombstones
    self.rawBytes = rawBytes
  }
}

/// The answer to a request.
public enum SnapshotReply: Sendable, Equatable {
  /// By shard, ascending, the snapshot that holds what the shard held when the request came.
  case taken([Shard])
  case failed(String)

  public struct Shard: Sendable, Equatable {
    public let shard: ShardID
    public let number: UInt64
    /// Of the data file; a shard that had not changed since its last snapshot gives that one again.
    public let bytes: Int

    public init(shard: ShardID, number: UInt64, bytes: Int) {
      self.shard = shard
      self.number = number
      self.bytes = bytes
    }
  }
}

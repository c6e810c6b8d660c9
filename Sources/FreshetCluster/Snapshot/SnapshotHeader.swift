import FreshetCore
import FreshetTable

/// What a data file says before its rows: which snapshot it is, of which tables, and what of the shard is small.
public struct SnapshotHeader: Sendable, Equatable {
  public var id: SnapshotID
  public var kind: SnapshotKind
  public var shardCount: Int
  /// The file that a delta comes after; nil for a base.
  public var parent: Parent?
  /// Clock on the wall at the cut; in a replica's state, when the copy was last known to have everything that its server had.
  public var takenAt: UnixTime
  /// Only in a replica's state.
  public var copied: CopiedPosition?
  /// Event time of the newest example applied to the shard.
  public var newestMinutes: UInt32
  public var progress: [PartitionProgress]
  public var tables: [TableSnapshot]

  public struct Parent: Sendable, Hashable {
    public var number: UInt64
    public var life: UInt64
    /// `SnapshotFile.checksum` of the parent.
    public var checksum: UInt64

    public init(number: UInt64, life: UInt64, checksum: UInt64) {
      self.number = number
      self.life = life
      self.checksum = checksum
    }

    /// nil if the file has no name of a data file.
    public init?(_ file: SnapshotFile) {
      guard let name = SnapshotFileName(file.name) else { return nil }
      self.init(number: name.id.number, life: name.id.life, checksum: file.checksum)
    }
  }

  public init(
    id: SnapshotID, kind: SnapshotKind, shardCount: Int, parent: Parent?, takenAt: UnixTime, copied: CopiedPosition?,
    newestMinutes: UInt32,
    progress: [PartitionProgress], tables: [TableSnapshot]
  ) {
    self.id = id
    self.kind = kind
    self.shardCount = shardCount
    self.parent = parent
    self.takenAt = takenAt
    self.copied = copied
    self.newestMinutes = newestMinutes
    self.progress = progress
    self.tables = tables
  }
}

/// How far the copy of a shard was that a replica saved.
public struct CopiedPosition: Sendable, Hashable {
  /// Which life of the shard the copy is of; 0 if the copy was of more than one, and has to begin with a base.
  public var generation: UInt64
  /// The last delta applied.
  public var sequence: UInt64
  /// `SyncFrame.reported`.
  public var reported: UInt64

  public init(generation: UInt64, sequence: UInt64, reported: UInt64) {
    self.generation = generation
    self.sequence = sequence
    self.reported = reported
  }
}

/// How far a shard is in one partition.
public struct PartitionProgress: Sendable, Hashable {
  public var partition: PartitionID
  /// `Offset.none` if nothing has been applied.
  public var watermark: Offset
  /// The first offset that was ever applied, `Offset.none` if that is not known.
  public var origin: Offset

  public init(partition: PartitionID, watermark: Offset, origin: Offset) {
    self.partition = partition
    self.watermark = watermark
    self.origin = origin
  }
}

/// A table as a snapshot has it: how its rows are laid out, and its state beside rows and sketch at the cut.
public struct TableSnapshot: Sendable, Equatable {
  public var shape: TableShape
  /// Event time of the newest update as the shard keeps it for tables with a time to live, else 0.
  public var minutes: UInt32
  /// `ShardState.expiryCauses`.
  public var expiryCauses: UInt64
  /// Without its tombstones, which are blocks of their own.
  public var head: TableCutHead

  public init(shape: TableShape, minutes: UInt32, expiryCauses: UInt64, head: TableCutHead) {
    self.shape = shape
    self.minutes = minutes
    self.expiryCauses = expiryCauses
    self.head = head
  }
}

/// What has to be equal for rows of one table to be rows of another one.
public struct TableShape: Sendable, Hashable {
  public var name: String
  public var width: Int
  public var weightFormat: WeightFormat
  /// `OptimizerKind`, the rule without its rates: those may change from one life to the next.
  public var optimizer: OptimizerKind
  public var rowBytes: Int

  public init(name: String, width: Int, weightFormat: WeightFormat, optimizer: OptimizerKind, rowBytes: Int) {
    self.name = name
    self.width = width
    self.weightFormat = weightFormat
    self.optimizer = optimizer
    self.rowBytes = rowBytes
  }

  public init(_ layout: TableLayout) {
    self.init(
      name: layout.name, width: layout.width, weightFormat: layout.weightFormat,
      optimizer: OptimizerKind(layout.optimizer), rowBytes: layout.rowBytes)
  }
}

/// An optimizer by name. The numbers stand in files and never change.
public enum OptimizerKind: UInt8, Sendable, CaseIterable, CustomStringConvertible {
  case weightsOnly = 0
  case sgd = 1
  case momentum = 2
  case adagrad = 3
  case rmsProp = 4
  case adam = 5
  case ftrl = 6

  public init(_ optimizer: Optimizer) {
    switch optimizer {
    case .weightsOnly: self = .weightsOnly
    case .sgd: self = .sgd
    case .momentum: self = .momentum
    case .adagrad: self = .adagrad
    case .rmsProp: self = .rmsProp
    case .adam: self = .adam
    case .ftrl: self = .ftrl
    }
  }

  /// As the configuration names it.
  public var description: String {
    switch self {
    case .weightsOnly: "none"
    case .sgd: "sgd"
    case .momentum: "momentum"
    case .adagrad: "adagrad"
    case .rmsProp: "rmsprop"
    case .adam: "adam"
    case .ftrl: "ftrl"
    }
  }
}

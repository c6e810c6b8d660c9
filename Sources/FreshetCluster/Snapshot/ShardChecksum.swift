import FreshetCore
import FreshetTable

/// A sum over the rows of a shard that does not depend on their order: equal for a server and a replica that have the same rows.
public struct ShardChecksum: Sendable, Equatable {
  public let shard: ShardID
  /// Of the shard's life, and its last delta: where the rows were.
  public let generation: UInt64
  public let sequence: UInt64
  public let rows: Int
  public let checksum: UInt64
}

/// Who can say how far it is with a shard.
public protocol ChecksumSource: SnapshotSource {
  func position(of shard: ShardID) -> (generation: UInt64, sequence: UInt64)
  /// Moves whenever a row changes.
  func stamp(of shard: ShardID) -> UInt64
}

extension ShardServer: ChecksumSource {
  public var hostedShardIDs: [ShardID] { hostedShards.map(\.id) }

  /// What `ChecksumScan` needs for the sums of a replica that keeps embeddings in this format.
  public func checksumFormats(replicaWeights: WeightFormat, slotTables: Int) -> [[WeightFormat]] {
    configuration.syncFormats.enumerated().map { table, format in
      table < slotTables ? [format, replicaWeights] : [format]
    }
  }

  public func position(of shard: ShardID) -> (generation: UInt64, sequence: UInt64) {
    (configuration.generation, deltaLogs[Int(shard.value)]!.sequence)
  }

  public func stamp(of shard: ShardID) -> UInt64 {
    tables(of: shard).reduce(changes(of: shard)) { $0 &+ $1.statistics.updates &+ $1.statistics.removals }
  }
}

extension Replica: ChecksumSource {
  public func position(of shard: ShardID) -> (generation: UInt64, sequence: UInt64) {
    let position = shards[Int(shard.value)].position
    return (position.generation, position.sequence)
  }

  public func stamp(of shard: ShardID) -> UInt64 { shards[Int(shard.value)].frames }
}

/// Sums up the rows of some shards, a slice at a time, on the thread that owns them.
public struct ChecksumScan {
  public enum Progress: Sendable, Equatable {
    case unfinished
    case done([ShardChecksum])
    /// Rows of the shard go on changing: there is no one state to sum up.
    case changing(ShardID)
  }

  /// How often a shard is begun again because it changed meanwhile.
  private static let attempts = 3
  /// Rows of a slice; some hundred microseconds.
  static let sliceRows = 2_048

  private let shards: [ShardID]
  /// By table, what weights are rounded to before they are summed, in turn.
  private let formats: [[WeightFormat]]
  private var done: [ShardChecksum] = []
  private var table = 0
  private var cursor = 0
  private var rows = 0
  private var sum: UInt64 = 0
  private var stamp: UInt64?
  private var attempt = 0

  /// - Parameters:
  ///   - shards: Those of the source.
  ///   - formats: By table, empty for weights as they are. A server gives what they travel as and then what a replica keeps, so
  ///     that the sums are of what the replica has.
  public init(shards: [ShardID], formats: [[WeightFormat]]) {
    self.shards = shards
    self.formats = formats
  }

  /// Sums up one slice.
  public mutating func advance(_ source: some ChecksumSource) -> Progress {
    guard done.count < shards.count else { return .done(done) }
    let shard = shards[done.count]
    let now = source.stamp(of: shard)
    if stamp != now {
      if stamp != nil { attempt += 1 }
      guard attempt < Self.attempts else { return .changing(shard) }
      beginShard(now)
    }
    let tables = source.tables(of: shard)
    if let next = scan(tables[table]) {
      cursor = next
      return .unfinished
    }
    cursor = 0
    table += 1
    guard table == tables.count else { return .unfinished }
    let position = source.position(of: shard)
    done.append(
      ShardChecksum(
        shard: shard, generation: position.generation, sequence: position.sequence, rows: rows, checksum: sum))
    stamp = nil
    attempt = 0
    return done.count == shards.count ? .done(done) : .unfinished
  }

  private mutating func beginShard(_ stamp: UInt64) {
    self.stamp = stamp
    table = 0
    cursor = 0
    rows = 0
    sum = 0
  }

  private mutating func scan(_ rows: EmbeddingTable) -> Int? {
    let width = rows.layout.width
    let formats = formats[table].filter { $0 != .float32 }
    let seed = Hashing.mix(UInt64(table + 1))
    var count = 0
    var sum = sum
    let next = withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { scratch in
      rows.scan(from: cursor, limit: Self.sliceRows) { fid, weights in
        count += 1
        var source = UnsafeRawBufferPointer(UnsafeBufferPointer(start: weights, count: width))
        if !formats.isEmpty {
          scratch.baseAddress!.update(from: weights, count: width)
          for format in formats { format.round(scratch) }
          source = UnsafeRawBufferPointer(scratch)
        }
        sum &+= Hashing.mix(Hashing.xxh3(source) &+ Hashing.mix(fid ^ seed))
      }
    }
    self.rows += count
    self.sum = sum
    return next
  }
}

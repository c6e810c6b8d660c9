import FreshetCore

/// How far a replica's copy of one shard is.
public struct ShardPosition: Sendable, Equatable {
  /// Where a base copy continues.
  public struct BaseCursor: Sendable, Equatable {
    public let table: Int
    public let cursor: UInt64

    /// Where every base begins.
    public static let start = BaseCursor(table: 0, cursor: 0)

    public init(table: Int, cursor: UInt64) {
      self.table = table
      self.cursor = cursor
    }
  }

  /// Which life of the shard the sequence belongs to; 0 while the replica has nothing.
  public let generation: UInt64
  /// The last delta applied.
  public let sequence: UInt64
  /// nil once the base is complete.
  public let base: BaseCursor?

  public init(generation: UInt64, sequence: UInt64, base: BaseCursor?) {
    self.generation = generation
    self.sequence = sequence
    self.base = base
  }

  public static let nothing = ShardPosition(generation: 0, sequence: 0, base: nil)
}

/// `SYNC`: what a replica has of each shard that it wants from a server.
///
/// Layout: `u8 version = 1`, `u16 shards`, for each `u16 shard, u64 generation, u64 sequence, u8 base (0 or 1), u8 table,
/// u64 cursor`.
public struct SyncRequest: Sendable, Equatable {
  public static let version: UInt8 = 1
  public let positions: [(shard: ShardID, position: ShardPosition)]

  public init(positions: [(shard: ShardID, position: ShardPosition)]) { self.positions = positions }

  public static func == (a: SyncRequest, b: SyncRequest) -> Bool {
    a.positions.elementsEqual(b.positions) { $0.shard == $1.shard && $0.position == $1.position }
  }

  public func encode() -> [UInt8] {
    var writer = BinaryWriter(capacity: 3 + positions.count * 28)
    writer.write(Self.version)
    writer.write(UInt16(positions.count))
    for (shard, position) in positions {
      writer.write(shard.value)
      writer.write(position.generation)
      writer.write(position.sequence)
      writer.write(UInt8(position.base == nil ? 0 : 1))
      writer.write(UInt8(position.base?.table ?? 0))
      writer.write(position.base?.cursor ?? 0)
    }
    return writer.bytes
  }

  public init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBlob) {
    var reader = BinaryReader(bytes, what: "SYNC request")
    let version = try reader.read(UInt8.self)
    guard version == Self.version else { throw reader.malformed("version \(version), not \(Self.version)") }
    var positions: [(shard: ShardID, position: ShardPosition)] = []
    for _ in 0..<Int(try reader.read(UInt16.self)) {
      let shard = ShardID(try reader.read(UInt16.self))
      let generation = try reader.read(UInt64.self)
      let sequence = try reader.read(UInt64.self)
      let inBase = try reader.read(UInt8.self)
      let table = Int(try reader.read(UInt8.self))
      let cursor = try reader.read(UInt64.self)
      guard inBase <= 1 else { throw reader.malformed("base flag \(inBase)") }
      let base = inBase == 1 ? ShardPosition.BaseCursor(table: table, cursor: cursor) : nil
      positions.append((shard, ShardPosition(generation: generation, sequence: sequence, base: base)))
    }
    try reader.finish()
    self.positions = positions
  }
}

import FreshetCore

/// A run of fids of one shard and one table, as pull and push requests list them.
public struct RowSection: Sendable, Equatable {
  public let shard: ShardID
  /// Position in the cluster's list of tables (`ModelTables`).
  public let table: Int
  public let count: Int
  /// In a pull: whether the rows' optimizer state is wanted as well.
  public let withState: Bool

  public init(shard: ShardID, table: Int, count: Int, withState: Bool = false) {
    self.shard = shard
    self.table = table
    self.count = count
    self.withState = withState
  }
}

/// The list of sections that pull and push requests begin with:
/// `u16 sections`, then for each `u16 shard, u8 table, u8 flags, u32 count`. Bit 0 of the flags stands for `withState`; the others
/// are 0.
enum RowSectionsCodec {
  /// Lists one behind the other.
  static func encode(
    _ first: [RowSection], _ second: [RowSection] = [], _ third: [RowSection] = [], into writer: inout BinaryWriter
  ) {
    writer.write(UInt16(first.count + second.count + third.count))
    write(first, into: &writer)
    write(second, into: &writer)
    write(third, into: &writer)
  }

  private static func write(_ sections: [RowSection], into writer: inout BinaryWriter) {
    for section in sections {
      writer.write(section.shard.value)
      writer.write(UInt8(section.table))
      writer.write(UInt8(section.withState ? 1 : 0))
      writer.write(UInt32(section.count))
    }
  }

  /// - Returns: The sections, and how many fids they have together.
  static func decode(
    from reader: inout BinaryReader, into sections: inout [RowSection]
  ) throws(MalformedBlob) -> Int {
    sections.removeAll(keepingCapacity: true)
    let count = Int(try reader.read(UInt16.self))
    var total = 0
    for _ in 0..<count {
      let shard = ShardID(try reader.read(UInt16.self))
      let table = Int(try reader.read(UInt8.self))
      let flags = try reader.read(UInt8.self)
      guard flags <= 1 else { throw reader.malformed("section flags \(flags)") }
      let rows = Int(try reader.read(UInt32.self))
      sections.append(RowSection(shard: shard, table: table, count: rows, withState: flags == 1))
      total += rows
      // Eight bytes for each fid must follow; this also keeps the sum from overflowing.
      guard total <= reader.remaining / 8 else { throw reader.malformed("\(total) fids announced, too few bytes") }
    }
    return total
  }
}

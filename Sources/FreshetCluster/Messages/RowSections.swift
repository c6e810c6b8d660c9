import FreshetCore

/// A run of fids of one shard and one table, as pull and push requests list them.
public struct RowSection: Sendable, Equatable {
  public let shard: ShardID
  /// Position in the cluster's list of tables (`ModelTables`).
  public let table: Int
  public let count: Int

  public init(shard: ShardID, table: Int, count: Int) {
    self.shard = shard
    self.table = table
    self.count = count
  }
}

/// The list of sections that pull and push requests begin with:
/// `u16 sections`, then for each `u16 shard, u8 table, u8 zero, u32 count`.
enum RowSectionsCodec {
  static func encode(_ sections: [RowSection], into writer: inout BinaryWriter) {
    writer.write(UInt16(sections.count))
    for section in sections {
      writer.write(section.shard.value)
      writer.write(UInt8(section.table))
      writer.write(UInt8(0))
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
      guard try reader.read(UInt8.self) == 0 else { throw reader.malformed("a byte that must be 0 is not") }
      let rows = Int(try reader.read(UInt32.self))
      sections.append(RowSection(shard: shard, table: table, count: rows))
      total += rows
      // Eight bytes for each fid must follow; this also keeps the sum from overflowing.
      guard total <= reader.remaining / 8 else { throw reader.malformed("\(total) fids announced, too few bytes") }
    }
    return total
  }
}

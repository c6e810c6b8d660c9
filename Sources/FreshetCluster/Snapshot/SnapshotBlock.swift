import FreshetCore

/// The fixed head of every block of a data file: docs/snapshot-format.md.
struct SnapshotBlockHead: Equatable {
  static let byteCount = 32
  static let checksumBytes = 8
  /// Of a block that belongs to no table.
  static let noTable = Int(UInt16.max)

  enum Content: UInt8 {
    case header = 1
    case tombstones = 2
    case rows = 3
    case sketch = 4
    case validation = 5
    case footer = 6
  }

  var content: Content
  /// `BlockCompressor.formatCode`.
  var codec: UInt8 = 0
  /// Whether the raw bytes are sorted by `BytePlanes`.
  var isSplit = false
  /// Position in the list of tables, or `noTable`.
  var table = Self.noTable
  /// Position in the file, from 0.
  var number: Int
  /// Rows or tombstones; the task of a validation.
  var count = 0
  var rawBytes = 0
  var storedBytes = 0
  /// Where a piece of a sketch begins; the partition of a validation; else 0.
  var position: UInt64 = 0

  func encode(into writer: inout BinaryWriter) {
    writer.write(content.rawValue)
    writer.write(codec)
    writer.write(UInt8(isSplit ? 4 : 0))
    writer.write(UInt8(0))
    writer.write(UInt16(table))
    writer.write(UInt16(0))
    writer.write(UInt32(number))
    writer.write(UInt32(count))
    writer.write(UInt32(rawBytes))
    writer.write(UInt32(storedBytes))
    writer.write(position)
  }
}

extension SnapshotBlockHead {
  /// Refuses sizes that no writer makes before memory is taken for them. That the head is as it was written is known only
  /// when the block's checksum has been compared.
  init(from reader: inout BinaryReader, number expected: Int) throws(MalformedBlob) {
    guard let content = Content(rawValue: try reader.read(UInt8.self)) else {
      throw reader.malformed("unknown kind of block")
    }
    self.content = content
    codec = try reader.read()
    let planes = try reader.read(UInt8.self)
    guard planes == 0 || planes == 4 else { throw reader.malformed("\(planes) byte planes") }
    isSplit = planes == 4
    guard try reader.read(UInt8.self) == 0 else { throw reader.malformed("a byte that must be 0 is not") }
    table = Int(try reader.read(UInt16.self))
    guard try reader.read(UInt16.self) == 0 else { throw reader.malformed("two bytes that must be 0 are not") }
    number = Int(try reader.read(UInt32.self))
    guard number == expected else { throw reader.malformed("block \(number) where block \(expected) is due") }
    count = Int(try reader.read(UInt32.self))
    rawBytes = Int(try reader.read(UInt32.self))
    storedBytes = Int(try reader.read(UInt32.self))
    position = try reader.read()
    guard rawBytes <= SnapshotLimits.blockBytes, storedBytes <= rawBytes else {
      throw reader.malformed("a block of \(rawBytes) bytes, \(storedBytes) stored")
    }
  }
}

/// What a data file comes to, as its footer says.
struct SnapshotTotals: Equatable {
  static let byteCount = 48

  var rows: UInt64 = 0
  var tombstones: UInt64 = 0
  /// Of all blocks before the footer.
  var rawBytes: UInt64 = 0
  var blocks = 0
  /// Of the whole file.
  var fileBytes = 0
  /// Of prelude and block checksums.
  var checksum: UInt64 = 0

  mutating func add(_ head: SnapshotBlockHead) {
    blocks += 1
    rawBytes += UInt64(head.rawBytes)
    if head.content == .rows { rows += UInt64(head.count) }
    if head.content == .tombstones { tombstones += UInt64(head.count) }
  }

  func encode(into writer: inout BinaryWriter) {
    writer.write(rows)
    writer.write(tombstones)
    writer.write(rawBytes)
    writer.write(UInt64(blocks))
    writer.write(UInt64(fileBytes))
    writer.write(checksum)
  }
}

extension SnapshotTotals {
  init(from reader: inout BinaryReader) throws(MalformedBlob) {
    rows = try reader.read()
    tombstones = try reader.read()
    rawBytes = try reader.read()
    blocks = Int(truncatingIfNeeded: try reader.read(UInt64.self))
    fileBytes = Int(truncatingIfNeeded: try reader.read(UInt64.self))
    checksum = try reader.read()
    try reader.finish()
  }
}

import FreshetCore

/// The pieces of a file beside its compressed data (docs/archive-format.md).
///
/// Each is a skippable frame of Zstandard (RFC 8878, 3.1.2): libzstd reads the data and passes over them.
enum ArchiveSection {
  static let magic: UInt32 = 0x184D_2A5A
  static let signature: [UInt8] = Array("FRSHARCH".utf8)
  static let version: UInt16 = 1
  /// Magic number, size of the content, kind.
  static let headBytes = 12
  static let checksumBytes = 8

  enum Kind: UInt32 { case header = 1, block = 2, footer = 3 }

  /// Of the content, the kind included.
  static let blockContentBytes = 44
  static let footerContentBytes = 64
  static let headerFixedBytes = 46
  static let topicBytes = 249

  /// Compressed or not, of one block: what a reader takes memory for at most.
  static let maximumBlockBytes = 64 << 20
  /// Of key and value together.
  static let maximumRecordBytes = 32 << 20

  /// Appends a section whose content ends in the checksum of all of its bytes before.
  /// - Parameter bytes: Of the content without kind and checksum.
  static func write(
    _ kind: Kind, contentBytes: Int, into writer: inout BinaryWriter, _ body: (inout BinaryWriter) -> Void
  ) -> UInt64 {
    let start = writer.count
    writer.write(magic)
    writer.write(UInt32(contentBytes))
    writer.write(kind.rawValue)
    body(&writer)
    precondition(writer.count - start == 8 + contentBytes - checksumBytes)
    let checksum = writer.bytes[start...].withUnsafeBytes { Hashing.xxh3($0) }
    writer.write(checksum)
    return checksum
  }
}

/// What comes before the compressed bytes of a block.
struct ArchiveBlockHead: Equatable {
  let number: UInt32
  let records: UInt32
  let rawBytes: UInt32
  let storedBytes: UInt32
  /// Of its first record.
  let first: Int64
  /// Of the stored bytes.
  let checksum: UInt64
}

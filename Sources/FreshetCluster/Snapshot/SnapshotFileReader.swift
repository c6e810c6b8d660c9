import FreshetCore
import FreshetModel
import FreshetTable

/// Reads a data file from its beginning: the header, then its parts as they were written.
///
/// After the part `end` everything has been verified: every byte of every block, their order and number, the file's length
/// and checksum. Until then a part is no more than whole in itself.
public struct SnapshotFileReader {
  public let header: SnapshotHeader
  private var blocks: SnapshotBlockReader
  /// The last block's table, and its kind: of a table the tombstones come first, then the rows, then the sketch.
  private var last = (table: 0, content: SnapshotBlockHead.Content.header)
  private var isAtEnd = false

  /// - Parameters:
  ///   - name: Of the file, for messages.
  ///   - compressor: Knows blocks of its own format; blocks that are stored as they are need none.
  public init(name: String, reader: any FileStoreReader, compressor: any BlockCompressor) throws(SnapshotError) {
    blocks = try SnapshotBlockReader(name: name, reader: reader, compressor: compressor)
    let (head, raw) = try blocks.next()
    guard head.content == .header else { throw blocks.malformed("the first block is not a header") }
    header = try Self.decode(raw, "header", blocks) { reader throws(MalformedBlob) in try SnapshotHeader(from: &reader)
    }
    for table in header.tables
    where table.shape.width == 0 || !(1...SnapshotLimits.blockBytes).contains(table.shape.rowBytes) {
      throw blocks.malformed("table \(table.shape.name) has rows of \(table.shape.rowBytes) bytes")
    }
  }

  /// Of the whole file, after `end`.
  public var sizeBytes: Int { blocks.totals.fileBytes }
  public var checksum: UInt64 { blocks.totals.checksum }
  /// Read so far.
  public var rows: UInt64 { blocks.totals.rows }
  public var tombstones: UInt64 { blocks.totals.tombstones }
  public var rawBytes: UInt64 { blocks.totals.rawBytes }
  public var blockCount: Int { blocks.totals.blocks }

  /// The next part.
  /// - Precondition: `end` has not come yet.
  public mutating func next() throws(SnapshotError) -> SnapshotPart {
    precondition(!isAtEnd, "the file has been read")
    let (head, raw) = try blocks.next()
    switch head.content {
    case .header: throw blocks.malformed("a second header")
    case .tombstones, .rows, .sketch:
      guard head.table < header.tables.count, (last.table, last.content.rawValue) <= (head.table, head.content.rawValue)
      else {
        throw blocks.malformed("a block of table \(head.table) is out of place")
      }
    case .validation, .footer:
      guard head.table == SnapshotBlockHead.noTable else { throw blocks.malformed("table \(head.table)") }
    }
    if head.content != .footer { last = (head.table, head.content) }
    switch head.content {
    case .tombstones:
      guard raw.count == head.count * 8 else { throw sizeError(head) }
      return .tombstones(table: head.table, Self.array(raw, from: 0, count: head.count, isSplit: head.isSplit))
    case .rows: return .rows(table: head.table, try rows(head, raw))
    case .sketch:
      let size = header.tables[head.table].head.sketchBytes
      guard let offset = Int(exactly: head.position), offset <= size, raw.count <= size - offset else {
        throw blocks.malformed("a piece of a sketch that lies beyond its \(size) bytes")
      }
      return .sketch(table: head.table, offset: offset, raw)
    case .validation: return try validation(head, raw)
    case .header, .footer:
      isAtEnd = true
      return .end
    }
  }

  private func sizeError(_ head: SnapshotBlockHead) -> SnapshotError {
    blocks.malformed("\(head.rawBytes) bytes do not hold \(head.count) rows or tombstones of table \(head.table)")
  }

  private func rows(_ head: SnapshotBlockHead, _ raw: [UInt8]) throws(SnapshotError) -> TableRows {
    let rowBytes = header.tables[head.table].shape.rowBytes
    guard raw.count == head.count * (rowBytes + SnapshotCopy.bytesBesideRow) else { throw sizeError(head) }
    var rows = TableRows()
    rows.fids = Self.array(raw, from: 0, count: head.count, isSplit: head.isSplit)
    rows.minutes = Self.array(raw, from: head.count * 8, count: head.count, isSplit: head.isSplit)
    rows.bytes = Self.array(raw, from: head.count * 12, count: head.count * rowBytes, isSplit: head.isSplit)
    return rows
  }

  private func validation(_ head: SnapshotBlockHead, _ raw: [UInt8]) throws(SnapshotError) -> SnapshotPart {
    guard let partition = UInt32(exactly: head.position) else { throw blocks.malformed("no partition") }
    let plain: [UInt8] = Self.array(raw, from: 0, count: raw.count, isSplit: head.isSplit)
    let validation = try Self.decode(plain, "validation", blocks) { reader throws(MalformedBlob) in
      let validation = try ProgressiveValidation(from: &reader)
      try reader.finish()
      return validation
    }
    return .validation(PartitionID(Int32(bitPattern: partition)), task: head.count, validation)
  }

  private static func decode<T>(
    _ bytes: [UInt8], _ what: String, _ blocks: SnapshotBlockReader,
    _ body: (inout BinaryReader) throws(MalformedBlob) -> T
  ) throws(SnapshotError) -> T {
    let result = bytes.withUnsafeBytes { raw in
      Result { () throws(MalformedBlob) in
        var reader = BinaryReader(raw, what: what)
        return try body(&reader)
      }
    }
    do throws(MalformedBlob) {
      return try result.get()
    } catch {
      throw blocks.malformed(error)
    }
  }

  private static func array<Element: BitwiseCopyable>(
    _ raw: [UInt8], from start: Int, count: Int, isSplit: Bool
  ) -> [Element] {
    let bytes = count * MemoryLayout<Element>.stride
    return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      raw.withUnsafeBytes { source in
        let source = UnsafeRawBufferPointer(rebasing: source[start..<start + bytes])
        if isSplit {
          if let target = UnsafeMutableRawPointer(buffer.baseAddress) { BytePlanes.join(source, into: target) }
        } else {
          UnsafeMutableRawBufferPointer(buffer).copyMemory(from: source)
        }
      }
      initialized = count
    }
  }
}

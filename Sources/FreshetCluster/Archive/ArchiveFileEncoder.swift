import FreshetCore

/// Writes one file of an archive, piece by piece: what is in `output` goes to the store in order, `sections` at the end.
///
/// The bytes are a function of the header, the records, the compressor and `blockBytes`.
struct ArchiveFileEncoder {
  let header: ArchiveHeader
  private let compressor: any BlockCompressor
  private let blockBytes: Int
  /// Of the block that fills.
  private var block = BinaryWriter(capacity: 0)
  private var blockRecords: UInt32 = 0
  private var blockFirst: Int64 = 0
  private var blocks: UInt32 = 0
  /// Those of the sections, in order.
  private var checksums: BinaryWriter
  private var fileBytes = 0
  private(set) var records = 0
  private(set) var rawBytes = 0
  private(set) var last = Offset.none
  private(set) var newestTime = UnixTime(milliseconds: .min)
  /// What is to be written next; the caller empties it.
  private(set) var output: BinaryWriter
  /// What belongs into the file `header.name.sectionsName`; empty if sections lie between the data. Some 52 bytes a block.
  private(set) var sections: BinaryWriter

  /// - Parameter blockBytes: A block ends with the record that fills it to this; above 0.
  init(header: ArchiveHeader, compressor: any BlockCompressor, blockBytes: Int) {
    precondition(header.codec == compressor.formatCode && blockBytes > 0)
    let topic = Array(header.topic.utf8)
    precondition(topic.count <= ArchiveSection.topicBytes)
    self.header = header
    self.compressor = compressor
    self.blockBytes = blockBytes
    checksums = BinaryWriter(capacity: 64)
    output = BinaryWriter(capacity: 256)
    sections = BinaryWriter(capacity: 0)
    write(.header, contentBytes: ArchiveSection.headerFixedBytes + 2 + topic.count + ArchiveSection.checksumBytes) {
      writer in
      ArchiveSection.signature.withUnsafeBytes { writer.write($0) }
      writer.write(ArchiveSection.version)
      writer.write(header.content.rawValue)
      writer.write(header.codec)
      writer.write(UInt16(0))
      writer.write(header.partition.value)
      writer.write(header.from.value)
      writer.write(header.first.value)
      writer.write(header.firstTime.milliseconds)
      writer.write(shortText: header.topic)
    }
  }

  private mutating func write(
    _ kind: ArchiveSection.Kind, contentBytes: Int, _ body: (inout BinaryWriter) -> Void
  ) {
    let checksum =
      header.name.sectionsName == nil
      ? ArchiveSection.write(kind, contentBytes: contentBytes, into: &output, body)
      : ArchiveSection.write(kind, contentBytes: contentBytes, into: &sections, body)
    checksums.write(checksum)
    fileBytes += 8 + contentBytes
  }

  mutating func takeOutput() -> [UInt8] {
    defer { output.removeAll() }
    return output.bytes
  }

  /// Appends a record.
  /// - Precondition: Its offset is above those before; key and value fit (`ArchiveSection.maximumRecordBytes`).
  mutating func append(_ record: ArchivedRecord) {
    precondition(record.offset > last)
    begin(record.offset)
    block.write(record.offset.value)
    block.write(record.time.milliseconds)
    block.write(record.key.map { Int32($0.count) } ?? -1)
    block.write(record.value.map { Int32($0.count) } ?? -1)
    if let key = record.key { block.write(key) }
    if let value = record.value { block.write(value) }
    end(record)
  }

  /// Appends what a record is as a line; `line` has no line feed.
  mutating func append(_ record: ArchivedRecord, asLine line: [UInt8]) {
    precondition(record.offset > last)
    begin(record.offset)
    line.withUnsafeBytes { block.write($0) }
    block.write(UInt8(ascii: "\n"))
    end(record)
  }

  private mutating func begin(_ offset: Offset) {
    if blockRecords == 0 { blockFirst = offset.value }
    blockRecords += 1
  }

  private mutating func end(_ record: ArchivedRecord) {
    records += 1
    last = record.offset
    newestTime = max(newestTime, record.time)
    if block.count >= blockBytes { closeBlock() }
  }

  private mutating func closeBlock() {
    guard blockRecords > 0 else { return }
    let stored = block.bytes.withUnsafeBytes { compressor.compress($0) }
    let (number, records, rawCount, first) = (blocks, blockRecords, UInt32(block.count), blockFirst)
    write(.block, contentBytes: ArchiveSection.blockContentBytes) { writer in
      writer.write(number)
      writer.write(records)
      writer.write(rawCount)
      writer.write(UInt32(stored.count))
      writer.write(first)
      writer.write(stored.withUnsafeBytes { Hashing.xxh3($0) })
    }
    stored.withUnsafeBytes { output.write($0) }
    fileBytes += stored.count
    rawBytes += block.count
    blocks += 1
    blockRecords = 0
    block.removeAll()
  }

  /// Closes the file; what is left to be written is in `output`, and `sections` are complete.
  /// - Precondition: There is a record.
  mutating func finish() -> ArchiveFooter {
    precondition(records > 0)
    closeBlock()
    let size = fileBytes + 8 + ArchiveSection.footerContentBytes
    let whole = checksums.bytes.withUnsafeBytes { Hashing.xxh3($0) }
    let footer = ArchiveFooter(records: records, last: last, newestTime: newestTime, rawBytes: rawBytes)
    let blocks = blocks
    write(.footer, contentBytes: ArchiveSection.footerContentBytes) { writer in
      writer.write(blocks)
      writer.write(UInt64(footer.records))
      writer.write(footer.last.value)
      writer.write(footer.newestTime.milliseconds)
      writer.write(UInt64(footer.rawBytes))
      writer.write(UInt64(size))
      writer.write(whole)
    }
    return footer
  }
}

import FreshetCore

/// Some records of a file, decompressed.
public struct ArchiveBlock: Sendable {
  public let content: ArchiveContent
  public let records: Int
  /// Of its first record.
  public let first: Offset
  /// Of `records` as docs/archive-format.md has them, or lines.
  public let raw: [UInt8]
  let file: String

  /// Calls `body` with each record, in the order of their offsets.
  /// - Precondition: The content is `records`.
  public func forEach(_ body: (ArchivedRecord) throws -> Void) throws {
    precondition(content == .records)
    try raw.withUnsafeBytes { bytes in
      var reader = BinaryReader(bytes, what: "block of \(file)")
      for _ in 0..<records { try body(try record(&reader)) }
    }
  }

  private func record(_ reader: inout BinaryReader) throws(ArchiveError) -> ArchivedRecord {
    do throws(MalformedBlob) {
      let offset = try reader.read(Int64.self)
      let time = try reader.read(Int64.self)
      let keyBytes = try reader.read(Int32.self)
      let valueBytes = try reader.read(Int32.self)
      let key = keyBytes < 0 ? nil : try reader.readBytes(Int(keyBytes))
      let value = valueBytes < 0 ? nil : try reader.readBytes(Int(valueBytes))
      return ArchivedRecord(offset: Offset(offset), time: UnixTime(milliseconds: time), key: key, value: value)
    } catch {
      throw ArchiveError(.malformed, error.description)
    }
  }

  /// Offsets rise, and the bytes are those of `records` records.
  func check(after last: Offset) throws(ArchiveError) -> Offset {
    guard content == .records else {
      let lines = raw.count { $0 == UInt8(ascii: "\n") }
      guard lines == records, raw.last == UInt8(ascii: "\n"), first > last else {
        throw ArchiveError(.malformed, "\(file): a block of \(records) lines has \(lines)")
      }
      return first
    }
    var last = last
    try raw.reading { (bytes) throws(ArchiveError) in
      var reader = BinaryReader(bytes, what: "block of \(file)")
      for number in 0..<records {
        let offset = try record(&reader).offset
        guard offset > last, number > 0 || offset == first else {
          throw ArchiveError(.malformed, "\(file): offset \(offset) is out of order")
        }
        last = offset
      }
      do throws(MalformedBlob) {
        try reader.finish()
      } catch {
        throw ArchiveError(.malformed, error.description)
      }
    }
    return last
  }
}

/// Reads one file of an archive from its beginning and compares all checksums.
///
/// Memory is bounded by the largest block (`ArchiveSection.maximumBlockBytes`), whatever the bytes say.
public struct ArchiveFileReader {
  /// Where header, blocks' heads and footer are; the same as `data` if they lie between the data.
  private let sections: ArchiveSource
  private let data: ArchiveSource
  private let compressor: any BlockCompressor
  public let header: ArchiveHeader
  /// Once everything has been read.
  public private(set) var footer: ArchiveFooter?
  private var checksums = BinaryWriter(capacity: 64)
  /// So far, of sections and data.
  private var fileBytes = 0
  private var blocks: UInt32 = 0
  private var records = 0
  private var rawBytes = 0
  private var last = Offset.none

  /// Reads the header, which has to agree with the file's name.
  /// - Parameter sections: The file's sections if they are a file of their own; nil if they lie between its data.
  init(
    _ file: ArchiveFileName, data: ArchiveSource, sections: ArchiveSource?, compressor: any BlockCompressor
  ) throws(ArchiveError) {
    self.data = data
    self.sections = sections ?? data
    self.compressor = compressor
    let source = self.sections
    let section = try source.section()
    guard section.kind == .header else { throw source.malformed("it does not begin with a header", at: 0) }
    header = try source.parse(section) { (reader) throws(MalformedBlob) in
      try Self.header(&reader, fileBytes: section.bytes.count)
    }
    guard header.codec == 0 || header.codec == compressor.formatCode else {
      throw source.malformed("blocks of codec \(header.codec), which is not known here", at: 0)
    }
    guard header.name == file else {
      throw source.malformed("its header says \(header.name.name)", at: 0)
    }
    checksums.write(section.checksum)
    fileBytes = section.bytes.count
  }

  private static func header(_ reader: inout BinaryReader, fileBytes: Int) throws(MalformedBlob) -> ArchiveHeader {
    let signature = try reader.readBytes(ArchiveSection.signature.count)
    guard signature.elementsEqual(ArchiveSection.signature) else {
      throw reader.malformed("it is not a file of an archive")
    }
    let version = try reader.read(UInt16.self)
    guard version == ArchiveSection.version else {
      throw reader.malformed("version \(version), this program knows \(ArchiveSection.version)")
    }
    guard let content = ArchiveContent(rawValue: try reader.read()) else { throw reader.malformed("unknown content") }
    let codec = try reader.read(UInt8.self)
    guard try reader.read(UInt16.self) == 0 else { throw reader.malformed("bytes that must be 0 are not") }
    let partition = try reader.read(Int32.self)
    let from = try reader.read(Int64.self)
    let first = try reader.read(Int64.self)
    let time = try reader.read(Int64.self)
    guard partition >= 0, from >= 0, first >= from else { throw reader.malformed("an offset or a partition is wrong") }
    return ArchiveHeader(
      topic: try reader.readShortText(), partition: PartitionID(partition), content: content, codec: codec,
      from: Offset(from), first: Offset(first), firstTime: UnixTime(milliseconds: time))
  }

  /// The next block; nil once the footer has been read and agrees with everything before it.
  public mutating func next() throws(ArchiveError) -> ArchiveBlock? {
    guard footer == nil else { return nil }
    let section = try sections.section()
    switch section.kind {
    case .header: throw sections.malformed("a second header", at: section.start)
    case .block:
      let head = try sections.parse(section) { (reader) throws(MalformedBlob) in
        ArchiveBlockHead(
          number: try reader.read(), records: try reader.read(), rawBytes: try reader.read(),
          storedBytes: try reader.read(), first: try reader.read(), checksum: try reader.read())
      }
      return try block(head, section)
    case .footer:
      footer = try finish(section)
      return nil
    }
  }

  private mutating func block(
    _ head: ArchiveBlockHead, _ section: ArchiveSource.Section
  ) throws(ArchiveError) -> ArchiveBlock {
    guard head.number == blocks, head.records > 0, head.rawBytes <= ArchiveSection.maximumBlockBytes,
      head.storedBytes <= ArchiveSection.maximumBlockBytes
    else { throw sections.malformed("block \(head.number) is out of place", at: section.start) }
    let start = data.position
    let stored = try data.read(Int(head.storedBytes))
    guard stored.withUnsafeBytes({ Hashing.xxh3($0) }) == head.checksum else {
      throw data.malformed("the checksum of block \(head.number) does not match", at: start)
    }
    let raw: [UInt8]
    do throws(MalformedBlob) {
      raw = try stored.reading { (bytes) throws(MalformedBlob) in
        header.codec == 0
          ? try NoCompressor().decompress(bytes, count: Int(head.rawBytes))
          : try compressor.decompress(bytes, count: Int(head.rawBytes))
      }
    } catch {
      throw data.malformed(error.description, at: start)
    }
    let block = ArchiveBlock(
      content: header.content, records: Int(head.records), first: Offset(head.first), raw: raw, file: data.name)
    guard blocks > 0 || block.first == header.first else {
      throw sections.malformed("its first record is \(block.first)", at: section.start)
    }
    last = try block.check(after: last)
    checksums.write(section.checksum)
    fileBytes += section.bytes.count + stored.count
    blocks += 1
    records += block.records
    rawBytes += raw.count
    return block
  }

  private func finish(_ section: ArchiveSource.Section) throws(ArchiveError) -> ArchiveFooter {
    let size = fileBytes + section.bytes.count
    let (checksums, blocks, records, rawBytes) = (checksums, blocks, records, rawBytes)
    let last = header.content == .records ? last : nil
    let footer = try sections.parse(section) { (reader) throws(MalformedBlob) in
      guard try reader.read(UInt32.self) == blocks, try reader.read(UInt64.self) == UInt64(records) else {
        throw reader.malformed("blocks or records are missing")
      }
      let end = try reader.read(Int64.self)
      let newest = try reader.read(Int64.self)
      guard last == nil || last == Offset(end), try reader.read(UInt64.self) == UInt64(rawBytes),
        try reader.read(UInt64.self) == UInt64(size),
        try reader.read(UInt64.self) == checksums.bytes.withUnsafeBytes({ Hashing.xxh3($0) })
      else { throw reader.malformed("the file's totals do not match") }
      return ArchiveFooter(
        records: records, last: Offset(end), newestTime: UnixTime(milliseconds: newest), rawBytes: rawBytes)
    }
    guard footer.last >= self.last else { throw sections.malformed("its last offset is wrong", at: section.start) }
    for source in [sections, data] {
      guard try source.isAtEnd() else { throw source.malformed("there is more behind the end", at: source.position) }
    }
    return footer
  }
}

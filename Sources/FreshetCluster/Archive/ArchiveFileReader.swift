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
  private let name: String
  private let reader: any FileStoreReader
  private let compressor: any BlockCompressor
  public let header: ArchiveHeader
  /// Once everything has been read.
  public private(set) var footer: ArchiveFooter?
  private var checksums = BinaryWriter(capacity: 64)
  private var position = 0
  private var blocks: UInt32 = 0
  private var records = 0
  private var rawBytes = 0
  private var last = Offset.none

  /// - Parameter name: As in the store; the header has to agree with it.
  public init(
    name: String, reader: any FileStoreReader, compressor: any BlockCompressor
  ) throws(ArchiveError) {
    self.name = name
    self.reader = reader
    self.compressor = compressor
    var source = ArchiveSource(name: name, reader: reader)
    let section = try source.section(at: 0)
    guard section.kind == .header else { throw source.malformed("it does not begin with a header", at: 0) }
    header = try source.parse(section, at: 0) { (reader) throws(MalformedBlob) in
      try Self.header(&reader, fileBytes: section.bytes.count)
    }
    guard header.codec == 0 || header.codec == compressor.formatCode else {
      throw source.malformed("blocks of codec \(header.codec), which is not known here", at: 0)
    }
    guard name.hasSuffix(header.name.name) else {
      throw source.malformed("its header says \(header.name.name)", at: 0)
    }
    checksums.write(section.checksum)
    position = section.bytes.count
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
    var source = ArchiveSource(name: name, reader: reader)
    let section = try source.section(at: position)
    switch section.kind {
    case .header: throw source.malformed("a second header", at: position)
    case .block:
      let head = try source.parse(section, at: position) { (reader) throws(MalformedBlob) in
        ArchiveBlockHead(
          number: try reader.read(), records: try reader.read(), rawBytes: try reader.read(),
          storedBytes: try reader.read(), first: try reader.read(), checksum: try reader.read())
      }
      return try block(head, section, &source)
    case .footer:
      footer = try finish(section, &source)
      return nil
    }
  }

  private mutating func block(
    _ head: ArchiveBlockHead, _ section: ArchiveSource.Section, _ source: inout ArchiveSource
  ) throws(ArchiveError) -> ArchiveBlock {
    guard head.number == blocks, head.records > 0, head.rawBytes <= ArchiveSection.maximumBlockBytes,
      head.storedBytes <= ArchiveSection.maximumBlockBytes
    else { throw source.malformed("block \(head.number) is out of place", at: position) }
    let stored = try source.read(Int(head.storedBytes), at: position + section.bytes.count)
    guard stored.withUnsafeBytes({ Hashing.xxh3($0) }) == head.checksum else {
      throw source.malformed("the checksum of block \(head.number) does not match", at: position)
    }
    let raw: [UInt8]
    do throws(MalformedBlob) {
      raw = try stored.reading { (bytes) throws(MalformedBlob) in
        header.codec == 0
          ? try NoCompressor().decompress(bytes, count: Int(head.rawBytes))
          : try compressor.decompress(bytes, count: Int(head.rawBytes))
      }
    } catch {
      throw source.malformed(error.description, at: position)
    }
    let block = ArchiveBlock(
      content: header.content, records: Int(head.records), first: Offset(head.first), raw: raw, file: name)
    guard blocks > 0 || block.first == header.first else {
      throw source.malformed("its first record is \(block.first)", at: position)
    }
    last = try block.check(after: last)
    checksums.write(section.checksum)
    position += section.bytes.count + stored.count
    blocks += 1
    records += block.records
    rawBytes += raw.count
    return block
  }

  private func finish(
    _ section: ArchiveSource.Section, _ source: inout ArchiveSource
  ) throws(ArchiveError) -> ArchiveFooter {
    let size = position + section.bytes.count
    let (checksums, blocks, records, rawBytes) = (checksums, blocks, records, rawBytes)
    let last = header.content == .records ? last : nil
    let footer = try source.parse(section, at: position) { (reader) throws(MalformedBlob) in
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
    guard footer.last >= self.last, try source.isAtEnd() else {
      throw source.malformed("there is more behind the footer", at: size)
    }
    return footer
  }
}

/// Sections and bytes of a file, read in order.
private struct ArchiveSource {
  struct Section {
    let kind: ArchiveSection.Kind
    let bytes: [UInt8]
    let checksum: UInt64
  }

  let name: String
  let reader: any FileStoreReader

  func malformed(_ reason: String, at position: Int) -> ArchiveError {
    ArchiveError(.malformed, "\(name): byte \(position): \(reason)")
  }

  mutating func section(at position: Int) throws(ArchiveError) -> Section {
    let head = try read(ArchiveSection.headBytes, at: position)
    func word(_ index: Int) -> UInt32 {
      head.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)) }
    }
    let size = Int(word(1))
    guard word(0) == ArchiveSection.magic, let kind = ArchiveSection.Kind(rawValue: word(2)) else {
      throw malformed("no section begins here", at: position)
    }
    let isRight =
      switch kind {
      case .header:
        (0...ArchiveSection.topicBytes).contains(
          size - ArchiveSection.headerFixedBytes - 2 - ArchiveSection.checksumBytes)
      case .block: size == ArchiveSection.blockContentBytes
      case .footer: size == ArchiveSection.footerContentBytes
      }
    guard isRight else { throw malformed("a section of \(size) bytes", at: position) }
    let bytes = head + (try read(size - 4, at: position + head.count))
    let (computed, stored) = bytes.withUnsafeBytes { all in
      let end = all.count - ArchiveSection.checksumBytes
      return (
        Hashing.xxh3(UnsafeRawBufferPointer(rebasing: all[..<end])),
        UInt64(littleEndian: all.loadUnaligned(fromByteOffset: end, as: UInt64.self))
      )
    }
    guard computed == stored else { throw malformed("the checksum of a section does not match", at: position) }
    return Section(kind: kind, bytes: bytes, checksum: stored)
  }

  /// Reads what is between kind and checksum.
  func parse<T>(
    _ section: Section, at position: Int, _ body: (inout BinaryReader) throws(MalformedBlob) -> T
  ) throws(ArchiveError) -> T {
    do throws(MalformedBlob) {
      return try section.bytes.reading { (bytes) throws(MalformedBlob) in
        let content = bytes[ArchiveSection.headBytes..<bytes.count - ArchiveSection.checksumBytes]
        var reader = BinaryReader(UnsafeRawBufferPointer(rebasing: content), what: "\(name) at byte \(position)")
        let result = try body(&reader)
        try reader.finish()
        return result
      }
    } catch {
      throw ArchiveError(.malformed, error.description)
    }
  }

  func read(_ count: Int, at position: Int) throws(ArchiveError) -> [UInt8] {
    guard count <= reader.sizeBytes - position else {
      throw malformed("\(count) bytes expected, \(max(0, reader.sizeBytes - position)) left", at: position)
    }
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got: Int
      do throws(FileStoreError) {
        got = try read(into: &bytes, at: filled)
      } catch {
        throw ArchiveError(error)
      }
      guard got > 0 else { throw malformed("the file ends here", at: position + filled) }
      filled += got
    }
    return bytes
  }

  private func read(into bytes: inout [UInt8], at start: Int) throws(FileStoreError) -> Int {
    let result = bytes.withUnsafeMutableBytes { bytes in
      Result { () throws(FileStoreError) in
        try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
      }
    }
    return try result.get()
  }

  func isAtEnd() throws(ArchiveError) -> Bool {
    var byte: [UInt8] = [0]
    do throws(FileStoreError) {
      return try read(into: &byte, at: 0) == 0
    } catch {
      throw ArchiveError(error)
    }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` whose error keeps its type.
  fileprivate func reading<T, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> T) throws(E) -> T {
    let result = withUnsafeBytes { bytes in
      Result { () throws(E) in try body(bytes) }
    }
    return try result.get()
  }
}

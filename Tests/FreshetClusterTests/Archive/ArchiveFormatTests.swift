import FreshetCore
import Testing

@testable import FreshetCluster

@Suite struct ArchiveFormatTests {
  static let records = [
    LoggedRecord(offset: 7, timeMs: 86_400_000, key: [0x31], value: [0x61, 0x62]),
    LoggedRecord(offset: 9, timeMs: 86_400_005, key: nil, value: nil),
    LoggedRecord(offset: 10, timeMs: 86_400_003, key: [], value: [0xff]),
  ]

  static func header(_ content: ArchiveContent = .records) -> ArchiveHeader {
    ArchiveHeader(
      topic: "ab", partition: PartitionID(2), content: content, codec: 0, from: Offset(5), first: Offset(7),
      firstTime: UnixTime(milliseconds: 86_400_000))
  }

  /// Two blocks: one of two records, one of one.
  static func file() -> [UInt8] {
    var encoder = ArchiveFileEncoder(header: header(), compressor: NoCompressor(), blockBytes: 50)
    for record in records { record.withRecord { encoder.append($0) } }
    _ = encoder.finish()
    return encoder.takeOutput()
  }

  static let name = "topics/ab/date=1970-01-02/ab+2+0000000007.records.zst"

  static func read(_ bytes: [UInt8], name: String = name) throws -> (ArchiveHeader, [LoggedRecord], ArchiveFooter) {
    let store = MemoryStore()
    store.put(name, bytes)
    store.readLimit = 7
    var reader = try ArchiveCatalog.open(ArchiveFileName(name)!, in: store, compressor: NoCompressor())
    var records: [LoggedRecord] = []
    while let block = try reader.next() { try block.forEach { records.append(LoggedRecord($0)) } }
    return (reader.header, records, reader.footer!)
  }

  @Test func aFileHasTheseBytes() throws {
    let expected: [String] = [
      // Header: skippable frame of 58 bytes, kind 1, FRSHARCH, version 1, records, codec 0.
      "5a2a4d18 3a000000 01000000 4652534841524348 0100 00 00 0000",
      // Partition 2, from 5, first 7, time; topic "ab"; checksum.
      "02000000 0500000000000000 0700000000000000 005c260500000000 0200 6162",
    ]
    let bytes = Self.file()
    let head = expected.joined().filter { $0 != " " }
    #expect(Self.hexadecimal(bytes[..<58]) == head)
    // The whole, by its checksum.
    #expect(bytes.count == Self.goldenBytes)
    #expect(bytes.withUnsafeBytes { Hashing.xxh3($0) } == Self.goldenChecksum)
    // First block: two records, 50 bytes raw and stored, from offset 7 on.
    #expect(
      Self.hexadecimal(bytes[66..<98]) == "5a2a4d182c0000000200000000000000" + "02000000" + "33000000" + "33000000"
        + "07000000")
    #expect(
      Self.hexadecimal(bytes[118..<145])
        == "0700000000000000" + "005c260500000000" + "01000000" + "02000000" + "316162")
  }

  static let goldenBytes = 318
  static let goldenChecksum: UInt64 = 12_993_342_197_504_242_302

  static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  // MARK: - Lines of JSON

  static let lines = ["{\"a\":1}", "{\"bb\":22}", "{}"]
  static let linesName = "topics/ab/date=1970-01-02/ab+2+0000000007.jsonl.zst"
  static let sectionsName = "sections/ab/date=1970-01-02/ab+2+0000000007.sections"

  /// A file of lines, in two blocks, and the file of its sections.
  static func linesFile() -> (data: [UInt8], sections: [UInt8]) {
    var encoder = ArchiveFileEncoder(header: header(.jsonLines), compressor: NoCompressor(), blockBytes: 15)
    for (record, line) in zip(records, lines) {
      record.withRecord { encoder.append($0, asLine: Array(line.utf8)) }
    }
    _ = encoder.finish()
    return (encoder.takeOutput(), encoder.sections.bytes)
  }

  static func readLines(_ data: [UInt8], _ sections: [UInt8]) throws -> (blocks: [String], ArchiveFooter) {
    let store = MemoryStore()
    store.put(linesName, data)
    store.put(sectionsName, sections)
    store.readLimit = 7
    var reader = try ArchiveCatalog.open(ArchiveFileName(linesName)!, in: store, compressor: NoCompressor())
    var blocks: [String] = []
    while let block = try reader.next() { blocks.append(String(decoding: block.raw, as: UTF8.self)) }
    return (blocks, reader.footer!)
  }

  @Test func aFileOfLinesHasNothingButLinesAndItsSectionsAreInAnother() throws {
    #expect(ArchiveFileName(Self.linesName)?.sectionsName == Self.sectionsName)
    #expect(ArchiveFileName(Self.name)?.sectionsName == nil)
    let (data, sections) = Self.linesFile()
    #expect(String(decoding: data, as: UTF8.self) == Self.lines.map { $0 + "\n" }.joined())
    // Header, two blocks' heads, footer: those of a file of records, but for the content and what is counted.
    #expect(sections.count == 66 + 52 + 52 + 72)
    #expect(Self.hexadecimal(sections[..<24]) == "5a2a4d183a000000010000004652534841524348" + "01000100")
    #expect(sections.withUnsafeBytes { Hashing.xxh3($0) } == Self.goldenSectionsChecksum)
    let (blocks, footer) = try Self.readLines(data, sections)
    #expect(blocks == ["{\"a\":1}\n{\"bb\":22}\n", "{}\n"])
    #expect(footer.records == 3 && footer.end == Offset(11) && footer.rawBytes == data.count)
  }

  static let goldenSectionsChecksum: UInt64 = 4_523_312_462_288_697_793

  @Test func everyTruncationAndEveryBitFlipOfLinesOrTheirSectionsIsRefused() {
    let (data, sections) = Self.linesFile()
    for count in data.indices {
      #expect(throws: ArchiveError.self) { try Self.readLines(Array(data[..<count]), sections) }
    }
    for count in sections.indices {
      #expect(throws: ArchiveError.self) { try Self.readLines(data, Array(sections[..<count])) }
    }
    #expect(throws: ArchiveError.self) { try Self.readLines(data + [0], sections) }
    #expect(throws: ArchiveError.self) { try Self.readLines(data, sections + [0]) }
    for bit in 0..<8 {
      for position in data.indices {
        var damaged = data
        damaged[position] ^= 1 << UInt8(bit)
        #expect(throws: ArchiveError.self, "bit \(bit) of byte \(position)") { try Self.readLines(damaged, sections) }
      }
      for position in sections.indices {
        var damaged = sections
        damaged[position] ^= 1 << UInt8(bit)
        #expect(throws: ArchiveError.self, "bit \(bit) of byte \(position)") { try Self.readLines(data, damaged) }
      }
    }
  }

  @Test func linesWithoutTheirSectionsAreDamaged() throws {
    let store = MemoryStore()
    store.put(Self.linesName, Self.linesFile().data)
    let catalog = try ArchiveCatalog(topic: "ab", content: .jsonLines, in: store)
    let error = #expect(throws: ArchiveError.self) {
      try catalog.range(of: PartitionID(2), in: store, compressor: NoCompressor())
    }
    #expect(error?.kind == .malformed)
    #expect(error?.message.contains("its sections are missing, \(Self.sectionsName)") == true)
  }

  // MARK: - Records

  @Test func whatWasWrittenIsRead() throws {
    let (header, records, footer) = try Self.read(Self.file())
    #expect(header == Self.header())
    #expect(records == Self.records)
    #expect(footer.records == 3 && footer.last == Offset(10) && footer.end == Offset(11))
    #expect(footer.newestTime == UnixTime(milliseconds: 86_400_005))
  }

  @Test func everyTruncationIsRefused() {
    let bytes = Self.file()
    for count in 0..<bytes.count {
      #expect(throws: ArchiveError.self, "\(count) bytes") { try Self.read(Array(bytes[..<count])) }
    }
    #expect(throws: ArchiveError.self) { try Self.read(bytes + [0]) }
  }

  @Test func everyBitFlipIsRefused() {
    let bytes = Self.file()
    for position in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[position] ^= 1 << UInt8(bit)
        #expect(throws: ArchiveError.self, "bit \(bit) of byte \(position)") { try Self.read(damaged) }
      }
    }
  }

  @Test func aBlockThatIsLeftOutOrRepeatedIsRefused() {
    let bytes = Self.file()
    // Header, two blocks with their heads, footer.
    let first = 66..<66 + 52 + 51
    let second = first.upperBound..<bytes.count - 72
    #expect(throws: ArchiveError.self) { try Self.read(Array(bytes[..<66] + bytes[second.lowerBound...])) }
    #expect(throws: ArchiveError.self) {
      try Self.read(Array(bytes[..<second.lowerBound] + bytes[second.upperBound...]))
    }
    #expect(throws: ArchiveError.self) {
      try Self.read(Array(bytes[..<second.lowerBound] + bytes[first] + bytes[second.lowerBound...]))
    }
  }

  @Test func aFileUnderAnotherNameIsRefused() {
    for name in [
      "topics/ab/date=1970-01-02/ab+2+0000000008.records.zst", "topics/ab/date=1970-01-03/ab+2+0000000007.records.zst",
      "topics/ab/date=1970-01-02/ab+1+0000000007.records.zst",
    ] {
      #expect(throws: ArchiveError.self) { try Self.read(Self.file(), name: name) }
    }
  }

  @Test func namesAreReadAsTheyAreWritten() {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<500 {
      let name = ArchiveFileName(
        topic: ["a", "clicks.v2", "x_y-z"].randomElement(using: &random)!,
        partition: PartitionID(.random(in: 0...2000, using: &random)),
        first: Offset(.random(in: 0...(1 << (random.next() % 60)), using: &random)),
        day: ArchiveDay(days: .random(in: 0...60_000, using: &random)),
        content: ArchiveContent.allCases.randomElement(using: &random)!)
      #expect(ArchiveFileName(name.name) == name)
      #expect(StoredFileName.isValid(name.name))
    }
  }

  @Test(arguments: [
    "", "topics/t/date=1970-01-01/t+0+5.records.zst", "topics/t/date=1970-01-01/u+0+0000000005.records.zst",
    "topics/t/date=1970-02-30/t+0+0000000005.records.zst", "topics/t/date=1970-01-01/t+0+0000000005.zst",
    "topics/t/date=1970-01-01/t+-1+0000000005.records.zst", "t/date=1970-01-01/t+0+0000000005.records.zst",
    "topics/t/date=1970-1-1/t+0+0000000005.records.zst", "topics/t/date=1970-01-01/t+00+0000000005.records.zst",
  ])
  func otherNamesAreNone(name: String) { #expect(ArchiveFileName(name) == nil) }

  @Test func daysAreThoseOfTheCalendar() {
    // 400 years of it, counted day by day.
    var (year, month, day) = (1970, 1, 1)
    for days in Int64(0)..<146_097 {
      let expected =
        "\(year)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
      if days % 97 == 0 || day == 1 {
        #expect(ArchiveDay(days: days).description == expected)
        #expect(ArchiveDay(expected)?.days == days)
      }
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      let length = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
      day += 1
      if day > length { (month, day) = (month + 1, 1) }
      if month > 12 { (year, month) = (year + 1, 1) }
    }
    #expect(ArchiveDay("2023-02-29") == nil && ArchiveDay("2024-02-29") != nil && ArchiveDay("1969-12-31") == nil)
  }
}

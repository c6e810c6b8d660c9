import FreshetCore
import Testing

@testable import FreshetCluster

/// A log becomes files, each record once, whatever happens to those who write them.
@Suite struct ArchivePartitionTests {
  static let settings = ArchiveSettings(
    spanOffsets: 64, fileBytes: 4_000, windowMs: 3_600_000, closeAfterMs: 60_000, blockBytes: 500, retryBaseMs: 10,
    retryCapMs: 100)

  /// Runs lives until the log is read, closes the last file, and returns what is in the store.
  static func archive(
    _ log: [LoggedRecord], into store: MemoryStore, content: ArchiveContent = .records,
    dies: (ArchiveLife) -> Bool = { _ in false }
  ) throws -> Int {
    var lives = 0
    var now = Instant(nanoseconds: 1)
    while true {
      lives += 1
      let life: ArchiveLife
      do {
        life = try ArchiveLife(log, in: store, settings: settings, content: content, now: now)
      } catch let error as ArchiveError where error.kind == .store {
        continue
      }
      var isDead = false
      while !isDead {
        if try !life.step() {
          if life.next == nil {
            try life.pass(milliseconds: 50)
          } else {
            try life.caughtUp(at: UnixTime(milliseconds: .max / 2))
            if life.machine.openRecords == 0, life.machine.isReading { return lives }
          }
        }
        isDead = dies(life)
      }
      now = life.now
    }
  }

  @Test func everyRecordIsArchivedOnceInOrder() throws {
    for seed in UInt64(0)..<20 {
      var random = SeededGenerator(seed: seed)
      let log = LoggedRecord.log(400, random: &random)
      let store = MemoryStore()
      #expect(try Self.archive(log, into: store) == 1)
      #expect(try store.archived().records == log, "seed \(seed)")
      #expect(store.files.count > 6)
    }
  }

  @Test(arguments: ArchiveContent.allCases)
  func killedWritersAndAFailingStoreLeaveTheSameBytesAsAnUndisturbedRun(content: ArchiveContent) throws {
    var (deaths, failures) = (0, 0)
    // Making lines takes longer.
    let seeds = content == .records ? 60 : 20
    for seed in UInt64(0)..<UInt64(seeds) {
      var random = SeededGenerator(seed: seed)
      let log = LoggedRecord.log(400, random: &random)
      let calm = MemoryStore()
      _ = try Self.archive(log, into: calm, content: content)
      let store = MemoryStore()
      var faults = SeededGenerator(seed: seed ^ 0xabcd)
      store.finishesWhenFailing = seed % 2 == 0
      store.fault = { call, _, _ in
        let fails = faults.next() % 40 == 0
        if fails { failures += 1 }
        return fails
      }
      var seen = 0
      let lives = try Self.archive(log, into: store, content: content) { _ in
        if store.files.count != seen {
          seen = store.files.count
          let names = store.files.keys.compactMap { ArchiveFileName($0)?.sectionsName }
          #expect(names.allSatisfy { store.files[$0] != nil })
        }
        return random.next() % 60 == 0
      }
      deaths += lives - 1
      #expect(store.files == calm.files, "seed \(seed)")
    }
    #expect(deaths > seeds && failures > seeds, "\(deaths) \(failures)")
  }

  @Test func whatIsCommittedIsInTheStore() throws {
    var random = SeededGenerator(seed: 5)
    let log = LoggedRecord.log(300, random: &random)
    let store = MemoryStore()
    let life = try ArchiveLife(log, in: store, settings: Self.settings, now: Instant(nanoseconds: 1))
    var seen = 0
    while try life.step() {
      guard life.commits.count > seen else { continue }
      seen = life.commits.count
      #expect(life.commits.last == life.machine.durable)
      let archived = try store.archived().records
      #expect(archived == Array(log.prefix { $0.offset < life.machine.durable.value }))
    }
    #expect(seen > 3 && life.machine.statistics.files == UInt64(seen))
    #expect(life.machine.statistics.records == UInt64(try store.archived().records.count))
    #expect(life.machine.statistics.storedBytes == UInt64(store.files.values.reduce(0) { $0 + $1.count }))
  }

  @Test func filesAreCutAtSpansWindowsAndSizes() throws {
    for seed in UInt64(0)..<20 {
      var random = SeededGenerator(seed: seed)
      let log = LoggedRecord.log(400, random: &random)
      let store = MemoryStore()
      _ = try Self.archive(log, into: store)
      let catalog = try ArchiveCatalog(topic: ArchiveLife.topic, content: .records, in: store)
      var previous = Offset(0)
      for file in catalog.files[ArchiveLife.partition]! {
        let (header, footer) = try ArchiveCatalog.verify(file, in: store, compressor: NoCompressor())
        let records = log.filter { (header.first.value...footer.last.value).contains($0.offset) }
        #expect(header.from == previous && records.count == footer.records)
        previous = footer.end
        #expect(header.first.value / 64 == footer.last.value / 64)
        let bytes = records.reduce(0) { $0 + ($1.key?.count ?? 0) + ($1.value?.count ?? 0) }
        #expect(bytes <= Self.settings.fileBytes)
        // No record of a file lies in a later window than its first one; the file is found under that one's day.
        #expect(records.allSatisfy { $0.timeMs / 3_600_000 <= records[0].timeMs / 3_600_000 })
        #expect(file.day.days == records[0].timeMs / ArchiveDay.milliseconds)
      }
    }
  }

  @Test func anArchiveThatBeginsLaterCutsLikeTheOneBeforeFromTheNextSpanOn() throws {
    var random = SeededGenerator(seed: 9)
    let log = LoggedRecord.log(400, random: &random)
    let whole = MemoryStore()
    _ = try Self.archive(log, into: whole)
    let later = MemoryStore()
    _ = try Self.archive(Array(log.drop { $0.offset < 100 }), into: later)
    // Everything from offset 128 on is the same.
    func names(_ store: MemoryStore) -> Set<String> {
      Set(store.files.keys.filter { ArchiveFileName($0)!.first.value >= 128 })
    }
    #expect(names(whole) == names(later) && names(whole).count > 3)
  }

  @Test func aQuietPartitionIsClosedByTheClockAfterItsWindow() throws {
    let log = [LoggedRecord(offset: 4, timeMs: 3_600_000 * 5 + 17, key: nil, value: [1])]
    let store = MemoryStore()
    let life = try ArchiveLife(log, in: store, settings: Self.settings, now: Instant(nanoseconds: 1))
    #expect(try life.step())
    let due: Int64 = 3_600_000 * 6 + 60_000
    try life.caughtUp(at: UnixTime(milliseconds: due - 1))
    #expect(store.files.isEmpty && life.machine.openRecords == 1)
    try life.caughtUp(at: UnixTime(milliseconds: due))
    #expect(store.files.keys.sorted() == ["topics/t/date=1970-01-01/t+3+0000000004.records.zst"])
    #expect(life.commits == [Offset(5)])
  }

  @Test func aGapBetweenArchiveAndLogIsAnErrorUnlessItIsAllowed() throws {
    func start(_ archived: Range<Int64>?, _ log: Range<Int64>, _ allowsGap: Bool = false) throws -> [Int64] {
      let (start, lost) = try ArchiveStart.position(
        of: PartitionID(0), topic: "t", archived: archived.map { Offset($0.lowerBound)..<Offset($0.upperBound) },
        log: Offset(log.lowerBound)..<Offset(log.upperBound), allowsGap: allowsGap)
      return [start.value, lost]
    }
    #expect(try start(nil, 7..<9) == [7, 0])
    #expect(try start(0..<8, 7..<9) == [8, 0])
    #expect(try start(0..<7, 7..<9) == [7, 0])
    #expect(try start(0..<5, 7..<9, true) == [7, 2])
    for (archived, log) in [(Int64(0)..<5, Int64(7)..<9), (0..<10, 0..<9)] {
      let error = #expect(throws: ArchiveError.self) { try start(archived, log) }
      #expect(error?.kind == .gap)
    }
  }

  @Test func aStreamDeliversEachRecordOnceFromAnyOffsetAndMissesNoFile() throws {
    var random = SeededGenerator(seed: 3)
    let log = LoggedRecord.log(400, random: &random)
    let store = MemoryStore()
    _ = try Self.archive(log, into: store)
    let files = try ArchiveCatalog(topic: ArchiveLife.topic, content: .records, in: store).files[ArchiveLife.partition]!
    func read(from: Int64) throws -> [LoggedRecord] {
      var stream = ArchiveStream(files, from: Offset(from), in: store, compressor: NoCompressor())
      var records: [LoggedRecord] = []
      while try stream.next({ records.append(LoggedRecord($0)) }) {}
      #expect(stream.position.value == max(from, log.last!.offset + 1))
      return records
    }
    for from in stride(from: Int64(0), to: log.last!.offset + 3, by: 5) {
      #expect(try read(from: from) == Array(log.drop { $0.offset < from }), "from \(from)")
    }
    store.lose(files[2].name)
    let left = try ArchiveCatalog(topic: ArchiveLife.topic, content: .records, in: store).files[ArchiveLife.partition]!
    var stream = ArchiveStream(left, from: Offset(0), in: store, compressor: NoCompressor())
    let error = #expect(throws: ArchiveError.self) { while try stream.next({ _ in }) {} }
    #expect(error?.kind == .gap && error?.message.contains("lacks the offsets") == true)
  }

  @Test func linesOfJSONAreArchivedAlike() throws {
    var random = SeededGenerator(seed: 8)
    let log = LoggedRecord.log(200, random: &random)
    let store = MemoryStore()
    _ = try Self.archive(log, into: store, content: .jsonLines) { _ in random.next() % 50 == 0 }
    let lines = try store.archived(content: .jsonLines).blocks.flatMap { block in
      block.raw.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(lines.count == log.count)
    let files = store.files.keys.filter { $0.hasPrefix("topics/") }
    #expect(files.count > 3 && store.files.count == 2 * files.count)
    for (line, record) in zip(lines, log) {
      #expect(line.hasPrefix("{\"partition\":3,\"offset\":\(record.offset),\"time\":\(record.timeMs),\"key"))
    }
  }
}

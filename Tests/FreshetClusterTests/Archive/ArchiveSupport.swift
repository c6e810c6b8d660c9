import FreshetCore

@testable import FreshetCluster

/// A record of a made-up log.
struct LoggedRecord: Equatable {
  var offset: Int64
  var timeMs: Int64
  var key: [UInt8]?
  var value: [UInt8]?

  /// A log as topics have them: gaps, times that now and then go back, keys and values of all kinds.
  static func log(_ count: Int, random: inout SeededGenerator) -> [LoggedRecord] {
    var offset = Int64.random(in: 0...5, using: &random)
    var timeMs = Int64.random(in: 0...4 * ArchiveDay.milliseconds, using: &random)
    return (0..<count).map { _ in
      offset += random.next() % 7 == 0 ? Int64.random(in: 2...40, using: &random) : 1
      timeMs += random.next() % 23 == 0 ? 5_000_000 : Int64.random(in: 0...60_000, using: &random)
      let late = random.next() % 11 == 0 ? Int64.random(in: 0...3_000_000, using: &random) : 0
      func bytes(_ most: Int) -> [UInt8]? {
        guard random.next() % 9 != 0 else { return nil }
        return (0..<Int.random(in: 0...most, using: &random)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      }
      return LoggedRecord(offset: offset - 1, timeMs: max(0, timeMs - late), key: bytes(9), value: bytes(200))
    }
  }

  func withRecord<T>(_ body: (ArchivedRecord) throws -> T) rethrows -> T {
    func buffer<R>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws -> R) rethrows -> R {
      guard let bytes else { return try body(nil) }
      return try bytes.withUnsafeBytes { try body($0) }
    }
    return try buffer(key) { key in
      try buffer(value) { value in
        try body(
          ArchivedRecord(offset: Offset(offset), time: UnixTime(milliseconds: timeMs), key: key, value: value))
      }
    }
  }
}

extension LoggedRecord {
  init(_ record: ArchivedRecord) {
    self.init(
      offset: record.offset.value, timeMs: record.time.milliseconds, key: record.key.map { Array($0) },
      value: record.value.map { Array($0) })
  }
}

/// One life of a process that archives one partition: the machine and its store, without threads.
final class ArchiveLife {
  static let topic = "t"
  static let partition = PartitionID(3)

  let log: [LoggedRecord]
  let store: MemoryStore
  let machine: ArchivePartition
  private(set) var now: Instant
  private var writer: (any FileStoreWriter)?
  /// Where in the log it reads; nil while it is paused.
  private(set) var next: Int?
  private(set) var commits: [Offset] = []
  private(set) var created: [String] = []

  init(
    _ log: [LoggedRecord], in store: MemoryStore, settings: ArchiveSettings, content: ArchiveContent = .records,
    now: Instant
  ) throws {
    self.log = log
    self.store = store
    self.now = now
    let catalog = try ArchiveCatalog(topic: Self.topic, content: content, in: store)
    let range = try catalog.range(of: Self.partition, in: store, compressor: NoCompressor())
    let (start, _) = try ArchiveStart.position(
      of: Self.partition, topic: Self.topic, archived: range, log: Offset(0)..<Offset((log.last?.offset ?? -1) + 1),
      allowsGap: false)
    machine = ArchivePartition(
      topic: Self.topic, partition: Self.partition, content: content, settings: settings, compressor: NoCompressor(),
      start: start, now: now, seed: 1)
    try handle(.tick)
  }

  /// Passes on the next record, if it reads.
  /// - Returns: Whether there was one.
  func step() throws -> Bool {
    guard let next, next < log.count else { return false }
    self.next = next + 1
    try log[next].withRecord { try handle(.record($0)) }
    return true
  }

  func pass(milliseconds: Int) throws {
    now = now.advanced(byMs: milliseconds)
    try handle(.tick)
  }

  func caughtUp(at wallTime: UnixTime) throws { try handle(.caughtUp(wallTime: wallTime)) }

  private func handle(_ event: ArchiveEvent) throws {
    for action in try machine.handle(event, now: now) {
      do {
        try perform(action)
      } catch let error as FileStoreError {
        return try handle(.failed(ArchiveError(error)))
      }
    }
  }

  private func perform(_ action: ArchiveAction) throws {
    switch action {
    case .read(let offset): next = log.firstIndex { $0.offset >= offset.value } ?? log.count
    case .pause: next = nil
    case .create(let name):
      created.append(name.name)
      writer = try store.create(name.name)
    case .write(let bytes): try bytes.withUnsafeBytes { try writer!.write($0) }
    case .put(let name, let bytes):
      let writer = try store.create(name)
      try bytes.withUnsafeBytes { try writer.write($0) }
      try writer.finish()
    case .finish(let end):
      try writer!.finish()
      writer = nil
      try handle(.stored(end: end))
    case .abandon:
      writer?.abandon()
      writer = nil
    case .commit(let offset): commits.append(offset)
    case .notice: break
    }
  }
}

extension MemoryStore {
  /// Everything that the archive has, in the order of its files.
  func archived(content: ArchiveContent = .records) throws -> (records: [LoggedRecord], blocks: [ArchiveBlock]) {
    var records: [LoggedRecord] = []
    var blocks: [ArchiveBlock] = []
    let catalog = try ArchiveCatalog(topic: ArchiveLife.topic, content: content, in: self)
    for file in catalog.files[ArchiveLife.partition] ?? [] {
      var reader = try ArchiveCatalog.open(file, in: self, compressor: NoCompressor())
      while let block = try reader.next() {
        blocks.append(block)
        if content == .records { try block.forEach { records.append(LoggedRecord($0)) } }
      }
    }
    return (records, blocks)
  }
}

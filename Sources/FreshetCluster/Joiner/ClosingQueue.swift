import FreshetCore

/// The windows that close, earliest first: all of them in memory, or with a disk only the next ones and those that are not
/// written yet.
struct ClosingQueue {
  typealias Entry = DeadlineHeap.Entry

  /// Closings that are read from disk at once, and what stays in memory when there are too many.
  private let chunk: Int
  private let disk: StateAccess?
  private var near = DeadlineHeap()
  /// Everything before it is in `near`; what is due then or later is on disk or in `unwritten`.
  private var horizonMs = Int64.max
  /// Not on disk yet; those before the horizon are in `near` too.
  private var unwritten: [Entry] = []

  /// - Parameter chunk: Closings that are read from disk at once.
  init(disk: StateAccess?, chunk: Int) {
    self.disk = disk
    self.chunk = chunk
  }

  var residentCount: Int { near.count + unwritten.count }
  var unwrittenBytes: Int { unwritten.count * MemoryLayout<Entry>.stride }

  /// The disk has the closings from this time on.
  mutating func startFromDisk(fromMs: Int64) { horizonMs = fromMs }

  mutating func insert(_ entry: Entry) {
    if entry.deadlineMs < horizonMs { near.insert(entry) }
    if disk != nil { unwritten.append(entry) }
  }

  /// The next one that is due before a time; reads on if need be.
  mutating func first(before timeMs: Int64) -> Entry? {
    while true {
      if let entry = near.first { return entry.deadlineMs < timeMs ? entry : nil }
      guard horizonMs < timeMs, let disk, disk.failure == nil else { return nil }
      readOn(disk)
    }
  }

  /// - Precondition: `first` gave one.
  mutating func removeFirst() { near.removeFirst() }

  private mutating func readOn(_ disk: StateAccess) {
    var found: [Entry] = []
    var next = Int64.max
    let limit = chunk
    let start = StateRecord.closingKey(deadlineMs: horizonMs, offset: 0)
    disk.scan(.closings, from: start) { key, value throws(JoinerStateError) in
      let entry = try StateRecord.closing(key: key, value: value)
      // Those of one time belong together.
      if found.count >= limit, entry.deadlineMs != found[found.count - 1].deadlineMs {
        next = entry.deadlineMs
        return false
      }
      found.append(entry)
      return true
    }
    guard disk.failure == nil else { return }
    for entry in found { near.insert(entry) }
    for entry in unwritten where entry.deadlineMs >= horizonMs && entry.deadlineMs < next { near.insert(entry) }
    horizonMs = next
  }

  /// Adds what is not on disk to a batch.
  /// - Parameter fromMs: Earlier ones have happened.
  mutating func write(to batch: JoinerStateBatch, fromMs: Int64) {
    for entry in unwritten where entry.deadlineMs >= fromMs {
      batch.put(.closings, keyCount: 16, maxValueCount: 8) { room in
        room.storeBytes(of: entry.deadlineMs.bigEndian, as: Int64.self)
        room.storeBytes(of: entry.offset.bigEndian, toByteOffset: 8, as: Int64.self)
        room.storeBytes(of: entry.reference.littleEndian, toByteOffset: 16, as: UInt64.self)
        return 8
      }
    }
    unwritten.removeAll(keepingCapacity: true)
  }

  /// Leaves the later ones to the disk if there are many.
  ///
  /// - Precondition: All of them are on disk.
  mutating func trim() {
    guard disk != nil, near.count > 4 * chunk else { return }
    horizonMs = near.keepFirst(chunk)
  }
}

import FreshetCore

/// The impressions that wait for actions, by request.
///
/// Without a disk all of them are in memory. With one, memory holds those that changed since the last commit, which are
/// written then, the newest of the others, and some that were read lately; whatever is not there is looked up on disk.
final class FeatureStore {
  /// Blocks of impressions that arrived.
  let arena = BlockArena()
  /// Blocks of impressions that were read from disk.
  private let loadedArena = BlockArena()
  private let disk: StateAccess?

  private var slots: UnsafeMutablePointer<Impression>
  private var capacity = 1024
  private var used = 0
  private let free = RingQueue<Int32>()
  /// Slots in the order of arrival.
  private let order = RingQueue<Int32>()
  /// Slots of what was read from disk, in that order.
  private let loaded = RingQueue<Int32>()
  /// Bytes of what was read from disk that there is room for, beside what changed of it.
  private let loadedRoom: Int
  /// What was read is dropped when there is so much of it.
  private var dropAtBytes: Int
  /// Changes have been collected and may not be on disk yet.
  private var isBeingWritten = false
  private let index = RequestIndex()

  private let changed = RingQueue<Int32>()
  /// Of what changed since it was last written; an estimate.
  private(set) var changedBytes = 0
  /// Requests that are not on disk, as long as nothing that was in memory only can be there.
  private let absent = RequestSet()
  /// What happened earlier does not matter any more and is not found on disk.
  var keptFromMs = Int64.min
  private(set) var lookups = JoinerLookups()
  private let wanted = UnsafeMutablePointer<UInt64>.allocate(capacity: FeatureStore.prefetchCount)

  static let prefetchCount = 128

  /// - Parameter loadedRoom: Bytes of impressions read from disk that stay in memory, what changed of them not counted.
  init(disk: StateAccess?, loadedRoom: Int) {
    self.disk = disk
    self.loadedRoom = loadedRoom
    dropAtBytes = loadedRoom
    slots = .allocate(capacity: capacity)
  }

  deinit {
    slots.deallocate()
    wanted.deallocate()
  }

  /// Whether there is a disk below: then memory is a cache and nothing is given up for want of it.
  var isTiered: Bool { disk != nil }
  /// In memory, in the order of arrival.
  var count: Int { order.count }
  /// In memory.
  var residentCount: Int { order.count + loaded.count }
  var residentBytes: Int { arena.byteCount + order.count * Self.bytesBesideBlock + loadedBytes + index.byteCount }

  /// Of those that were read from disk.
  var loadedBytes: Int { loadedArena.byteCount + loaded.count * Self.bytesBesideBlock }

  /// A slot, and its place in a queue.
  private static let bytesBesideBlock = MemoryLayout<Impression>.stride + 8

  /// The slot of a request; looks on disk if need be.
  @inline(__always)
  func find(_ requestHash: UInt64) -> Int? {
    if let slot = index.find(requestHash, slots) {
      lookups.hits &+= 1
      return slot
    }
    return disk == nil ? nil : load(requestHash)
  }

  subscript(slot: Int) -> Impression {
    @inline(__always) get { slots[slot] }
    set {
      let place = slots[slot].place
      slots[slot] = newValue
      slots[slot].place = place
      touch(slot)
    }
  }

  /// Notes an action of a kind that has not been seen.
  @inline(__always)
  func markSeen(_ slot: Int, _ mask: UInt16, positives: UInt16) {
    slots[slot].seen |= mask
    slots[slot].positives |= positives
    touch(slot)
  }

  /// - Precondition: The request is not there.
  @discardableResult
  func insert(_ impression: Impression) -> Int {
    let slot = place(impression)
    order.append(Int32(slot))
    touch(slot)
    return slot
  }

  private func place(_ impression: Impression) -> Int {
    let slot: Int
    if free.isEmpty {
      if used == capacity { grow() }
      slot = used
      used += 1
    } else {
      slot = Int(free.removeFirst())
    }
    (slots + slot).initialize(to: impression)
    index.insert(impression.requestHash, slot, slots)
    return slot
  }

  @inline(__always)
  private func touch(_ slot: Int) {
    guard disk != nil, !slots[slot].place.contains(.changed) else { return }
    slots[slot].place.insert(.changed)
    changed.append(Int32(slot))
    changedBytes += 40 + slots[slot].blockByteCount
  }

  /// The one in memory that arrived first.
  var oldest: Impression? { order.isEmpty ? nil : slots[Int(order.first)] }

  /// Drops it from memory.
  /// - Precondition: Not empty.
  /// - Returns: The impression; its block is the caller's to release.
  func removeOldest() -> Impression { vacate(Int(order.removeFirst())) }

  private func vacate(_ slot: Int) -> Impression {
    let impression = slots[slot]
    index.remove(impression.requestHash, slot)
    slots[slot].offset = -1
    slots[slot].place = []
    free.append(Int32(slot))
    return impression
  }

  /// Forgets the request, so that it may come again; its place in the order stays until its turn comes.
  func forget(_ requestHash: UInt64) {
    if let slot = index.find(requestHash, slots) { index.remove(requestHash, slot) }
  }

  private func grow() {
    let grown = UnsafeMutablePointer<Impression>.allocate(capacity: capacity * 2)
    grown.update(from: slots, count: used)
    slots.deallocate()
    slots = grown
    capacity *= 2
  }

  // MARK: - The disk below

  private func load(_ requestHash: UInt64) -> Int? {
    guard !absent.contains(requestHash), let disk else { return nil }
    wanted[0] = requestHash
    lookUp(1, disk)
    guard let slot = index.find(requestHash, slots) else { return nil }
    lookups.hits += 1
    return slot
  }

  /// Looks up what is soon asked for, all at once; the closure is called with `0..<count`.
  func prefetch(_ count: Int, _ requestHash: (Int) -> UInt64) {
    guard let disk else { return }
    var missing = 0
    for position in 0..<min(count, Self.prefetchCount) {
      let hash = requestHash(position)
      guard !absent.contains(hash), index.find(hash, slots) == nil else { continue }
      wanted[missing] = hash
      missing += 1
    }
    if missing > 0 { lookUp(missing, disk) }
  }

  private func lookUp(_ count: Int, _ disk: StateAccess) {
    if loadedBytes >= dropAtBytes { dropLoaded() }
    lookups.onDisk += count
    disk.lookUp(UnsafeBufferPointer(start: wanted, count: count)) { position, record in
      let hash = wanted[position]
      guard index.find(hash, slots) == nil else { return }
      do throws(JoinerStateError) {
        var impression = try ImpressionRecord.decode(record, requestHash: hash) { loadedArena.allocate($0) }
        guard impression.timeMs >= keptFromMs else {
          return loadedArena.release(.init(start: impression.block, chunk: impression.chunk))
        }
        impression.place = .loaded
        loaded.append(Int32(place(impression)))
        lookups.found += 1
      } catch { disk.fail(error) }
    }
    for position in 0..<count where index.find(wanted[position], slots) == nil { absent.insert(wanted[position]) }
  }

  /// Makes room for what is read next: drops what was read first, unless it changed.
  private func dropLoaded() {
    guard !isBeingWritten else { return }
    for _ in 0..<loaded.count {
      guard loadedBytes > loadedRoom / 4 * 3 else { break }
      let slot = loaded.removeFirst()
      if slots[Int(slot)].place.contains(.changed) { loaded.append(slot) } else { dropLoaded(Int(slot)) }
    }
    // What changed is in the way until it is written.
    dropAtBytes = max(loadedRoom, loadedBytes + loadedRoom / 4)
  }

  private func dropLoaded(_ slot: Int) {
    let impression = vacate(slot)
    loadedArena.release(.init(start: impression.block, chunk: impression.chunk))
  }

  /// Adds what changed to a batch.
  func write(to batch: JoinerStateBatch) {
    isBeingWritten = true
    while !changed.isEmpty {
      let slot = Int(changed.removeFirst())
      guard slots[slot].place.contains(.changed) else { continue }
      slots[slot].place.remove(.changed)
      let impression = slots[slot]
      batch.put(.impressions, keyCount: 8, maxValueCount: ImpressionRecord.maxByteCount(impression)) { room in
        room.storeBytes(of: impression.requestHash.bigEndian, as: UInt64.self)
        return ImpressionRecord.encode(impression, into: room + 8)
      }
    }
    changedBytes = 0
  }

  /// Drops from memory what it has no room for: of what was read from disk all but a quarter of `bytes`, then what arrived first,
  /// so that a quarter of `bytes` is left for what will be read.
  ///
  /// - Precondition: Everything that changed is on disk.
  func trim(to bytes: Int) {
    isBeingWritten = false
    dropAtBytes = loadedRoom
    absent.removeAll()
    while !loaded.isEmpty, loadedBytes > bytes / 4 || slots[Int(loaded.first)].timeMs < keptFromMs {
      dropLoaded(Int(loaded.removeFirst()))
    }
    while !order.isEmpty, residentBytes - loadedBytes > bytes / 4 * 3 {
      let impression = removeOldest()
      arena.release(.init(start: impression.block, chunk: impression.chunk))
    }
  }
}

/// How often impressions were looked for, and where they were.
public struct JoinerLookups: Sendable, Equatable {
  /// Impressions that were found.
  public var hits = 0
  /// Requests that were looked for on disk.
  public var onDisk = 0
  /// Impressions that came from disk.
  public var found = 0

  public init() {}

  /// Hits that were in memory already.
  public var inMemory: Int { max(0, hits - found) }

  public mutating func add(_ other: JoinerLookups) {
    hits += other.hits
    onDisk += other.onDisk
    found += other.found
  }
}

/// Which slot a request is in: open addressing over 32 bits of the request's hash and the slot's number, 8 bytes an entry.
///
/// Removal moves the entries behind it up, so that nothing is left of it and lookups stay short (linear probing without
/// tombstones: Knuth, TAOCP 3, 6.4, algorithm R).
final class RequestIndex {
  private static let empty = UInt64.max
  private var entries: UnsafeMutablePointer<UInt64>
  private var mask = 1023
  private(set) var count = 0

  init() {
    entries = .allocate(capacity: mask + 1)
    entries.initialize(repeating: Self.empty, count: mask + 1)
  }

  deinit { entries.deallocate() }

  private static func entry(_ requestHash: UInt64, _ slot: Int) -> UInt64 {
    requestHash & 0xffff_ffff_0000_0000 | UInt64(UInt32(slot))
  }

  var byteCount: Int { (mask + 1) * 8 }

  /// - Parameter slots: Where the impressions are.
  @inline(__always)
  func find(_ requestHash: UInt64, _ slots: UnsafePointer<Impression>) -> Int? {
    let tag = requestHash >> 32
    var position = Int(tag) & mask
    while true {
      let entry = entries[position]
      if entry == Self.empty { return nil }
      if entry >> 32 == tag {
        let slot = Int(UInt32(truncatingIfNeeded: entry))
        if slots[slot].requestHash == requestHash { return slot }
      }
      position = (position &+ 1) & mask
    }
  }

  /// Gives the request a slot, whatever it had before.
  func insert(_ requestHash: UInt64, _ slot: Int, _ slots: UnsafePointer<Impression>) {
    if let old = find(requestHash, slots) { remove(requestHash, old) }
    if (count + 1) * 3 > (mask + 1) * 2 { grow() }
    put(Self.entry(requestHash, slot))
    count += 1
  }

  /// Does nothing if the request has another slot.
  func remove(_ requestHash: UInt64, _ slot: Int) {
    let wanted = Self.entry(requestHash, slot)
    var hole = Int(requestHash >> 32) & mask
    while entries[hole] != wanted {
      if entries[hole] == Self.empty { return }
      hole = (hole &+ 1) & mask
    }
    count -= 1
    var position = hole
    while true {
      position = (position &+ 1) & mask
      let entry = entries[position]
      if entry == Self.empty { break }
      let home = Int(entry >> 32) & mask
      if (position &- home) & mask >= (position &- hole) & mask {
        entries[hole] = entry
        hole = position
      }
    }
    entries[hole] = Self.empty
  }

  private func put(_ entry: UInt64) {
    var position = Int(entry >> 32) & mask
    while entries[position] != Self.empty { position = (position &+ 1) & mask }
    entries[position] = entry
  }

  private func grow() {
    let old = entries
    let oldCount = mask + 1
    mask = oldCount * 2 - 1
    entries = .allocate(capacity: mask + 1)
    entries.initialize(repeating: Self.empty, count: mask + 1)
    for position in 0..<oldCount where old[position] != Self.empty { put(old[position]) }
    old.deallocate()
  }
}

/// A small set of requests; forgets all of them rather than grow.
final class RequestSet {
  private static let capacity = 4096
  private let entries: UnsafeMutablePointer<UInt64>
  private var count = 0

  init() {
    entries = .allocate(capacity: Self.capacity)
    entries.initialize(repeating: 0, count: Self.capacity)
  }

  deinit { entries.deallocate() }

  @inline(__always)
  func contains(_ requestHash: UInt64) -> Bool {
    guard count > 0, requestHash != 0 else { return false }
    var position = Int(requestHash >> 32) & (Self.capacity - 1)
    while entries[position] != 0 {
      if entries[position] == requestHash { return true }
      position = (position + 1) & (Self.capacity - 1)
    }
    return false
  }

  func insert(_ requestHash: UInt64) {
    guard requestHash != 0, !contains(requestHash) else { return }
    if count == Self.capacity / 2 { removeAll() }
    var position = Int(requestHash >> 32) & (Self.capacity - 1)
    while entries[position] != 0 { position = (position + 1) & (Self.capacity - 1) }
    entries[position] = requestHash
    count += 1
  }

  func removeAll() {
    guard count > 0 else { return }
    entries.update(repeating: 0, count: Self.capacity)
    count = 0
  }
}

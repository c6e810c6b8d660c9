import FreshetCore

/// Numbers the distinct (table, fid) pairs of a batch in the order of their first appearance.
///
/// An open-addressing map whose slots are stamped with the batch they belong to, so that starting a new batch costs nothing.
struct FidDeduplicator {
  private(set) var fids: [Fid] = []
  private(set) var tables: [UInt8] = []
  private var slots: [UInt32]
  private var stamps: [UInt32]
  private var stamp: UInt32 = 0
  private var mask: Int

  init() {
    slots = [UInt32](repeating: 0, count: 1024)
    stamps = [UInt32](repeating: 0, count: 1024)
    mask = 1023
  }

  /// Forgets the last batch and makes room for one of `count` occurrences.
  mutating func begin(occurrences count: Int) {
    fids.removeAll(keepingCapacity: true)
    tables.removeAll(keepingCapacity: true)
    if count * 2 > slots.count {
      var capacity = slots.count
      while count * 2 > capacity { capacity *= 2 }
      slots = [UInt32](repeating: 0, count: capacity)
      stamps = [UInt32](repeating: 0, count: capacity)
      mask = capacity - 1
      stamp = 0
    }
    if stamp == .max {
      for index in stamps.indices { stamps[index] = 0 }
      stamp = 0
    }
    stamp += 1
  }

  /// The number of the pair, new or known.
  @inline(__always)
  mutating func number(of fid: Fid, table: UInt8) -> Int32 {
    var slot = Int(truncatingIfNeeded: Hashing.mix(fid)) & mask
    while stamps[slot] == stamp {
      let number = Int(slots[slot])
      if fids[number] == fid && tables[number] == table { return Int32(truncatingIfNeeded: number) }
      slot = (slot &+ 1) & mask
    }
    stamps[slot] = stamp
    slots[slot] = UInt32(truncatingIfNeeded: fids.count)
    fids.append(fid)
    tables.append(table)
    return Int32(truncatingIfNeeded: fids.count &- 1)
  }
}

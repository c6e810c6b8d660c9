/// Finds positions by 64-bit hashes that are well mixed: linear probing, deletion without tombstones.
struct ItemIndex: ~Copyable {
  private struct Slot {
    var hash: UInt64
    /// −1 where there is none.
    var position: Int
  }

  private var slots: UnsafeMutablePointer<Slot>
  private var mask: Int
  private var count = 0

  init() {
    mask = 63
    slots = Self.allocate(mask + 1)
  }

  deinit { slots.deallocate() }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Slot> {
    let slots = UnsafeMutablePointer<Slot>.allocate(capacity: count)
    slots.initialize(repeating: Slot(hash: 0, position: -1), count: count)
    return slots
  }

  /// −1 if the hash is not there.
  @inline(__always)
  func find(_ hash: UInt64) -> Int {
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let slot = slots[index]
      if slot.hash == hash || slot.position < 0 { return slot.position }
      index = (index &+ 1) & mask
    }
  }

  /// - Precondition: The hash is not there.
  mutating func insert(_ hash: UInt64, _ position: Int) {
    // At most half full.
    if count * 2 > mask { grow() }
    place(Slot(hash: hash, position: position))
    count += 1
  }

  private func place(_ slot: Slot) {
    var index = Int(truncatingIfNeeded: slot.hash) & mask
    while slots[index].position >= 0 { index = (index &+ 1) & mask }
    slots[index] = slot
  }

  /// A copy with room for so many more; nil if there is room already.
  func widened(for more: Int) -> ItemIndex? {
    guard (count + more) * 2 > mask else { return nil }
    var wider = ItemIndex()
    while (count + more) * 2 > wider.mask { wider.mask = wider.mask * 2 + 1 }
    wider.slots.deallocate()
    wider.slots = Self.allocate(wider.mask + 1)
    for slot in UnsafeBufferPointer(start: slots, count: mask + 1) where slot.position >= 0 { wider.place(slot) }
    wider.count = count
    return wider
  }

  private mutating func grow() {
    let old = UnsafeMutableBufferPointer(start: slots, count: mask + 1)
    mask = mask * 2 + 1
    slots = Self.allocate(mask + 1)
    for slot in old where slot.position >= 0 { place(slot) }
    old.deallocate()
  }

  /// - Returns: The position, −1 if the hash was not there.
  mutating func remove(_ hash: UInt64) -> Int {
    var gap = Int(truncatingIfNeeded: hash) & mask
    while slots[gap].hash != hash || slots[gap].position < 0 {
      if slots[gap].position < 0 { return -1 }
      gap = (gap &+ 1) & mask
    }
    let position = slots[gap].position
    count -= 1
    var next = (gap &+ 1) & mask
    while slots[next].position >= 0 {
      let home = Int(truncatingIfNeeded: slots[next].hash) & mask
      // It may move back if its home does not lie behind the gap.
      if (next &- home) & mask >= (next &- gap) & mask {
        slots[gap] = slots[next]
        gap = next
      }
      next = (next &+ 1) & mask
    }
    slots[gap] = Slot(hash: 0, position: -1)
    return position
  }
}

import FreshetCore

/// An impression: what is kept of a `features` record.
struct Impression: BitwiseCopyable {
  var requestHash: UInt64
  var itemHash: UInt64
  var timeMs: Int64
  var appendTimeMs: Int64
  var offset: Int64
  /// The request's part, then the user's and the item's key.
  var block: UnsafeMutableRawPointer
  var chunk: Int32
  var partCount: Int32
  var userKeyCount: UInt16
  var itemKeyCount: UInt16
  /// Bit `n`: an action of kind `n` has been seen.
  var seen: UInt16 = 0
  /// Bit `n`: the actions seen make a positive of task `n`.
  var positives: UInt16 = 0

  var part: UnsafeRawPointer { UnsafeRawPointer(block) }
  var userKey: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: block + Int(partCount), count: Int(userKeyCount))
  }
  var itemKey: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: block + Int(partCount) + Int(userKeyCount), count: Int(itemKeyCount))
  }
}

/// The impressions that wait for actions, by request, in the order of their offsets.
final class FeatureStore {
  private var slots: UnsafeMutablePointer<Impression>
  private var capacity = 1024
  private var used = 0
  private let free = RingQueue<Int32>()
  /// Slots in the order of insertion.
  private let order = RingQueue<Int32>()
  private var index: [UInt64: Int32] = [:]

  init() { slots = .allocate(capacity: capacity) }
  deinit { slots.deallocate() }

  var count: Int { order.count }

  /// The slot of a request.
  @inline(__always)
  func find(_ requestHash: UInt64) -> Int? { index[requestHash].map(Int.init) }

  subscript(slot: Int) -> Impression {
    @inline(__always) get { slots[slot] }
    @inline(__always) set { slots[slot] = newValue }
  }

  /// Whether the slot still holds the record of this offset.
  func holds(_ slot: Int, offset: Int64) -> Bool { slot < used && slots[slot].offset == offset }

  /// Notes an action of a kind that has not been seen.
  @inline(__always)
  func markSeen(_ slot: Int, _ mask: UInt16, positives: UInt16) {
    slots[slot].seen |= mask
    slots[slot].positives |= positives
  }

  /// - Precondition: The request is not there.
  func insert(_ impression: Impression) -> Int {
    let slot: Int
    if free.isEmpty {
      if used == capacity { grow() }
      slot = used
      used += 1
    } else {
      slot = Int(free.removeFirst())
    }
    (slots + slot).initialize(to: impression)
    index[impression.requestHash] = Int32(slot)
    order.append(Int32(slot))
    return slot
  }

  /// The oldest impression.
  var oldest: Impression? { order.isEmpty ? nil : slots[Int(order.first)] }

  /// - Precondition: Not empty.
  func removeOldest() -> Impression {
    let slot = Int(order.removeFirst())
    let impression = slots[slot]
    if index[impression.requestHash] == Int32(slot) { index.removeValue(forKey: impression.requestHash) }
    slots[slot].offset = -1
    free.append(Int32(slot))
    return impression
  }

  /// Forgets the request, so that it may come again; its place in the order stays until it is the oldest.
  func forget(_ requestHash: UInt64) { index.removeValue(forKey: requestHash) }

  private func grow() {
    let grown = UnsafeMutablePointer<Impression>.allocate(capacity: capacity * 2)
    grown.update(from: slots, count: used)
    slots.deallocate()
    slots = grown
    capacity *= 2
  }
}

import FreshetCore

/// The number of a row inside its table. Numbers of removed rows are used again.
public struct RowIndex: Hashable, Sendable {
  public let value: UInt32
  @inlinable public init(_ value: UInt32) { self.value = value }
}

/// Fid → row number: open addressing with linear probing over a power of two of slots, at most 3/4 full.
///
/// A slot is free when its row number is `vacant`, so every fid is legal. Removal shifts the rest of the run back
/// (Knuth, TAOCP 6.4, algorithm R) and leaves no tombstone: probe lengths depend on what is in the index, not on what was.
struct FidIndex: ~Copyable {
  static let vacant = UInt32.max

  private var fids: UnsafeMutablePointer<Fid>
  private var rows: UnsafeMutablePointer<UInt32>
  private(set) var capacity: Int
  private(set) var count = 0

  init(minimumCapacity: Int) {
    var capacity = 64
    while capacity * 3 < minimumCapacity * 4 { capacity *= 2 }
    self.capacity = capacity
    fids = .allocate(capacity: capacity)
    rows = .allocate(capacity: capacity)
    fids.initialize(repeating: 0, count: capacity)
    rows.initialize(repeating: Self.vacant, count: capacity)
  }

  deinit {
    fids.deallocate()
    rows.deallocate()
  }

  var sizeBytes: Int { capacity * (MemoryLayout<Fid>.size + MemoryLayout<UInt32>.size) }

  @inline(__always)
  private func home(of fid: Fid) -> Int { Int(truncatingIfNeeded: Hashing.mix(fid)) & (capacity - 1) }

  /// The row of `fid`, or `vacant`.
  @inline(__always)
  func find(_ fid: Fid) -> UInt32 {
    let mask = capacity - 1
    var slot = home(of: fid)
    while rows[slot] != Self.vacant {
      if fids[slot] == fid { return rows[slot] }
      slot = (slot &+ 1) & mask
    }
    return Self.vacant
  }

  /// Adds a fid that is not in the index.
  mutating func insert(_ fid: Fid, row: UInt32) {
    if (count + 1) * 4 > capacity * 3 { grow() }
    place(fid, row)
    count += 1
  }

  private func place(_ fid: Fid, _ row: UInt32) {
    let mask = capacity - 1
    var slot = home(of: fid)
    while rows[slot] != Self.vacant { slot = (slot &+ 1) & mask }
    fids[slot] = fid
    rows[slot] = row
  }

  /// Takes `fid` out and returns its row, or `vacant` if it was not there.
  mutating func remove(_ fid: Fid) -> UInt32 {
    let mask = capacity - 1
    var hole = home(of: fid)
    while rows[hole] != Self.vacant && fids[hole] != fid { hole = (hole &+ 1) & mask }
    let row = rows[hole]
    guard row != Self.vacant else { return row }
    var next = (hole &+ 1) & mask
    while rows[next] != Self.vacant {
      // An entry may move into the hole unless its home lies cyclically in (hole, next].
      let distanceFromHome = (next &- home(of: fids[next])) & mask
      if distanceFromHome >= (next &- hole) & mask {
        fids[hole] = fids[next]
        rows[hole] = rows[next]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    rows[hole] = Self.vacant
    count -= 1
    return row
  }

  private mutating func grow() {
    let oldFids = fids
    let oldRows = rows
    let oldCapacity = capacity
    capacity *= 2
    fids = .allocate(capacity: capacity)
    rows = .allocate(capacity: capacity)
    fids.initialize(repeating: 0, count: capacity)
    rows.initialize(repeating: Self.vacant, count: capacity)
    for slot in 0..<oldCapacity where oldRows[slot] != Self.vacant { place(oldFids[slot], oldRows[slot]) }
    oldFids.deallocate()
    oldRows.deallocate()
  }

  /// Traps unless every entry can be found from its home slot. For tests.
  func checkInvariants() {
    var occupied = 0
    for slot in 0..<capacity where rows[slot] != Self.vacant {
      occupied += 1
      precondition(find(fids[slot]) == rows[slot], "fid \(fids[slot]) is not reachable")
    }
    precondition(occupied == count && count * 4 <= capacity * 3)
  }
}

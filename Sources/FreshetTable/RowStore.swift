import FreshetCore

/// The memory of a table's rows, which are numbered `0 ..< count` without holes.
///
/// Rows lie in slabs of a power of two of rows, 16 MiB or a little less each, which are mapped as the table grows and go
/// back to the system when they are empty. A row that is removed is filled with the last one, so memory follows the
/// number of rows. Beside the rows a slab holds their fids; bits for each row (`RowStore+Changes.swift`) lie elsewhere.
struct RowStore: ~Copyable {
  private static let slabBytes = 16 << 20

  struct Slab: ~Copyable {
    var memory: PageMemory
    let fids: UnsafeMutablePointer<Fid>
  }

  /// What each access to a row of a slab needs, apart from the rest: those of hundreds of slabs stay in the nearest cache.
  struct Place {
    let rows: UnsafeMutableRawPointer
    /// `lanes × rowsPerSlab` bits.
    let bits: UnsafeMutablePointer<UInt64>
  }

  let strideBytes: Int
  /// Kinds of bits that a row has: one that says it was touched for each feed; for cuts one more on either side of them, which
  /// take turns at "touched since the last cut" and "belongs to the cut and is yet to be copied". So the marks that a change
  /// sets are neighbours, whichever turn it is. Bits of rows that do not exist are 0.
  let lanes: Int
  let markedLanes: Int
  let hasCuts: Bool
  let rowsPerSlab: Int
  let shift: UInt32
  let mask: UInt32
  let wordsPerLane: Int
  /// Of the first lane that a change marks, in words: 0 or `wordsPerLane`.
  var firstMarkedWord = 0
  /// Rows of the cut that are yet to be copied, and the number of words, counted over all slabs, that their bits lie in.
  var pendingCount = 0
  var pendingWords = 0
  private var bitMemory: ChangeBitMemory
  private(set) var slabs: UnsafeMutablePointer<Slab>
  /// By slab.
  private(set) var places: UnsafeMutablePointer<Place>
  private var slabCapacity = 8
  private(set) var slabCount = 0
  private(set) var count = 0

  /// - Parameters:
  ///   - feeds: Consumers of changes, each of which learns separately what was touched.
  ///   - hasCuts: Whether `beginCut` may be called.
  init(strideBytes: Int, feeds: Int, hasCuts: Bool) {
    self.strideBytes = strideBytes
    self.hasCuts = hasCuts
    lanes = feeds + (hasCuts ? 2 : 0)
    markedLanes = feeds + (hasCuts ? 1 : 0)
    let fitting = max(1024, Self.slabBytes / max(strideBytes, 1))
    shift = UInt32(Int.bitWidth - 1 - fitting.leadingZeroBitCount)
    rowsPerSlab = 1 << shift
    mask = UInt32(rowsPerSlab - 1)
    wordsPerLane = rowsPerSlab / 64
    bitMemory = ChangeBitMemory(slabBytes: lanes * rowsPerSlab / 8)
    slabs = .allocate(capacity: slabCapacity)
    places = .allocate(capacity: slabCapacity)
  }

  deinit {
    slabs.deinitialize(count: slabCount)
    slabs.deallocate()
    places.deallocate()
  }

  /// Memory of rows in use and of what is kept with them; the untouched end of the last slab costs nothing.
  var sizeBytes: Int { count * (strideBytes + MemoryLayout<Fid>.size) + slabCount * lanes * rowsPerSlab / 8 }

  @inline(__always)
  func row(_ number: UInt32) -> UnsafeMutableRawPointer { addresses.row(number) }

  /// Where rows lie now; holds until rows are added or removed.
  @inline(__always)
  var addresses: RowAddresses {
    RowAddresses(
      places: places, strideBytes: strideBytes, shift: shift, mask: mask, firstMarkedWord: firstMarkedWord,
      markedLanes: markedLanes, wordsPerLane: wordsPerLane)
  }

  @inline(__always)
  func fid(_ number: UInt32) -> Fid { slabs[Int(number >> shift)].fids[Int(number & mask)] }

  /// Adds a row behind the last one. Its bytes are not initialised.
  @inline(__always)
  mutating func append(_ fid: Fid) -> UInt32 {
    if count == slabCount &* rowsPerSlab { addSlab() }
    let number = UInt32(truncatingIfNeeded: count)
    let slab = slabs + Int(number >> shift)
    slab.pointee.memory.enter(upTo: (Int(number & mask) &+ 1) &* strideBytes)
    slab.pointee.fids[Int(number & mask)] = fid
    count &+= 1
    return number
  }

  /// Removes a row and puts the last one in its place.
  /// - Returns: The fid of the row that has the number `number` now, or nil if that was the last one.
  mutating func remove(_ number: UInt32) -> Fid? {
    let last = UInt32(truncatingIfNeeded: count &- 1)
    precondition(number <= last)
    var moved: Fid?
    if number != last {
      row(number).copyMemory(from: row(last), byteCount: strideBytes)
      let fid = fid(last)
      slabs[Int(number >> shift)].fids[Int(number & mask)] = fid
      moved = fid
    }
    moveBits(from: last, to: number)
    count &-= 1
    // A quarter of a slab stays in reserve, so that rows that come and go do not map and unmap it.
    if count &+ rowsPerSlab / 4 <= (slabCount &- 1) &* rowsPerSlab { dropSlab() }
    return moved
  }

  // MARK: - Slabs

  private mutating func addSlab() {
    precondition(count < 1 << 32 - rowsPerSlab, "a table holds at most 2^32 rows; use more shards")
    if slabCount == slabCapacity {
      let wider = UnsafeMutablePointer<Slab>.allocate(capacity: slabCapacity * 2)
      wider.moveInitialize(from: slabs, count: slabCount)
      slabs.deallocate()
      slabs = wider
      let widerPlaces = UnsafeMutablePointer<Place>.allocate(capacity: slabCapacity * 2)
      widerPlaces.update(from: places, count: slabCount)
      places.deallocate()
      places = widerPlaces
      slabCapacity *= 2
    }
    let rowBytes = (rowsPerSlab * strideBytes + 63) & ~63
    // A small table takes what it touches; from the second slab on everything is in huge pages.
    let memory = PageMemory(
      sizeBytes: rowBytes + rowsPerSlab * MemoryLayout<Fid>.size,
      hugeFrom: slabCount == 0 ? 2 * PageMemory.hugePageBytes : 0)
    let start = memory.start
    (slabs + slabCount).initialize(
      to: Slab(memory: memory, fids: (start + rowBytes).bindMemory(to: Fid.self, capacity: rowsPerSlab)))
    (places + slabCount).initialize(
      to: Place(
        rows: start,
        bits: bitMemory.add(slab: slabCount).bindMemory(to: UInt64.self, capacity: max(1, lanes * wordsPerLane))))
    slabCount += 1
  }

  /// Moves a piece of memory from small into huge pages, if there is one at hand.
  /// - Returns: Pieces left.
  func exchangeSmallPages() -> Int {
    var left = bitMemory.exchangeSmallPages()
    for slab in 0..<slabCount {
      left += left == 0 ? slabs[slab].memory.exchangeSmallPages() : slabs[slab].memory.smallPieces
    }
    return left
  }

  private mutating func dropSlab() {
    slabCount -= 1
    (slabs + slabCount).deinitialize(count: 1)
    bitMemory.remove(slab: slabCount)
  }
}

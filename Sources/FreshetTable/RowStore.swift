import CIntrinsics
import FreshetCore

/// The memory of a table's rows, which are numbered `0 ..< count` without holes.
///
/// Rows lie in slabs of a power of two of rows, 16 MiB or a little less each, which are mapped as the table grows and go
/// back to the system when they are empty. A row that is removed is filled with the last one, so memory follows the
/// number of rows. Beside the rows a slab holds their fids and, for each feed of changes, a bit for each row.
struct RowStore: ~Copyable {
  private static let slabBytes = 16 << 20

  private struct Slab: ~Copyable {
    var memory: PageMemory
    let rows: UnsafeMutableRawPointer
    let fids: UnsafeMutablePointer<Fid>
    /// `feeds × rowsPerSlab` bits.
    let touched: UnsafeMutablePointer<UInt64>
  }

  let strideBytes: Int
  let feeds: Int
  let rowsPerSlab: Int
  private let shift: UInt32
  private let mask: UInt32
  private let wordsPerFeed: Int
  /// In a slab the bits come first, where pages are huge as well: updates of random rows read them all.
  private let rowsOffset: Int
  private var slabs: UnsafeMutablePointer<Slab>
  private var slabCapacity = 8
  private(set) var slabCount = 0
  private(set) var count = 0

  /// - Parameter feeds: Consumers of changes, each of which learns separately what was touched.
  init(strideBytes: Int, feeds: Int) {
    self.strideBytes = strideBytes
    self.feeds = feeds
    let fitting = max(1024, Self.slabBytes / max(strideBytes, 1))
    shift = UInt32(Int.bitWidth - 1 - fitting.leadingZeroBitCount)
    rowsPerSlab = 1 << shift
    mask = UInt32(rowsPerSlab - 1)
    wordsPerFeed = rowsPerSlab / 64
    rowsOffset = feeds * rowsPerSlab / 8
    slabs = .allocate(capacity: slabCapacity)
  }

  deinit {
    slabs.deinitialize(count: slabCount)
    slabs.deallocate()
  }

  /// Memory of rows in use and of what is kept with them; the untouched end of the last slab costs nothing.
  var sizeBytes: Int { count * (strideBytes + MemoryLayout<Fid>.size) + slabCount * feeds * rowsPerSlab / 8 }

  @inline(__always)
  func row(_ number: UInt32) -> UnsafeMutableRawPointer {
    slabs[Int(number >> shift)].rows + Int(number & mask) &* strideBytes
  }

  @inline(__always)
  func fid(_ number: UInt32) -> Fid { slabs[Int(number >> shift)].fids[Int(number & mask)] }

  /// Fetches the first `bytes` of a row into the cache, and the bit that tells whether it was touched.
  @inline(__always)
  func prefetch(_ number: UInt32, bytes: Int, touches: Bool) {
    if touches { fi_prefetch_read(slabs[Int(number >> shift)].touched + Int((number & mask) >> 6)) }
    let start = row(number)
    // From the line that the row begins in to the one that its last byte lies in.
    var line = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: start) & ~63).unsafelyUnwrapped
    let end = start + bytes
    while line < end {
      fi_prefetch_write(line)
      line += 64
    }
  }

  /// Adds a row behind the last one. Its bytes are not initialised.
  @inline(__always)
  mutating func append(_ fid: Fid) -> UInt32 {
    if count == slabCount &* rowsPerSlab { addSlab() }
    let number = UInt32(truncatingIfNeeded: count)
    let slab = slabs + Int(number >> shift)
    slab.pointee.memory.enter(upTo: rowsOffset &+ (Int(number & mask) &+ 1) &* strideBytes)
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
    for feed in 0..<feeds { setTouched(number, feed: feed, isTouched(last, feed: feed)) }
    for feed in 0..<feeds { setTouched(last, feed: feed, false) }
    count &-= 1
    // A quarter of a slab stays in reserve, so that rows that come and go do not map and unmap it.
    if count &+ rowsPerSlab / 4 <= (slabCount &- 1) &* rowsPerSlab { dropSlab() }
    return moved
  }

  // MARK: - Changes

  @inline(__always)
  func markTouched(_ number: UInt32) {
    let words = slabs[Int(number >> shift)].touched + Int((number & mask) >> 6)
    let bit = UInt64(1) &<< UInt64(number & 63)
    for feed in 0..<feeds {
      let word = words + feed &* wordsPerFeed
      if word.pointee & bit == 0 { word.pointee |= bit }
    }
  }

  private func isTouched(_ number: UInt32, feed: Int) -> Bool {
    slabs[Int(number >> shift)].touched[feed * wordsPerFeed + Int((number & mask) >> 6)] & (1 << UInt64(number & 63))
      != 0
  }

  private func setTouched(_ number: UInt32, feed: Int, _ isTouched: Bool) {
    let word = slabs[Int(number >> shift)].touched + feed * wordsPerFeed + Int((number & mask) >> 6)
    let bit = UInt64(1) << UInt64(number & 63)
    word.pointee = isTouched ? word.pointee | bit : word.pointee & ~bit
  }

  /// Rows that were touched since `takeTouched` was called for this feed.
  func touchedCount(feed: Int) -> Int {
    var touched = 0
    for slab in 0..<slabCount {
      let words = slabs[slab].touched + feed * wordsPerFeed
      for word in 0..<usedWords(slab) { touched += words[word].nonzeroBitCount }
    }
    return touched
  }

  /// Calls `body` with the number of each touched row, ascending, and forgets them.
  func takeTouched(feed: Int, _ body: (UInt32) -> Void) {
    for slab in 0..<slabCount {
      let words = slabs[slab].touched + feed * wordsPerFeed
      for word in 0..<usedWords(slab) where words[word] != 0 {
        var bits = words[word]
        words[word] = 0
        while bits != 0 {
          body(UInt32(slab * rowsPerSlab + word * 64 + bits.trailingZeroBitCount))
          bits &= bits &- 1
        }
      }
    }
  }

  /// Words of a slab's bits that stand for rows; none if it is empty and held in reserve.
  private func usedWords(_ slab: Int) -> Int { (max(0, min(count - slab * rowsPerSlab, rowsPerSlab)) + 63) / 64 }

  // MARK: - Slabs

  private mutating func addSlab() {
    precondition(count < 1 << 32 - rowsPerSlab, "a table holds at most 2^32 rows; use more shards")
    if slabCount == slabCapacity {
      let wider = UnsafeMutablePointer<Slab>.allocate(capacity: slabCapacity * 2)
      wider.moveInitialize(from: slabs, count: slabCount)
      slabs.deallocate()
      slabs = wider
      slabCapacity *= 2
    }
    let rowBytes = (rowsPerSlab * strideBytes + 63) & ~63
    // A small table takes what it touches; from the second slab on everything is in huge pages.
    let memory = PageMemory(
      sizeBytes: rowsOffset + rowBytes + rowsPerSlab * MemoryLayout<Fid>.size,
      hugeFrom: slabCount == 0 ? 2 * PageMemory.hugePageBytes : 0)
    let start = memory.start
    (slabs + slabCount).initialize(
      to: Slab(
        memory: memory, rows: start + rowsOffset,
        fids: (start + rowsOffset + rowBytes).bindMemory(to: Fid.self, capacity: rowsPerSlab),
        touched: start.bindMemory(to: UInt64.self, capacity: max(1, feeds * wordsPerFeed))))
    slabCount += 1
  }

  /// Moves a piece of memory from small into huge pages, if there is one at hand.
  /// - Returns: Pieces left.
  func exchangeSmallPages() -> Int {
    var left = 0
    for slab in 0..<slabCount {
      left += left == 0 ? slabs[slab].memory.exchangeSmallPages() : slabs[slab].memory.smallPieces
    }
    return left
  }

  private mutating func dropSlab() {
    slabCount -= 1
    (slabs + slabCount).deinitialize(count: 1)
  }
}

import Glibc

/// Zeroed memory straight from the kernel, which takes it back the moment it is released.
///
/// Pages cost nothing until they are touched, so it may be asked for generously. What lies behind `hugeFrom` is put into
/// huge pages: random rows then cost fewer steps of address translation, which is 1.6 to 2.3 times as fast. `enter` takes
/// them from the reserve as the memory comes into use; if there are none at hand it goes on in small pages, whose first
/// touch takes microseconds, and `exchangeSmallPages` makes up for it when there is time.
struct PageMemory: ~Copyable {
  static let hugePageBytes = 2 << 20
  /// Small pages are entered so many bytes at a time.
  private static let stepBytes = 64 << 10
  /// `MADV_POPULATE_WRITE`, Linux 5.14.
  private static let populateWrite: Int32 = 23

  let start: UnsafeMutableRawPointer
  let sizeBytes: Int
  /// Up to here the memory is ready for use; `.max` where there is nothing to enter.
  private(set) var enteredBytes: Int
  /// Offsets of the pieces of 2 MiB that `exchangeSmallPages` is to put into huge pages.
  private var small: [Int] = []

  /// - Parameters:
  ///   - sizeBytes: Rounded up to whole pages; 0 maps nothing.
  ///   - hugeFrom: From this offset on memory is to be in huge pages, before it in small ones, so that little use costs
  ///     little memory; nil for small ones throughout.
  init(sizeBytes: Int, hugeFrom: Int?) {
    let huge = Self.hugePageBytes
    let size = (sizeBytes + 4095) & ~4095
    self.sizeBytes = size
    enteredBytes = .max
    guard size > 0 else {
      start = UnsafeMutableRawPointer(bitPattern: 4096)!
      return
    }
    guard let hugeFrom, size >= hugeFrom + huge, HugePageReserve.shared.isAvailable else {
      start = Self.map(size)
      return
    }
    let wide = Self.map(size + huge)
    let before = -Int(bitPattern: wide) & (huge - 1)
    if before > 0 { munmap(wide, before) }
    start = wide + before
    if huge - before > 0 { munmap(start + size, huge - before) }
    // Where huge pages are the rule they would be zeroed at first touch, in the middle of an update.
    madvise(start, size, MADV_NOHUGEPAGE)
    enteredBytes = (hugeFrom + huge - 1) & ~(huge - 1)
  }

  deinit {
    if sizeBytes > 0 { munmap(start, sizeBytes) }
  }

  /// Makes ready for use of everything before `end`.
  @inline(__always)
  mutating func enter(upTo end: Int) {
    if _slowPath(end > enteredBytes) { enterPages(upTo: end) }
  }

  private mutating func enterPages(upTo end: Int) {
    while enteredBytes < end {
      if enteredBytes % Self.hugePageBytes == 0 {
        guard enteredBytes + Self.hugePageBytes <= sizeBytes else {
          enteredBytes = .max
          return
        }
        if replaceWithHugePage(at: enteredBytes) {
          enteredBytes += Self.hugePageBytes
          continue
        }
        small.append(enteredBytes)
      }
      // Several pages in one call take less time than as many faults. Advice again: without it they come one by one.
      madvise(start + enteredBytes, Self.stepBytes, Self.populateWrite)
      enteredBytes += Self.stepBytes
    }
  }

  /// Puts a huge page in place of 2 MiB of small ones, with what they hold: something may have been written ahead of use, such
  /// as the end of a run of full buckets.
  private func replaceWithHugePage(at offset: Int) -> Bool {
    let target = start + offset
    return HugePageReserve.shared.replacePage(at: target) { page in
      Self.forEachResidentPage(of: target) { (page + $0).copyMemory(from: target + $0, byteCount: 4096) }
    }
  }

  /// Pieces of 2 MiB that are to be in huge pages and are not.
  var smallPieces: Int { small.count }

  /// Moves 2 MiB from small pages into a huge one, which takes some tenths of a millisecond.
  /// - Returns: Pieces left. Does nothing if the reserve is empty.
  mutating func exchangeSmallPages() -> Int {
    guard let offset = small.last else { return 0 }
    if replaceWithHugePage(at: offset) { small.removeLast() }
    return small.count
  }

  /// Gives pages back to the kernel. They read as zeros from now on.
  func release(from offset: Int, bytes: Int) {
    madvise(start + offset, bytes, MADV_DONTNEED)
  }

  /// Calls `body` with the offsets of the small pages of 2 MiB that hold something.
  private static func forEachResidentPage(of start: UnsafeMutableRawPointer, _ body: (Int) -> Void) {
    let pages = hugePageBytes / 4096
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: pages) { resident in
      // Where the kernel does not say, all of them.
      let isKnown = mincore(start, hugePageBytes, resident.baseAddress) == 0
      for page in 0..<pages where !isKnown || resident[page] & 1 != 0 { body(page * 4096) }
    }
  }

  private static func map(_ sizeBytes: Int) -> UnsafeMutableRawPointer {
    let memory = mmap(nil, sizeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let memory, memory != MAP_FAILED else {
      fatalError(
        "the system refused \(sizeBytes) bytes for a table: \(String(cString: strerror(errno))); give the process more "
          + "address space (ulimit -v), spread the shards over more servers, or set maximum_rows of the table")
    }
    return memory
  }
}

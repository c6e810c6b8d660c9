import FreshetCore

/// Copy-on-write by page: a page that changes before the cut has delivered it is copied first.
extension CountingSketch {
  private static let pageBytes = 4096
  private static let linesPerPage = pageBytes / lineBytes

  /// Of the counters themselves.
  var counterBytes: Int { lineCount * Self.lineBytes }
  private var pageCount: Int { (counterBytes + Self.pageBytes - 1) / Self.pageBytes }
  /// Whether a cut has bytes to deliver.
  var hasPendingPages: Bool { cutPage < pageCount }

  mutating func beginCut() {
    cutPage = 0
    savedPages = [[UInt8]](repeating: [], count: pageCount)
  }

  /// Called before a line changes.
  @inline(__always)
  mutating func save(line: Int) {
    let page = line / Self.linesPerPage
    if _slowPath(page >= cutPage) { save(page: page) }
  }

  private mutating func save(page: Int) {
    guard savedPages[page].isEmpty else { return }
    savedPages[page] = Array(counters(ofPages: page..<page + 1))
    savedBytes += Self.pageBytes
  }

  /// The counters of the instant of the cut, in order.
  /// - Parameter limit: In bytes; rounded down to whole pages, but to no less than one.
  /// - Returns: Empty when all have been delivered.
  mutating func takeCut(limit: Int) -> [UInt8] {
    precondition(cutPage <= pageCount, "no cut is under way")
    let end = min(cutPage + max(1, limit / Self.pageBytes), pageCount)
    guard cutPage < end else { return [] }
    var taken: [UInt8] = []
    taken.reserveCapacity((end - cutPage) * Self.pageBytes)
    for page in cutPage..<end {
      if savedPages[page].isEmpty {
        taken.append(contentsOf: counters(ofPages: page..<page + 1))
      } else {
        taken.append(contentsOf: savedPages[page])
        savedPages[page] = []
        savedBytes -= Self.pageBytes
      }
    }
    cutPage = end
    return taken
  }

  mutating func endCut() {
    cutPage = .max
    savedPages = []
    savedBytes = 0
  }

  /// Overwrites counters.
  func restore(_ bytes: [UInt8], at offset: Int) {
    precondition(offset >= 0 && bytes.count <= counterBytes - offset, "these bytes are not of this sketch")
    bytes.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { (memory.start + offset).copyMemory(from: start, byteCount: bytes.count) }
    }
  }

  private func counters(ofPages pages: Range<Int>) -> UnsafeBufferPointer<UInt8> {
    let first = pages.lowerBound * Self.pageBytes
    let end = min(pages.upperBound * Self.pageBytes, counterBytes)
    return UnsafeBufferPointer(
      start: (memory.start + first).assumingMemoryBound(to: UInt8.self), count: end - first)
  }
}

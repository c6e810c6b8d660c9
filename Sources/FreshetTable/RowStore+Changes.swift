import CIntrinsics
import FreshetCore

/// What each row's bits say: which feeds have yet to hear that it was touched, and whether a cut waits for it.
extension RowStore {
  /// Gives a row the bits of another one, which has none from now on; a row whose source it is itself loses them.
  func moveBits(from source: UInt32, to target: UInt32) {
    let sourceWords = places[Int(source >> shift)].bits + Int((source & mask) >> 6)
    let targetWords = places[Int(target >> shift)].bits + Int((target & mask) >> 6)
    let sourceBit = UInt64(1) << UInt64(source & 63)
    let targetBit = UInt64(1) << UInt64(target & 63)
    for lane in 0..<lanes {
      let word = lane * wordsPerLane
      let isSet = sourceWords[word] & sourceBit != 0
      targetWords[word] = isSet ? targetWords[word] | targetBit : targetWords[word] & ~targetBit
      sourceWords[word] &= ~sourceBit
    }
  }

  // MARK: - Feeds

  /// Lanes of feeds lie behind the first one of cuts.
  private func firstWord(feed: Int) -> Int { (hasCuts ? feed + 1 : feed) * wordsPerLane }

  /// Rows that were touched since `takeTouched` was called for this feed.
  func touchedCount(feed: Int) -> Int {
    var touched = 0
    for slab in 0..<slabCount {
      let words = places[slab].bits + firstWord(feed: feed)
      for word in 0..<usedWords(slab) { touched += words[word].nonzeroBitCount }
    }
    return touched
  }

  /// Calls `body` with the number of each touched row, ascending, and forgets them.
  func takeTouched(feed: Int, _ body: (UInt32) -> Void) {
    for slab in 0..<slabCount {
      let words = places[slab].bits + firstWord(feed: feed)
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

  /// Words of a slab's lane that stand for rows; none if it is empty and held in reserve.
  private func usedWords(_ slab: Int) -> Int { (max(0, min(count - slab * rowsPerSlab, rowsPerSlab)) + 63) / 64 }

  // MARK: - Cuts

  /// The lane that says which rows a cut waits for is the one that changes do not mark.
  @inline(__always)
  private var firstPendingWord: Int { firstMarkedWord == 0 ? markedLanes &* wordsPerLane : 0 }

  /// Makes all rows pending, or those that were touched since the last cut, and no row touched.
  /// - Complexity: O(rows / 64).
  mutating func beginCut(isFull: Bool) {
    // No row is pending between two cuts.
    firstMarkedWord = wordsPerLane - firstMarkedWord
    pendingWords = (count + 63) / 64
    pendingCount = 0
    for slab in 0..<slabCount {
      let words = places[slab].bits + firstPendingWord
      let used = usedWords(slab)
      if isFull && used > 0 {
        words.update(repeating: .max, count: used)
        let rest = count - slab * rowsPerSlab
        if rest < rowsPerSlab && rest % 64 != 0 { words[used - 1] = 1 << UInt64(rest % 64) - 1 }
      }
      for word in 0..<used { pendingCount += words[word].nonzeroBitCount }
    }
  }

  @inline(__always)
  func pendingWord(_ number: UInt32) -> UnsafeMutablePointer<UInt64> {
    places[Int(number >> shift)].bits + (firstPendingWord &+ Int((number & mask) >> 6))
  }

  @inline(__always)
  func isPending(_ number: UInt32) -> Bool { pendingWord(number).pointee & 1 &<< UInt64(number & 63) != 0 }

  /// - Precondition: The row is pending.
  mutating func clearPending(_ number: UInt32) {
    pendingWord(number).pointee &= ~(1 << UInt64(number & 63))
    pendingCount -= 1
  }

  /// Writes the numbers of pending rows, which are so no more.
  ///
  /// From the last word of bits to the first: a removal moves the last row, so a row that is pending goes where it is yet to
  /// be looked for.
  /// - Returns: How many; fewer than `limit` only when no row is pending any more.
  mutating func takePending(limit: Int, into numbers: UnsafeMutablePointer<UInt32>) -> Int {
    pendingWords = min(pendingWords, (count + 63) / 64)
    var taken = 0
    while taken < limit && pendingWords > 0 {
      let first = UInt32(truncatingIfNeeded: pendingWords &- 1) &<< 6
      let word = pendingWord(first)
      while word.pointee != 0 && taken < limit {
        numbers[taken] = first &+ UInt32(truncatingIfNeeded: word.pointee.trailingZeroBitCount)
        word.pointee &= word.pointee &- 1
        taken &+= 1
      }
      if word.pointee == 0 { pendingWords &-= 1 }
    }
    pendingCount -= taken
    return taken
  }

  mutating func dropPending() {
    for slab in 0..<slabCount { (places[slab].bits + firstPendingWord).update(repeating: 0, count: wordsPerLane) }
    pendingCount = 0
    pendingWords = 0
  }

  /// Fetches what `appendRows` will copy.
  @inline(__always)
  func prefetchFid(_ number: UInt32) { fi_prefetch_read(slabs[Int(number >> shift)].fids + Int(number & mask)) }

  /// How many of `limit` numbers from this one on are of rows that follow each other in memory.
  @inline(__always)
  func runLength(_ numbers: UnsafePointer<UInt32>, limit: Int) -> Int {
    var length = 1
    while length < limit && numbers[length] == numbers[length &- 1] &+ 1 && numbers[length] & mask != 0 { length &+= 1 }
    return length
  }

  /// The fids of a row and of those behind it in its slab.
  @inline(__always)
  func fids(from number: UInt32) -> UnsafePointer<Fid> {
    UnsafePointer(slabs[Int(number >> shift)].fids + Int(number & mask))
  }
}

import CIntrinsics

/// What the address of a row and of its marks is reckoned from, copied out of a `RowStore` so that it stays in registers while
/// rows are written.
struct RowAddresses {
  let places: UnsafeMutablePointer<RowStore.Place>
  let strideBytes: Int
  let shift: UInt32
  let mask: UInt32
  let firstMarkedWord: Int
  let markedLanes: Int
  let wordsPerLane: Int

  @inline(__always)
  func row(_ number: UInt32) -> UnsafeMutableRawPointer {
    places[Int(number &>> shift)].rows + Int(number & mask) &* strideBytes
  }

  /// Fetches some bytes of a row, from a multiple of 64 on, into the second cache, from where work on it takes them almost as
  /// fast. Asked into the first one, which probably has too few buffers for the lines of several rows, an update took a sixth
  /// longer.
  @inline(__always)
  func fetch(_ row: UnsafeRawPointer, bytes: Range<Int>) {
    var line = row + bytes.lowerBound
    let end = row + bytes.upperBound
    while line + 192 < end {
      fi_prefetch_outer(line)
      fi_prefetch_outer(line + 64)
      fi_prefetch_outer(line + 128)
      fi_prefetch_outer(line + 192)
      line += 256
    }
    while line < end {
      fi_prefetch_outer(line)
      line += 64
    }
    // A row that does not begin with a line ends in one more.
    if strideBytes & 63 != 0 { fi_prefetch_outer(end - 1) }
  }

  /// Fetches the words that `markTouched` changes.
  /// - Returns: The word of the first marked lane that the row's bit lies in.
  @inline(__always)
  func fetchMarks(_ number: UInt32) -> UnsafeMutablePointer<UInt64> {
    let words = places[Int(number &>> shift)].bits + (firstMarkedWord &+ Int((number & mask) &>> 6))
    forEachMarkedLane { fi_prefetch_write(words + $0) }
    return words
  }

  /// - Parameter words: What `fetchMarks` returned for the row.
  @inline(__always)
  func markTouched(_ number: UInt32, _ words: UnsafeMutablePointer<UInt64>) {
    let bit = UInt64(1) &<< UInt64(number & 63)
    forEachMarkedLane { words[$0] |= bit }
  }

  /// Calls `body` with the distance of each marked lane's word from the first one's. Nearly all tables have one or two lanes, for
  /// which a loop is more work than what it repeats.
  @inline(__always)
  private func forEachMarkedLane(_ body: (_ word: Int) -> Void) {
    if markedLanes > 0 { body(0) }
    if markedLanes > 1 { body(wordsPerLane) }
    var lane = 2
    while _slowPath(lane < markedLanes) {
      body(lane &* wordsPerLane)
      lane &+= 1
    }
  }
}

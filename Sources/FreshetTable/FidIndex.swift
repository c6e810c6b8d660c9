import CIntrinsics
import FreshetCore

/// Fid → row number and time of the last update: linear probing over buckets of one cache line with four entries each.
///
/// A bucket is `fids[4] ‖ rows[4] ‖ minutes[4]`, 64 bytes. A row number is stored plus one, and 0 marks a free entry, so
/// every fid is legal and memory fresh from the kernel is an empty index. A fid's home is
/// `floor(low 32 bits of mix(fid) × buckets / 2^32)`: any number of buckets will do, and homes ascend with the hash. (The
/// high bits of the same hash choose the shard.) An entry lies in the first bucket from its home on that had room, so a
/// search ends at its fid or at a bucket with a free entry. Removal moves displaced entries back and leaves no tombstone.
///
/// The index grows and shrinks by moving to an array of another size, a few buckets with each insertion and removal:
/// runs of full buckets move whole, in the order of the hash, so that a fid's home in the old array tells which of the two
/// holds it. Pages that have been left go back to the kernel, so the two arrays are never resident together.
struct FidIndex: ~Copyable {
  /// Of one entry: `entry[0]` is the row number plus one, `entry[minutesOffset]` the minutes of the last update.
  typealias Entry = UnsafeMutablePointer<UInt32>
  static let minutesOffset = 4

  /// One array of buckets.
  struct Buckets {
    var start: UnsafeMutableRawPointer
    var count: Int

    static var none: Buckets { Buckets(start: UnsafeMutableRawPointer(bitPattern: 64)!, count: 0) }

    @inline(__always)
    func home(_ hash: UInt32) -> Int {
      Int(truncatingIfNeeded: (UInt64(hash) &* UInt64(UInt(bitPattern: count))) >> 32)
    }

    @inline(__always)
    func bucket(_ number: Int) -> UnsafeMutableRawPointer { start + number &* FidIndex.bucketBytes }

    @inline(__always)
    func after(_ number: Int) -> Int { number &+ 1 == count ? 0 : number &+ 1 }

    /// How many buckets further on `to` is than `from`.
    @inline(__always)
    func distance(_ from: Int, _ to: Int) -> Int { to >= from ? to &- from : to &- from &+ count }
  }

  static let bucketBytes = 64
  static let entriesPerBucket = 4
  /// `occupied` of a bucket without a free entry.
  static let allOccupied: UInt32 = 15
  private static let bucketsPerHugePage = PageMemory.hugePageBytes / bucketBytes
  private static let minimumBuckets = 16
  /// The index grows beyond 4/5 full.
  private static let maximumLoad = (numerator: 4, denominator: 5)
  /// Buckets that leave the old array with each insertion or removal. Growth by a half adds 1.6 free entries for each
  /// bucket of the old array, so one would be enough; more of them keep short the time with two arrays, one of them crowded.
  private static let bucketsMovedPerChange = 6
  private static let bucketsMovedAtRest = 2048

  private var memory: PageMemory
  private(set) var buckets: Buckets
  private(set) var count = 0

  // While entries move: the array that they leave, from `oldStart` on round to it again, `movedCount` buckets so far.
  private(set) var isMoving = false
  private var oldMemory = PageMemory(sizeBytes: 0, hugeFrom: nil)
  private(set) var oldBuckets = Buckets.none
  private(set) var oldStart = 0
  private(set) var movedCount = 0
  /// Buckets of the new array for one of the old, as a fixed-point number.
  private var stretch = 0
  private static let stretchBits = 20
  /// Buckets behind a home that all but the longest runs keep to.
  private static let bucketsAhead = 64
  /// Buckets of the old array before this one have been given back, or are looked at no more.
  private var releasedTo = 0
  private var releasedBytes = 0

  init() {
    memory = PageMemory(sizeBytes: Self.minimumBuckets * Self.bucketBytes, hugeFrom: nil)
    buckets = Buckets(start: memory.start, count: Self.minimumBuckets)
  }

  /// Entries that the index has room for, were it filled to the last one.
  var capacity: Int { buckets.count &* Self.entriesPerBucket }
  /// Entries in use, of those there is room for.
  var loadFactor: Double { Double(count) / Double(capacity) }
  /// What the arrays occupy, less what the old one has given back.
  var sizeBytes: Int { memory.sizeBytes + oldMemory.sizeBytes - releasedBytes }

  @inline(__always)
  static func hash(_ fid: Fid) -> UInt32 { UInt32(truncatingIfNeeded: Hashing.mix(fid)) }

  // MARK: - Search

  /// The array that holds a fid of this hash, or would hold it.
  @inline(__always)
  func array(for hash: UInt32) -> Buckets {
    if isMoving && oldBuckets.distance(oldStart, oldBuckets.home(hash)) >= movedCount { return oldBuckets }
    return buckets
  }

  /// Where a search for the fid begins.
  @inline(__always)
  func home(_ fid: Fid) -> UnsafeMutableRawPointer {
    let hash = Self.hash(fid)
    let array = array(for: hash)
    return array.bucket(array.home(hash))
  }

  /// Fetches the fid's home bucket.
  @inline(__always)
  func prefetch(_ fid: Fid) { fi_prefetch_read(home(fid)) }

  @inline(__always)
  func find(_ fid: Fid) -> Entry? {
    let hash = Self.hash(fid)
    let array = array(for: hash)
    var number = array.home(hash)
    while true {
      let bucket = array.bucket(number)
      let occupied = Self.occupied(bucket)
      let match = Self.match(bucket, fid) & occupied
      if match != 0 { return Self.entry(bucket, lane: match.trailingZeroBitCount) }
      if occupied != Self.allOccupied { return nil }
      number = array.after(number)
    }
  }

  // MARK: - Change

  /// Adds a fid that is not in the index.
  mutating func insert(_ fid: Fid, row: UInt32, minutes: UInt32) {
    if isMoving {
      moveBuckets(Self.bucketsMovedPerChange)
    } else if (count &+ 1) &* Self.maximumLoad.denominator > capacity &* Self.maximumLoad.numerator {
      // By a half: between 53 and 80 % full.
      startMoving(to: buckets.count + buckets.count / 2)
    }
    let hash = Self.hash(fid)
    Self.place(fid, row &+ 1, minutes, in: array(for: hash), hash)
    count &+= 1
  }

  /// Takes `fid` out and returns its row, or nil if it was not there.
  mutating func remove(_ fid: Fid) -> UInt32? {
    let hash = Self.hash(fid)
    let array = array(for: hash)
    var number = array.home(hash)
    while true {
      let bucket = array.bucket(number)
      let occupied = Self.occupied(bucket)
      let match = Self.match(bucket, fid) & occupied
      if match != 0 {
        let entry = Self.entry(bucket, lane: match.trailingZeroBitCount)
        let row = entry[0] &- 1
        entry[0] = 0
        if occupied == Self.allOccupied { Self.closeGap(at: number, lane: match.trailingZeroBitCount, in: array) }
        count &-= 1
        shrinkIfEmpty()
        return row
      }
      if occupied != Self.allOccupied { return nil }
      number = array.after(number)
    }
  }

  /// Fills the free entry of a bucket that was full with an entry that was displaced past it, and so on along the run.
  private static func closeGap(at gapBucket: Int, lane gapLane: Int, in array: Buckets) {
    var gap = gapBucket
    var lane = gapLane
    var number = array.after(gap)
    while true {
      let bucket = array.bucket(number)
      let occupied = Self.occupied(bucket)
      let reach = array.distance(gap, number)
      var candidates = occupied
      while candidates != 0 {
        let candidate = candidates.trailingZeroBitCount
        candidates &= candidates &- 1
        let fid = fid(bucket, lane: candidate)
        // It may move back if its home is the gap's bucket or lies before it.
        guard array.distance(array.home(hash(fid)), number) >= reach else { continue }
        let source = entry(bucket, lane: candidate)
        write(fid, source[0], source[minutesOffset], to: array.bucket(gap), lane: lane)
        source[0] = 0
        gap = number
        lane = candidate
        break
      }
      // A bucket that had room lets nothing pass it.
      if occupied != Self.allOccupied { return }
      number = array.after(number)
    }
  }

  // MARK: - Growing and shrinking

  private mutating func shrinkIfEmpty() {
    if isMoving {
      moveBuckets(Self.bucketsMovedPerChange)
    } else if count &* 10 < capacity &* 3 && buckets.count > Self.minimumBuckets {
      // To 60 % full. If removal goes on while entries move, it shrinks again afterwards.
      startMoving(to: max(Self.minimumBuckets, count * 10 / (6 * Self.entriesPerBucket) + 1))
    }
  }

  private mutating func startMoving(to newCount: Int) {
    precondition(newCount < 1 << 30, "an index holds at most 2^32 fids")
    let bytes = newCount * Self.bucketBytes
    var fresh = PageMemory(sizeBytes: bytes, hugeFrom: bytes >= 2 * PageMemory.hugePageBytes ? 0 : nil)
    swap(&fresh, &memory)
    oldMemory = fresh
    oldBuckets = buckets
    buckets = Buckets(start: memory.start, count: newCount)
    stretch = (newCount << Self.stretchBits) / oldBuckets.count
    // A run of full buckets moves whole, so begin behind a bucket with room.
    oldStart = 1
    while Self.occupied(oldBuckets.bucket(oldStart - 1)) == Self.allOccupied { oldStart += 1 }
    movedCount = 0
    releasedTo = (oldStart + Self.bucketsPerHugePage - 1) / Self.bucketsPerHugePage * Self.bucketsPerHugePage
    releasedBytes = 0
    isMoving = true
    moveBuckets(Self.bucketsMovedPerChange)
  }

  /// Moves `limit` buckets, and what follows them up to a bucket with room.
  mutating func moveBuckets(_ limit: Int) {
    var left = limit
    while movedCount < oldBuckets.count {
      var number = oldStart &+ movedCount
      if number >= oldBuckets.count { number &-= oldBuckets.count }
      // What the bucket holds has its new homes before this.
      memory.enter(upTo: ((((number &+ 1) &* stretch) >> Self.stretchBits) &+ Self.bucketsAhead) &* Self.bucketBytes)
      let wasFull = moveEntries(ofOldBucket: number) == Self.entriesPerBucket
      movedCount &+= 1
      left &-= 1
      if left <= 0 && !wasFull {
        releaseMoved(before: number)
        return
      }
    }
    // What was added meanwhile may have made the last run go round into buckets that had moved.
    var number = oldStart
    while moveEntries(ofOldBucket: number) > 0 { number = oldBuckets.after(number) }
    isMoving = false
    releasedBytes = 0
    oldMemory = PageMemory(sizeBytes: 0, hugeFrom: nil)
    oldBuckets = .none
  }

  /// - Returns: How many there were.
  private func moveEntries(ofOldBucket number: Int) -> Int {
    let bucket = oldBuckets.bucket(number)
    let occupied = Self.occupied(bucket)
    var lanes = occupied
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      lanes &= lanes &- 1
      let source = Self.entry(bucket, lane: lane)
      let fid = Self.fid(bucket, lane: lane)
      Self.place(fid, source[0], source[Self.minutesOffset], in: buckets, Self.hash(fid))
      source[0] = 0
    }
    return occupied.nonzeroBitCount
  }

  /// Gives a huge page of the old array back once all of it has moved.
  private mutating func releaseMoved(before number: Int) {
    guard number >= releasedTo + Self.bucketsPerHugePage else { return }
    // A run that went round the end is unbroken: if it reached into this page, the page's first bucket is in use.
    if Self.occupied(oldBuckets.bucket(releasedTo)) == 0 {
      oldMemory.release(from: releasedTo * Self.bucketBytes, bytes: PageMemory.hugePageBytes)
      releasedBytes += PageMemory.hugePageBytes
    }
    releasedTo += Self.bucketsPerHugePage
  }

  /// Housekeeping for when there is time: goes on with a move, and puts memory into huge pages.
  /// - Returns: Whether something is left to do.
  mutating func maintain() -> Bool {
    if isMoving { moveBuckets(Self.bucketsMovedAtRest) }
    return memory.exchangeSmallPages() > 0 || isMoving
  }

  // MARK: - Buckets

  @inline(__always)
  static func occupied(_ bucket: UnsafeMutableRawPointer) -> UInt32 {
    fi_nonzero4((bucket + 32).assumingMemoryBound(to: UInt32.self))
  }

  @inline(__always)
  static func match(_ bucket: UnsafeMutableRawPointer, _ fid: Fid) -> UInt32 {
    fi_match4(bucket.assumingMemoryBound(to: UInt64.self), fid)
  }

  @inline(__always)
  static func fid(_ bucket: UnsafeMutableRawPointer, lane: Int) -> Fid {
    bucket.assumingMemoryBound(to: UInt64.self)[lane]
  }

  @inline(__always)
  static func entry(_ bucket: UnsafeMutableRawPointer, lane: Int) -> Entry {
    (bucket + 32).assumingMemoryBound(to: UInt32.self) + lane
  }

  @inline(__always)
  private static func write(
    _ fid: Fid, _ row: UInt32, _ minutes: UInt32, to bucket: UnsafeMutableRawPointer, lane: Int
  ) {
    bucket.assumingMemoryBound(to: UInt64.self)[lane] = fid
    let entry = entry(bucket, lane: lane)
    entry[0] = row
    entry[minutesOffset] = minutes
  }

  /// Writes an entry to the first free place from its home on.
  @inline(__always)
  private static func place(_ fid: Fid, _ row: UInt32, _ minutes: UInt32, in array: Buckets, _ hash: UInt32) {
    var number = array.home(hash)
    while true {
      let bucket = array.bucket(number)
      let free = ~occupied(bucket) & 15
      if free != 0 { return write(fid, row, minutes, to: bucket, lane: free.trailingZeroBitCount) }
      number = array.after(number)
    }
  }
}

import FreshetCore

extension FidIndex {
  /// The entry that was updated longest ago among those of the next `limit` buckets that hold any. Buckets hold random
  /// fids, so this is the oldest of a random sample.
  /// - Parameter cursor: Where the sample begins; advanced behind it.
  /// - Returns: Nil if the index is empty.
  func oldest(inSampleFrom cursor: inout UInt32, limit: Int) -> Fid? {
    guard count > 0 else { return nil }
    // While entries move, the sample comes from the array that holds more of them, and from the part that is in use.
    let inOld = isMoving && movedCount * 2 < oldBuckets.count
    let array = inOld ? oldBuckets : buckets
    // Of the old array nothing may be left before its end, if runs are long.
    let oldUsed = min(oldStart + movedCount, max(0, array.count - 1))
    let used = isMoving ? (inOld ? oldUsed..<array.count : 0..<max(1, array.count / 2)) : 0..<array.count
    var number = array.home(cursor)
    if !used.contains(number) { number = used.lowerBound }
    let oldest = Self.oldest(in: array, from: &number, limit: limit)
    cursor = UInt32(((UInt64(number) << 32) + UInt64(array.count) - 1) / UInt64(array.count))
    if let oldest { return oldest }
    // Hashes that are not spread evenly: all entries are in the other array.
    number = 0
    return Self.oldest(in: inOld ? buckets : oldBuckets, from: &number, limit: limit)
  }

  /// - Parameter number: Of the bucket to begin with; advanced behind the last one that was looked at.
  private static func oldest(in array: Buckets, from number: inout Int, limit: Int) -> Fid? {
    var left = limit
    var oldest: (fid: Fid, minutes: UInt32)?
    for _ in 0..<array.count {
      let entries = visit(array.bucket(number)) { fid, _, minutes in
        if oldest.map({ minutes < $0.minutes }) ?? true { oldest = (fid, minutes) }
      }
      number = array.after(number)
      if entries > 0 { left -= 1 }
      if left <= 0 { break }
    }
    return oldest?.fid
  }

  /// Visits all entries, in no particular order.
  func forEach(_ body: (Fid, _ row: UInt32, _ minutes: UInt32) -> Void) {
    for number in 0..<buckets.count { _ = Self.visit(buckets.bucket(number), body) }
    for number in 0..<oldBuckets.count { _ = Self.visit(oldBuckets.bucket(number), body) }
  }

  /// How many buckets a search for a present fid reads, mean and most, over a sample of at most `limit` buckets.
  func probes(limit: Int) -> (mean: Double, maximum: Int) {
    var searches = 0
    var total = 0
    var maximum = 0
    for number in 0..<min(limit, buckets.count) {
      _ = Self.visit(buckets.bucket(number)) { fid, _, _ in
        let read = buckets.distance(buckets.home(Self.hash(fid)), number) + 1
        searches += 1
        total += read
        maximum = max(maximum, read)
      }
    }
    return (searches == 0 ? 0 : Double(total) / Double(searches), maximum)
  }

  /// - Returns: Entries of the bucket.
  @inline(__always)
  private static func visit(
    _ bucket: UnsafeMutableRawPointer, _ body: (Fid, _ row: UInt32, _ minutes: UInt32) -> Void
  ) -> Int {
    let occupied = occupied(bucket)
    var lanes = occupied
    while lanes != 0 {
      let lane = lanes.trailingZeroBitCount
      lanes &= lanes &- 1
      let entry = entry(bucket, lane: lane)
      body(fid(bucket, lane: lane), entry[0] &- 1, entry[minutesOffset])
    }
    return occupied.nonzeroBitCount
  }

  /// Traps unless every entry can be found, and found once. For tests.
  func checkInvariants() {
    var entries = 0
    forEach { fid, row, minutes in
      entries += 1
      let found = find(fid)
      precondition(
        found?[0] == row &+ 1 && found?[Self.minutesOffset] == minutes, "fid \(fid) is not where it is sought")
    }
    precondition(entries == count, "\(entries) entries, \(count) counted")
    precondition(isMoving || count * 5 <= capacity * 4, "\(count) entries are too many")
  }
}

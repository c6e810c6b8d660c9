import FreshetCore

extension TableCore {
  /// Buckets of the index among whose entries the oldest one gives way: about 50 rows.
  private static let evictionSampleBuckets = 16

  /// Removes rows until there are no more than the table's limit.
  @inline(__always)
  mutating func evictBeyondLimit() {
    guard let limit = layout.expiry.maximumRows else { return }
    while store.count > limit { evictOne() }
  }

  private mutating func evictOne() {
    guard let fid = index.oldest(inSampleFrom: &evictionCursor, limit: Self.evictionSampleBuckets) else { return }
    _ = remove(fid)
    statistics.evicted &+= 1
  }

  /// Goes on with the removal of rows that have expired.
  /// - Returns: Whether a pass over the table is complete.
  mutating func sweep(limit: Int) -> Bool {
    guard liveFrom > 0 else { return true }
    let before = statistics.removals
    sweepCursor = removeRows(updatedBefore: liveFrom, from: sweepCursor, limit: limit)
    statistics.expired &+= statistics.removals - before
    return sweepCursor == 0
  }

  /// Removes rows among `limit` of them that were last updated before `minutes`.
  ///
  /// Rows are visited from the last to the first, since a removal moves the last row, which has been visited, into the gap.
  /// (In the order of the index one part of it would empty before the others, and shrink into too little room.)
  /// - Parameter cursor: 0 to begin a pass, else what the last call returned.
  /// - Returns: Where to go on, or 0 at the end of the pass.
  mutating func removeRows(updatedBefore minutes: UInt32, from cursor: Int, limit: Int) -> Int {
    let start = cursor == 0 ? store.count : min(cursor, store.count)
    let end = max(0, start - limit)
    var row = start
    for ahead in max(end, start - Self.indexAhead)..<start { index.prefetch(store.fid(UInt32(ahead))) }
    while row > end {
      row -= 1
      if row >= end + Self.indexAhead { index.prefetch(store.fid(UInt32(row - Self.indexAhead))) }
      let fid = store.fid(UInt32(row))
      if index.find(fid).unsafelyUnwrapped[FidIndex.minutesOffset] < minutes { _ = remove(fid) }
    }
    return end
  }

  /// Rows are visited from the last to the first: a removal moves the last row, which has been visited, into a gap among
  /// those that have been.
  func findRows(updatedBefore minutes: UInt32, from cursor: Int, limit: Int, into fids: inout [Fid]) -> Int? {
    precondition(limit > 0)
    let start = cursor == 0 ? store.count : min(cursor, store.count)
    let end = max(0, start - limit)
    for ahead in max(end, start - Self.indexAhead)..<start { index.prefetch(store.fid(UInt32(ahead))) }
    var row = start
    while row > end {
      row -= 1
      if row >= end + Self.indexAhead { index.prefetch(store.fid(UInt32(row - Self.indexAhead))) }
      let fid = store.fid(UInt32(row))
      if index.find(fid).unsafelyUnwrapped[FidIndex.minutesOffset] < minutes { fids.append(fid) }
    }
    return end > 0 ? end : nil
  }

  /// Removes all rows that were last updated before `minutes`.
  /// - Returns: Rows removed.
  mutating func removeRows(updatedBefore minutes: UInt32) -> Int {
    let before = store.count
    _ = removeRows(updatedBefore: minutes, from: 0, limit: before)
    return before - store.count
  }
}

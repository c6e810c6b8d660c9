import FreshetCore
import FreshetTable

/// What a table is to do, in the plainest words: a dictionary, and sets of changes.
struct ReferenceTable {
  struct Row {
    /// Weights and state; nil for a row that had expired by the time it was written, which nobody can read.
    var floats: [Float]?
    var minutes: UInt32
  }

  let layout: TableLayout
  /// Rows in memory, expired ones included.
  private(set) var rows: [Fid: Row] = [:]
  /// By feed.
  var touched: [Set<Fid>]
  var removed: [Set<Fid>]
  var statistics = TableStatistics()
  private(set) var newestMinutes: UInt32 = 0
  /// How often each fid has asked to be admitted.
  private(set) var asked: [Fid: Int] = [:]
  private(set) var askedCount = 0
  /// While a scan goes on: the rows that have been there from its beginning.
  var lasting: Set<Fid>?

  init(layout: TableLayout, feeds: Int) {
    self.layout = layout
    touched = [Set<Fid>](repeating: [], count: feeds)
    removed = touched
  }

  func isExpired(_ minutes: UInt32) -> Bool {
    guard let timeToLive = layout.expiry.timeToLiveMinutes else { return false }
    return newestMinutes > minutes && newestMinutes - minutes > timeToLive
  }

  /// Weights and state of a fid that has a row.
  func floats(_ fid: Fid) -> [Float]? {
    guard let row = rows[fid], !isExpired(row.minutes) else { return nil }
    return row.floats
  }

  func initial(_ fid: Fid) -> [Float] {
    [Float](unsafeUninitializedCapacity: layout.width) { buffer, count in
      layout.initializer.write(fid: fid, width: layout.width, into: buffer.baseAddress!)
      count = layout.width
    }
  }

  /// A fid's row before an update: its own, or one that begins.
  func beginning(_ fid: Fid) -> ReferenceRow {
    if let floats = floats(fid) { return ReferenceRow(floats: floats, width: layout.width) }
    let initial = initial(fid)
    var row = ReferenceRow(initial: initial, optimizer: layout.optimizer)
    row.weights = initial.map { Double(layout.weightFormat.nearest($0)) }
    return row
  }

  // MARK: - Changing

  mutating func advanceClock(_ minutes: UInt32) { newestMinutes = max(newestMinutes, minutes) }

  /// - Returns: How often the fid has asked, this time included.
  mutating func ask(_ fid: Fid) -> Int {
    asked[fid, default: 0] += 1
    askedCount += 1
    return asked[fid]!
  }

  /// Counts and dates a change of a fid's row, which begins if there is none.
  mutating func change(_ fid: Fid, minutes: UInt32) {
    if let row = rows[fid] {
      if isExpired(row.minutes) {
        statistics.expired += 1
        rows[fid]!.floats = nil
      }
      rows[fid]!.minutes = max(row.minutes, minutes)
    } else {
      statistics.inserts += 1
      rows[fid] = Row(floats: nil, minutes: minutes)
    }
    for feed in touched.indices { touched[feed].insert(fid) }
  }

  mutating func write(_ fid: Fid, _ floats: [Float]?) { rows[fid]!.floats = floats }

  /// - Returns: Whether there was a row.
  @discardableResult
  mutating func remove(_ fid: Fid) -> Bool {
    guard rows.removeValue(forKey: fid) != nil else { return false }
    for feed in touched.indices {
      touched[feed].remove(fid)
      removed[feed].insert(fid)
    }
    lasting?.remove(fid)
    statistics.removals += 1
    return true
  }

  /// The tombstones that a feed is to get; forgets them.
  mutating func takeRemoved(feed: Int) -> [Fid] {
    defer { removed[feed] = [] }
    return removed[feed].filter { rows[$0] == nil }.sorted()
  }
}

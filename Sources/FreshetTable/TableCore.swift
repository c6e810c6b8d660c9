import FreshetCore

/// The parts of a table, and what is done with one fid. `EmbeddingTable` is its public face.
struct TableCore: ~Copyable {
  /// In place of a row number: the fid has no row.
  static let noRow = UInt32.max
  /// Fids that are walked over together.
  static let chunk = 512
  /// How many fids ahead of the search a bucket is fetched.
  static let indexAhead = 32
  /// How many rows ahead of the work the line is fetched that a row begins in, and with it the translation of its address; and
  /// how many rows ahead the other lines are, since there is not room for so many on their way.
  static let rowAhead = 24
  static let linesAhead = 10
  /// Of how many long rows the first lines are fetched together.
  static let mostRowsTogether = 8

  let layout: TableLayout
  let shape: RowShape
  var index: FidIndex
  var store: RowStore
  var admission: AdmissionFilter
  var statistics = TableStatistics()
  /// By feed.
  var removed: [FidList]
  /// Whether a cut is under way; copies of its rows that have changed since; rows removed since the last one.
  var isCutting = false
  var cutCopies: CutCopies
  var removedSinceCut = FidList()
  /// Whether changes since the last cut are known, so that the next one can do with them.
  var knowsChanges: Bool
  /// Event time of the newest update: the table's clock.
  var newestMinutes: UInt32 = 0
  /// Rows last updated before this count as absent.
  var liveFrom: UInt32 = 0
  /// Where the next sample for eviction begins, as a hash, and where the sweep goes on, as a row.
  var evictionCursor: UInt32 = 0
  var sweepCursor = 0
  let scratch: UnsafeMutablePointer<Float>
  /// Of the chunk in hand, by position: rows; the fid's home bucket, and later where the row lies; the words that mark it as
  /// touched. And the positions of fids that were not found in their home bucket.
  let rows: UnsafeMutablePointer<UInt32>
  let addresses: UnsafeMutablePointer<UnsafeMutableRawPointer>
  let marks: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>
  let pending: UnsafeMutablePointer<UInt32>

  init(layout: TableLayout, feeds: Int, isSnapshotted: Bool) {
    self.layout = layout
    shape = RowShape(layout)
    index = FidIndex()
    store = RowStore(strideBytes: shape.strideBytes, feeds: feeds, hasCuts: isSnapshotted)
    cutCopies = CutCopies(rowBytes: shape.rowBytes)
    knowsChanges = isSnapshotted
    admission = AdmissionFilter(layout.admission)
    removed = [FidList](repeating: FidList(), count: feeds)
    scratch = .allocate(capacity: layout.width + 8)
    rows = .allocate(capacity: Self.chunk + Self.rowAhead + Self.mostRowsTogether)
    addresses = .allocate(capacity: Self.chunk)
    marks = .allocate(capacity: Self.chunk)
    pending = .allocate(capacity: Self.chunk)
  }

  deinit {
    scratch.deallocate()
    rows.deallocate()
    addresses.deallocate()
    marks.deallocate()
    pending.deallocate()
  }

  @inline(__always)
  func kernel<Kernel: RowOptimizer, Storage: WeightStorage, Width: RowWidth>(
    _ optimizer: Kernel, _ storage: Storage.Type, _ width: Width.Type = AnyWidth.self
  ) -> RowKernel<Kernel, Storage, Width> {
    RowKernel(optimizer: optimizer, shape: shape, rules: layout.gradientRules, scratch: scratch)
  }

  // MARK: - One fid

  /// The row of a fid, or `noRow`; one that has expired counts as absent.
  @inline(__always)
  func find(_ fid: Fid) -> UInt32 {
    row(index.find(fid))
  }

  @inline(__always)
  func row(_ entry: FidIndex.Entry?) -> UInt32 {
    guard let entry, entry[FidIndex.minutesOffset] >= liveFrom else { return Self.noRow }
    return entry[0] &- 1
  }

  /// The row of a fid for a change at `minutes`. Makes one if there is none.
  /// - Returns: `noRow` if the fid is not admitted.
  @inline(never)
  mutating func findOrInsert<Kernel: RowOptimizer, Storage: WeightStorage>(
    _ fid: Fid, _ entry: FidIndex.Entry?, minutes: UInt32, asksAdmission: Bool, _ optimizer: Kernel,
    _ storage: Storage.Type
  ) -> UInt32 {
    let kernel = kernel(optimizer, storage)
    if let entry {
      let row = entry[0] &- 1
      if entry[FidIndex.minutesOffset] < liveFrom {
        // As if the sweep had been here: what is learned must not depend on how far it is.
        if asksAdmission && !admission.admits(fid) {
          statistics.rejected &+= 1
          return Self.noRow
        }
        kernel.initialize(store.row(row), fid: fid, layout.initializer)
        statistics.expired &+= 1
      }
      entry[FidIndex.minutesOffset] = max(entry[FidIndex.minutesOffset], minutes)
      return row
    }
    if asksAdmission && !admission.admits(fid) {
      statistics.rejected &+= 1
      return Self.noRow
    }
    let row = store.append(fid)
    index.insert(fid, row: row, minutes: minutes)
    kernel.initialize(store.row(row), fid: fid, layout.initializer)
    statistics.inserts &+= 1
    return row
  }

  /// - Returns: Whether the fid had a row.
  mutating func remove(_ fid: Fid) -> Bool {
    if isCutting { saveForCut(fid) }
    guard takeOut(fid) else { return false }
    for feed in removed.indices { removed[feed].append(fid) }
    if knowsChanges { noteRemovalForCut(fid) }
    statistics.removals &+= 1
    return true
  }

  /// Removes a fid and its row, which nobody is told of.
  mutating func takeOut(_ fid: Fid) -> Bool {
    guard let row = index.remove(fid) else { return false }
    if let moved = store.remove(row) { index.find(moved).unsafelyUnwrapped[0] = row &+ 1 }
    return true
  }

  /// - Returns: Whether something is left to do.
  mutating func maintain() -> Bool {
    let rowsLeft = store.exchangeSmallPages()
    return rowsLeft == 0 ? index.maintain() : true
  }

  mutating func advanceClock(_ minutes: UInt32) {
    newestMinutes = max(newestMinutes, minutes)
    if let timeToLive = layout.expiry.timeToLiveMinutes { liveFrom = newestMinutes - min(timeToLive, newestMinutes) }
  }
}

import CIntrinsics
import FreshetCore

/// The parts of a table and the batched walk over them. `EmbeddingTable` is its public face.
struct TableCore: ~Copyable {
  /// In place of a row number: the fid has no row.
  static let noRow = UInt32.max
  /// Fids that are walked over together: their buckets stay in the nearest cache.
  static let chunk = 256
  /// How many fids ahead of the search a bucket is fetched.
  static let indexAhead = 24
  /// How many rows ahead of the work a row is fetched: of wide rows fewer, as there is room for so many lines on their way.
  @inline(__always)
  static func rowAhead(rowBytes: Int) -> Int { rowBytes <= 128 ? 24 : 12 }

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
  /// touched. And the positions whose search goes on.
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
    rows = .allocate(capacity: Self.chunk)
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
  @inline(__always)
  mutating func findOrInsert<Kernel, Storage, Width>(
    _ fid: Fid, _ entry: FidIndex.Entry?, minutes: UInt32, asksAdmission: Bool,
    _ kernel: RowKernel<Kernel, Storage, Width>
  ) -> UInt32 {
    if let entry {
      let row = entry[0] &- 1
      if _slowPath(entry[FidIndex.minutesOffset] < liveFrom) {
        // As if the sweep had been here: what is learned must not depend on how far it is.
        if asksAdmission && !admission.admits(fid) {
          statistics.rejected &+= 1
          return Self.noRow
        }
        kernel.initialize(store.row(row), fid: fid, layout.initializer)
        statistics.expired &+= 1
      }
      // Written only when it changes: a cache line that was only read need not go back to memory.
      if entry[FidIndex.minutesOffset] < minutes { entry[FidIndex.minutesOffset] = minutes }
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

  // MARK: - Batches

  /// Walks over a batch in two passes, so that memory is fetched while other fids are worked on: first `resolve` each fid to
  /// a row, its bucket fetched some fids ahead; then `work` on each row, fetched some rows ahead. (One pass with both was
  /// slower by a quarter.)
  /// - Parameters:
  ///   - rowBytes: How much of a row the work touches.
  ///   - touches: Whether the work changes rows, which marks them as touched.
  ///   - fetchesRows: Whether the work itself fetches the row that it is given as `ahead`, a piece at a time; that is the row in hand
  ///     where there is none further on.
  @inline(__always)
  mutating func forEach(
    _ fids: UnsafeBufferPointer<Fid>, rowBytes: Int, touches: Bool, fetchesRows: Bool = false,
    resolve: (inout TableCore, _ position: Int, Fid, FidIndex.Entry?) -> UInt32,
    work: (
      inout TableCore, _ position: Int, _ row: UInt32, _ address: UnsafeMutableRawPointer, _ ahead: UnsafeRawPointer
    ) -> Void
  ) {
    var first = 0
    while first < fids.count {
      let chunk = UnsafeBufferPointer(rebasing: fids[first..<min(first &+ Self.chunk, fids.count)])
      if touches && isCutting { saveForCut(chunk) }
      let count = chunk.count
      let indexAhead = min(Self.indexAhead, count)
      for position in 0..<indexAhead { addresses[position] = index.prefetch(chunk[position]) }
      let moveCount = index.moveCount
      var pendingCount = 0
      for position in 0..<count {
        if position &+ indexAhead < count {
          addresses[position &+ indexAhead] = index.prefetch(chunk[position &+ indexAhead])
        }
        let fid = chunk[position]
        let home = index.moveCount == moveCount ? addresses[position] : index.home(fid)
        switch FidIndex.find(fid, atHome: home) {
        case .entry(let entry): note(position, resolve(&self, first &+ position, fid, entry), touches)
        case .absent: note(position, resolve(&self, first &+ position, fid, nil), touches)
        case .further where touches && admission.dependsOnOrder:
          // Who is admitted must not depend on where the index has room.
          note(position, resolve(&self, first &+ position, fid, index.find(fid)), touches)
        case .further:
          // The next bucket is on its way; there is other work until it comes.
          pending[pendingCount] = UInt32(truncatingIfNeeded: position)
          pendingCount &+= 1
        }
      }
      for number in 0..<pendingCount {
        let position = Int(pending[number])
        note(position, resolve(&self, first &+ position, chunk[position], index.find(chunk[position])), touches)
      }
      let rowAhead = min(Self.rowAhead(rowBytes: rowBytes), count)
      for position in 0..<rowAhead { prefetchRow(position, bytes: rowBytes, touches: touches) }
      for position in 0..<count {
        let row = rows[position]
        let address = addresses[position]
        var ahead = UnsafeRawPointer(address)
        if position &+ rowAhead < count {
          let next = position &+ rowAhead
          prefetchRow(next, bytes: fetchesRows ? 0 : rowBytes, touches: touches)
          if fetchesRows && rows[next] != Self.noRow { ahead = UnsafeRawPointer(addresses[next]) }
        }
        if touches && row != Self.noRow { store.markTouched(row, marks[position]) }
        work(&self, first &+ position, row, address, ahead)
      }
      first &+= count
    }
  }

  @inline(__always)
  private func note(_ position: Int, _ row: UInt32, _ touches: Bool) {
    rows[position] = row
    guard row != Self.noRow else { return }
    addresses[position] = store.row(row)
    if touches { marks[position] = store.markedWords(row) }
  }

  @inline(__always)
  private func prefetchRow(_ position: Int, bytes: Int, touches: Bool) {
    let row = rows[position]
    guard row != Self.noRow else { return }
    if touches { store.prefetchMarks(marks[position]) }
    if bytes > 0 { RowStore.prefetch(addresses[position], bytes: bytes) }
  }

  @inline(__always)
  mutating func gather<Storage: WeightStorage>(
    _ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Float>, _ storage: Storage.Type
  ) {
    let kernel = kernel(WeightsOnly(), storage)
    forEach(fids, rowBytes: shape.weightBytes, touches: false) { core, _, _, entry in
      core.row(entry)
    } work: { core, position, row, address, _ in
      let target = output + position &* core.shape.width
      if row != Self.noRow {
        kernel.loadWeights(address, into: target)
      } else {
        core.layout.initializer.write(fid: fids[position], width: core.shape.width, into: target)
      }
    }
  }

  @inline(__always)
  mutating func gather<Kernel: RowOptimizer, Storage: WeightStorage>(
    _ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Float>, states: UnsafeMutablePointer<Float>,
    _ optimizer: Kernel, _ storage: Storage.Type
  ) {
    let kernel = kernel(optimizer, storage)
    let stateWidth = shape.stateVectors &* shape.width &+ shape.stateScalars
    forEach(fids, rowBytes: shape.rowBytes, touches: false) { core, _, _, entry in
      core.row(entry)
    } work: { core, position, row, address, _ in
      let target = output + position &* core.shape.width
      let state = states + position &* (stateWidth &+ 1)
      if row != Self.noRow {
        kernel.loadWeights(address, into: target)
        state.update(
          from: (address + core.shape.weightBytes).assumingMemoryBound(to: Float.self), count: stateWidth)
        state[stateWidth] = 1
      } else {
        core.layout.initializer.write(fid: fids[position], width: core.shape.width, into: target)
        kernel.initializeState(state, weights: target)
        state[stateWidth] = 0
      }
    }
  }

  @inline(__always)
  mutating func update<Kernel: RowOptimizer, Storage: WeightStorage, Width: RowWidth>(
    _ fids: UnsafeBufferPointer<Fid>, gradients: UnsafePointer<Float>, minutes: UInt32, _ optimizer: Kernel,
    _ storage: Storage.Type, _ width: Width.Type
  ) {
    advanceClock(minutes)
    let kernel = kernel(optimizer, storage, width)
    let width = kernel.width
    var updates: UInt64 = 0
    forEach(fids, rowBytes: shape.strideBytes, touches: true, fetchesRows: true) { core, position, fid, entry in
      if entry == nil || core.row(entry) == Self.noRow {
        // Nothing may come to be for its sake.
        guard areFinite(gradients + position &* width, width) else {
          core.statistics.nonFiniteGradients &+= 1
          return Self.noRow
        }
      }
      return core.findOrInsert(fid, entry, minutes: minutes, asksAdmission: true, kernel)
    } work: { core, position, row, address, ahead in
      guard row != Self.noRow else { return }
      let gradient = gradients + position &* width
      guard areFinite(gradient, width) else {
        core.statistics.nonFiniteGradients &+= 1
        return
      }
      updates &+= 1
      // A number that no other update of this row had.
      let noise = Storage.byteCount == 4 ? 0 : Hashing.mix(fids[position] &+ core.statistics.updates &+ updates)
      kernel.update(address, gradient: gradient, noise: noise, fetching: ahead)
    }
    statistics.updates &+= updates
    evictBeyondLimit()
  }

  @inline(__always)
  mutating func assign<Kernel: RowOptimizer, Storage: WeightStorage>(
    _ fids: UnsafeBufferPointer<Fid>, weights: UnsafePointer<Float>, minutes: UInt32, _ optimizer: Kernel,
    _ storage: Storage.Type
  ) {
    advanceClock(minutes)
    let kernel = kernel(optimizer, storage)
    forEach(fids, rowBytes: shape.weightBytes, touches: true) { core, _, fid, entry in
      core.findOrInsert(fid, entry, minutes: minutes, asksAdmission: false, kernel)
    } work: { core, position, row, address, _ in
      kernel.storeWeights(weights + position &* core.shape.width, to: address)
    }
    evictBeyondLimit()
  }

  mutating func advanceClock(_ minutes: UInt32) {
    newestMinutes = max(newestMinutes, minutes)
    if let timeToLive = layout.expiry.timeToLiveMinutes { liveFrom = newestMinutes - min(timeToLive, newestMinutes) }
  }
}

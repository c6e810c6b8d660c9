import FreshetCore

/// Memory that tables of this process will take as they grow.
public enum TableMemory {
  /// Touches memory now that tables would otherwise take page by page as they grow, as one does before a bulk load. It is in
  /// use from now on; what tables do not take stays until `releaseReserve`.
  public static func reserve(bytes: Int) {
    HugePageReserve.shared.add(pages: (bytes + PageMemory.hugePageBytes - 1) / PageMemory.hugePageBytes)
  }

  public static func releaseReserve() { HugePageReserve.shared.removeAll() }
}

/// The rows of one table of one shard: fid → weights and optimizer state.
///
/// Not thread-safe and not `Sendable`: a shard's owner owns its tables. Operations are batched. Two fids never share a
/// row. A fid without a row has the value that the layout's initializer gives it. docs/table.md says how it works inside.
public final class EmbeddingTable {
  public let layout: TableLayout
  // A table has one owner, or readers that nobody disturbs: a check of each access would cost as much as finding a row.
  @exclusivity(unchecked) var core: TableCore

  /// - Parameters:
  ///   - feeds: Consumers of changes (`takeTouched`, `takeRemoved`), each of which sees all of them; 0 for a copy that has
  ///     nobody to tell.
  ///   - isSnapshotted: Whether cuts will be made; costs two bits a row and a little of an update.
  public init(layout: TableLayout, feeds: Int, isSnapshotted: Bool = false) {
    self.layout = layout
    core = TableCore(layout: layout, feeds: feeds, isSnapshotted: isSnapshotted)
  }

  /// Rows in memory; expired ones count until the sweep has found them.
  public var rowCount: Int { core.store.count }
  /// Memory of index, rows, admission sketch and change bits.
  public var sizeBytes: Int { core.index.sizeBytes + core.store.sizeBytes + core.admission.sizeBytes }
  public var statistics: TableStatistics { core.statistics }

  // MARK: - Reading

  /// Copies each fid's weights, or its initial value where it has no row. Never inserts.
  /// - Parameters:
  ///   - fids: Need not be distinct.
  ///   - output: Room for `fids.count × width` floats, row-major in the order of `fids`.
  public func gather(_ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Float>) {
    switch layout.weightFormat {
    case .float32:
      switch layout.width {
      case 8: core.gather(fids, into: output, Float32Storage.self, Width8.self)
      case 16: core.gather(fids, into: output, Float32Storage.self, Width16.self)
      case 32: core.gather(fids, into: output, Float32Storage.self, Width32.self)
      case 64: core.gather(fids, into: output, Float32Storage.self, Width64.self)
      default: core.gather(fids, into: output, Float32Storage.self, AnyWidth.self)
      }
    case .float16: core.gather(fids, into: output, Float16Storage.self, AnyWidth.self)
    case .bfloat16: core.gather(fids, into: output, BFloat16Storage.self, AnyWidth.self)
    }
  }

  /// `gather`, and with each row's weights its optimizer state: what a `RowUpdater` needs to go on from.
  /// - Parameter states: Room for `fids.count × TableLayout.copiedStateWidth` floats. The last one of each row is 1 if the fid
  ///   has a row, and 0 if it has not; then state and weights are those that a row begins with.
  public func gather(
    _ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Float>, states: UnsafeMutablePointer<Float>
  ) {
    switch layout.optimizer {
    case .sgd(let kernel): gather(fids, output, states, kernel)
    case .momentum(let kernel): gather(fids, output, states, kernel)
    case .adagrad(let kernel): gather(fids, output, states, kernel)
    case .rmsProp(let kernel): gather(fids, output, states, kernel)
    case .adam(let kernel): gather(fids, output, states, kernel)
    case .ftrl(let kernel): gather(fids, output, states, kernel)
    case .weightsOnly: gather(fids, output, states, WeightsOnly())
    }
  }

  @inline(__always)
  private func gather<Kernel: RowOptimizer>(
    _ fids: UnsafeBufferPointer<Fid>, _ output: UnsafeMutablePointer<Float>, _ states: UnsafeMutablePointer<Float>,
    _ kernel: Kernel
  ) {
    switch layout.weightFormat {
    case .float32: core.gather(fids, into: output, states: states, kernel, Float32Storage.self)
    case .float16: core.gather(fids, into: output, states: states, kernel, Float16Storage.self)
    case .bfloat16: core.gather(fids, into: output, states: states, kernel, BFloat16Storage.self)
    }
  }

  /// `gather` for one fid.
  /// - Returns: Whether the fid has a row.
  @discardableResult
  public func copyWeights(of fid: Fid, into output: UnsafeMutablePointer<Float>) -> Bool {
    let row = core.find(fid)
    guard row != TableCore.noRow else {
      layout.initializer.write(fid: fid, width: layout.width, into: output)
      return false
    }
    core.loadWeights(row, into: output)
    return true
  }

  public func contains(_ fid: Fid) -> Bool { core.find(fid) != TableCore.noRow }

  /// Which fids have a row.
  /// - Parameter output: Room for `fids.count` answers.
  public func contains(_ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Bool>) {
    core.contains(fids, into: output)
  }

  /// The weights and then the optimizer state of one row, or nil if it does not exist.
  public func row(_ fid: Fid) -> [Float]? {
    let row = core.find(fid)
    return row == TableCore.noRow ? nil : core.floats(row)
  }

  /// One fid's weights as `gather` gives them, and whether it has a row.
  public func weights(_ fid: Fid) -> (weights: [Float], exists: Bool) {
    var exists = false
    let weights = [Float](unsafeUninitializedCapacity: layout.width) { buffer, count in
      exists = copyWeights(of: fid, into: buffer.baseAddress!)
      count = layout.width
    }
    return (weights, exists)
  }

  // MARK: - Changing

  /// Applies one gradient after the other to its fid's row. A fid without a row gets one if it is admitted, else its gradient is
  /// dropped and counted.
  ///
  /// A row of gradients with a NaN or an infinity is skipped and counted: it makes no row, and leaves weights and state of one that
  /// exists as they are; only its time of the last update moves on.
  /// - Parameters:
  ///   - fids: Need not be distinct: gradients of one fid are applied in their order, each as an update of its own.
  ///   - gradients: Row-major `fids.count × width`.
  ///   - minutes: Event time of the newest example of the batch, in minutes since 1970.
  /// - Complexity: O(fids × width). Growth of the index is spread over insertions; memory comes 2 MiB at a time.
  public func update(_ fids: UnsafeBufferPointer<Fid>, gradients: UnsafePointer<Float>, minutes: UInt32) {
    switch layout.optimizer {
    case .sgd(let kernel): update(fids, gradients, minutes, kernel)
    case .momentum(let kernel): update(fids, gradients, minutes, kernel)
    case .adagrad(let kernel): update(fids, gradients, minutes, kernel)
    case .rmsProp(let kernel): update(fids, gradients, minutes, kernel)
    case .adam(let kernel): update(fids, gradients, minutes, kernel)
    case .ftrl(let kernel): update(fids, gradients, minutes, kernel)
    case .weightsOnly: preconditionFailure("table \(layout.name) of a serving replica got gradients")
    }
  }

  @inline(__always)
  private func update<Kernel: RowOptimizer>(
    _ fids: UnsafeBufferPointer<Fid>, _ gradients: UnsafePointer<Float>, _ minutes: UInt32, _ kernel: Kernel
  ) {
    switch layout.weightFormat {
    case .float32:
      switch layout.width {
      case 8: core.update(fids, gradients: gradients, minutes: minutes, kernel, Float32Storage.self, Width8.self)
      case 16: core.update(fids, gradients: gradients, minutes: minutes, kernel, Float32Storage.self, Width16.self)
      case 32: core.update(fids, gradients: gradients, minutes: minutes, kernel, Float32Storage.self, Width32.self)
      case 64: core.update(fids, gradients: gradients, minutes: minutes, kernel, Float32Storage.self, Width64.self)
      default: core.update(fids, gradients: gradients, minutes: minutes, kernel, Float32Storage.self, AnyWidth.self)
      }
    case .float16: core.update(fids, gradients: gradients, minutes: minutes, kernel, Float16Storage.self, AnyWidth.self)
    case .bfloat16:
      core.update(fids, gradients: gradients, minutes: minutes, kernel, BFloat16Storage.self, AnyWidth.self)
    }
  }

  /// Sets weights, creating rows that do not exist, whatever the rule of admission. Optimizer state stays as it is. This is
  /// how a replica applies a delta.
  /// - Parameter weights: Row-major `fids.count × width`.
  public func assign(_ fids: UnsafeBufferPointer<Fid>, weights: UnsafePointer<Float>, minutes: UInt32) {
    switch layout.optimizer {
    case .sgd(let kernel): assign(fids, weights, minutes, kernel)
    case .momentum(let kernel): assign(fids, weights, minutes, kernel)
    case .adagrad(let kernel): assign(fids, weights, minutes, kernel)
    case .rmsProp(let kernel): assign(fids, weights, minutes, kernel)
    case .adam(let kernel): assign(fids, weights, minutes, kernel)
    case .ftrl(let kernel): assign(fids, weights, minutes, kernel)
    case .weightsOnly: assign(fids, weights, minutes, WeightsOnly())
    }
  }

  private func assign<Kernel: RowOptimizer>(
    _ fids: UnsafeBufferPointer<Fid>, _ weights: UnsafePointer<Float>, _ minutes: UInt32, _ kernel: Kernel
  ) {
    switch layout.weightFormat {
    case .float32: core.assign(fids, weights: weights, minutes: minutes, kernel, Float32Storage.self)
    case .float16: core.assign(fids, weights: weights, minutes: minutes, kernel, Float16Storage.self)
    case .bfloat16: core.assign(fids, weights: weights, minutes: minutes, kernel, BFloat16Storage.self)
    }
  }

  /// Removes rows; fids without a row are passed over.
  /// - Returns: Rows removed.
  @discardableResult
  public func remove(_ fids: UnsafeBufferPointer<Fid>) -> Int { core.remove(fids) }

  /// Removes the rows that were last changed before `minutes`, at once.
  /// - Returns: Rows removed.
  /// - Complexity: O(rows).
  @discardableResult
  public func removeRows(updatedBefore minutes: UInt32) -> Int { core.removeRows(updatedBefore: minutes) }

  /// Finds rows that were last changed before `minutes`, a slice at a time, so that they can be removed without one long
  /// pause. Rows may be removed between the calls; rows that are added may be missed.
  /// - Parameters:
  ///   - cursor: 0 to begin, else what the last call returned.
  ///   - limit: Most rows to look at, above 0.
  ///   - fids: Gets the rows' fids behind what it holds.
  /// - Returns: The next cursor, or nil after the last row.
  public func findRows(updatedBefore minutes: UInt32, from cursor: Int, limit: Int, into fids: inout [Fid]) -> Int? {
    core.findRows(updatedBefore: minutes, from: cursor, limit: limit, into: &fids)
  }

  /// Goes on with the removal of rows whose time to live is over. They count as absent already; this gives their memory
  /// back and reports them as removed. A call takes some tens of microseconds: repeat it for as long as there is time.
  /// - Returns: Whether a pass over the table is complete.
  public func sweepExpired() -> Bool { core.sweep(limit: 512) }

  /// A slice of housekeeping for when nothing else is to be done, some tenths of a millisecond: goes on with a change of the
  /// index's size, and moves memory into huge pages that could not be had when it was needed.
  /// - Returns: Whether something is left to do. It may have to wait for the kernel: call again later, not at once.
  public func maintain() -> Bool { core.maintain() }

  // MARK: - Changes for others

  /// Rows touched since this feed last took them.
  public func touchedCount(feed: Int) -> Int { core.store.touchedCount(feed: feed) }

  /// Calls `body` with each row touched since the feed last took them, and forgets them. The weights are valid during the
  /// call.
  public func takeTouched(feed: Int, _ body: (Fid, UnsafePointer<Float>) -> Void) {
    core.takeTouched(feed: feed, body)
  }

  /// Removals that wait for the feed, repeated ones included.
  public func removedCount(feed: Int) -> Int { core.removed[feed].count }

  /// The fids whose rows were removed since the feed last took them and that have no row now, ascending: the tombstones of
  /// a delta.
  public func takeRemoved(feed: Int) -> [Fid] {
    core.removed[feed].takeDistinct().filter { core.index.find($0) == nil }
  }

  /// Visits rows in chunks, for base copies.
  /// - Parameters:
  ///   - cursor: 0 to begin, else what the last call returned.
  ///   - limit: Most rows to visit, above 0.
  ///   - body: Gets the weights, valid during the call.
  /// - Returns: The next cursor, or nil after the last row. A row that exists from the first call to the last is never
  ///   missed, whatever changes between the calls, and may come twice; one that is added may be missed. Rows that changed
  ///   are touched, and so come with a delta.
  public func scan(from cursor: Int, limit: Int, _ body: (Fid, UnsafePointer<Float>) -> Void) -> Int? {
    core.scan(from: cursor, limit: limit, body)
  }

  // MARK: - Insight

  /// - Complexity: O(1); looks at a sample of the index.
  public func occupancy() -> TableOccupancy {
    let probes = core.index.probes(limit: 4096)
    return TableOccupancy(
      rows: rowCount, bytes: sizeBytes, strideBytes: core.shape.strideBytes, loadFactor: core.index.loadFactor,
      meanProbes: probes.mean, maximumProbes: probes.maximum, isResizing: core.index.isMoving)
  }

  /// Traps unless index, rows and lists agree. For tests.
  public func checkInvariants() { core.checkInvariants() }
}

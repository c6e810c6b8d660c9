import FreshetCore

/// The rows of one table of one shard: fid → weights and optimizer state.
///
/// Not thread-safe and not `Sendable`: a shard's owner owns its tables. All operations are batched. Two fids never share a
/// row. A fid without a row has the value that the layout's initializer gives it.
public final class EmbeddingTable {
  public let layout: TableLayout
  private let width: Int
  /// Replicas have nobody to tell what changed.
  private let tracksChanges: Bool
  private var index: FidIndex
  private var slabs: RowSlabs
  /// Rows touched since the list was last taken; an entry counts only while its row's `isTouched` is set.
  private var touched: [UInt32] = []
  private var removed: [Fid] = []
  public private(set) var statistics = TableStatistics()

  public init(layout: TableLayout) {
    self.layout = layout
    width = layout.width
    tracksChanges = layout.optimizer != .weightsOnly
    index = FidIndex(minimumCapacity: 0)
    slabs = RowSlabs(stride: layout.stride)
  }

  public var rowCount: Int { index.count }
  /// Memory of index, rows and metadata.
  public var sizeBytes: Int { index.sizeBytes + slabs.sizeBytes }

  public func contains(_ fid: Fid) -> Bool { index.find(fid) != FidIndex.vacant }

  /// Copies each fid's weights, or its initial value where it has no row. Never inserts.
  /// - Parameters:
  ///   - fids: Need not be distinct.
  ///   - output: Room for `fids.count × width` floats, row-major in the order of `fids`.
  public func gather(_ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Float>) {
    var target = output
    for fid in fids {
      copyWeights(of: fid, into: target)
      target += width
    }
  }

  /// `gather` for one fid.
  /// - Returns: Whether the fid has a row.
  @discardableResult
  public func copyWeights(of fid: Fid, into output: UnsafeMutablePointer<Float>) -> Bool {
    let row = index.find(fid)
    guard row != FidIndex.vacant else {
      layout.initializer.write(fid: fid, width: width, into: output)
      return false
    }
    output.update(from: slabs.row(row), count: width)
    return true
  }

  /// Applies one gradient to each fid's row, creating rows that do not exist.
  ///
  /// A row of gradients with a NaN or an infinity is skipped and counted.
  /// - Parameters:
  ///   - fids: Distinct.
  ///   - gradients: Row-major `fids.count × width`, summed over the batch.
  ///   - minutes: Event time of the newest example of the batch, in minutes since 1970.
  public func update(_ fids: UnsafeBufferPointer<Fid>, gradients: UnsafePointer<Float>, minutes: UInt32) {
    switch layout.optimizer {
    case .sgd(let kernel): update(fids, gradients, minutes, kernel)
    case .adagrad(let kernel): update(fids, gradients, minutes, kernel)
    case .weightsOnly: preconditionFailure("table \(layout.name) of a serving replica got gradients")
    }
  }

  @inline(__always)
  private func update<Kernel: RowOptimizer>(
    _ fids: UnsafeBufferPointer<Fid>, _ gradients: UnsafePointer<Float>, _ minutes: UInt32, _ kernel: Kernel
  ) {
    var gradient = gradients
    for fid in fids {
      if Self.isFinite(gradient, width) {
        let row = findOrInsert(fid)
        let weights = slabs.row(row)
        kernel.update(weights: weights, state: weights + width, gradient: gradient, width: width)
        markTouched(row, minutes)
        statistics.updates &+= 1
      } else {
        statistics.nonFiniteGradients &+= 1
      }
      gradient += width
    }
  }

  /// Sets weights, creating rows that do not exist. This is how a replica applies a delta.
  /// - Parameter weights: Row-major `fids.count × width`.
  public func assign(_ fids: UnsafeBufferPointer<Fid>, weights: UnsafePointer<Float>, minutes: UInt32) {
    var source = weights
    for fid in fids {
      let row = findOrInsert(fid)
      slabs.row(row).update(from: source, count: width)
      markTouched(row, minutes)
      source += width
    }
  }

  /// Removes rows; fids without a row are passed over.
  /// - Returns: Rows removed.
  @discardableResult
  public func remove(_ fids: UnsafeBufferPointer<Fid>) -> Int {
    var count = 0
    for fid in fids {
      let row = index.remove(fid)
      guard row != FidIndex.vacant else { continue }
      slabs.free(row)
      if tracksChanges { removed.append(fid) }
      count += 1
    }
    statistics.removals &+= UInt64(count)
    return count
  }

  /// Removes the rows that were last changed before `minutes`.
  /// - Returns: Rows removed.
  /// - Complexity: O(rows).
  @discardableResult
  public func removeRows(updatedBefore minutes: UInt32) -> Int {
    var stale: [Fid] = []
    for row in 0..<UInt32(slabs.capacity) {
      let metadata = slabs.metadata(row)
      if metadata.pointee.isLive && metadata.pointee.updatedMinutes < minutes { stale.append(metadata.pointee.fid) }
    }
    return stale.withUnsafeBufferPointer { remove($0) }
  }

  /// The weights and then the optimizer state of one row, or nil if it does not exist.
  public func row(_ fid: Fid) -> [Float]? {
    let row = index.find(fid)
    guard row != FidIndex.vacant else { return nil }
    return Array(UnsafeBufferPointer(start: slabs.row(row), count: layout.stride))
  }

  /// One fid's weights as `gather` gives them, and whether it has a row.
  public func weights(_ fid: Fid) -> (weights: [Float], exists: Bool) {
    let weights = [Float](unsafeUninitializedCapacity: width) { buffer, count in
      withUnsafePointer(to: fid) { gather(UnsafeBufferPointer(start: $0, count: 1), into: buffer.baseAddress!) }
      count = width
    }
    return (weights, contains(fid))
  }

  /// Calls `body` with each row touched since the last call and forgets them. Rows come in the order of first touch.
  public func takeTouched(_ body: (Fid, UnsafePointer<Float>) -> Void) {
    for row in touched {
      let metadata = slabs.metadata(row)
      guard metadata.pointee.isTouched else { continue }
      metadata.pointee.isTouched = false
      body(metadata.pointee.fid, slabs.row(row))
    }
    touched.removeAll(keepingCapacity: true)
  }

  public var touchedCount: Int { touched.count }

  /// The fids whose rows were removed since the last call and that have no row now: the tombstones of a delta.
  public func takeRemoved() -> [Fid] {
    defer { removed.removeAll() }
    return Set(removed).filter { !contains($0) }.sorted()
  }

  /// Visits rows in the order of their numbers, for base copies that are sent in chunks.
  /// - Parameters:
  ///   - cursor: 0 to begin, else what the last call returned.
  ///   - limit: Most rows to visit.
  /// - Returns: The next cursor, or nil after the last row. Rows added meanwhile may be missed; they are touched, and so
  ///   come with a delta.
  public func scan(from cursor: Int, limit: Int, _ body: (Fid, UnsafePointer<Float>) -> Void) -> Int? {
    var position = cursor
    var visited = 0
    while position < slabs.capacity {
      if visited == limit { return position }
      let row = UInt32(position)
      let metadata = slabs.metadata(row)
      if metadata.pointee.isLive {
        body(metadata.pointee.fid, slabs.row(row))
        visited += 1
      }
      position += 1
    }
    return nil
  }

  /// Traps unless index, rows and lists agree. For tests.
  public func checkInvariants() {
    index.checkInvariants()
    var live = 0
    for row in 0..<UInt32(slabs.capacity) where slabs.metadata(row).pointee.isLive {
      live += 1
      precondition(index.find(slabs.metadata(row).pointee.fid) == row, "row \(row) is not indexed")
    }
    precondition(live == index.count, "\(live) rows live, \(index.count) indexed")
    for row in touched where slabs.metadata(row).pointee.isTouched { precondition(slabs.metadata(row).pointee.isLive) }
  }

  @inline(__always)
  private func findOrInsert(_ fid: Fid) -> UInt32 {
    let found = index.find(fid)
    if found != FidIndex.vacant { return found }
    let row = slabs.allocate(fid: fid)
    index.insert(fid, row: row)
    let weights = slabs.row(row)
    layout.initializer.write(fid: fid, width: width, into: weights)
    layout.optimizer.initializeState(weights + width, width: width)
    statistics.inserts &+= 1
    return row
  }

  @inline(__always)
  private func markTouched(_ row: UInt32, _ minutes: UInt32) {
    let metadata = slabs.metadata(row)
    metadata.pointee.updatedMinutes = max(metadata.pointee.updatedMinutes, minutes)
    if tracksChanges && !metadata.pointee.isTouched {
      metadata.pointee.isTouched = true
      touched.append(row)
    }
  }

  @inline(__always)
  private static func isFinite(_ values: UnsafePointer<Float>, _ count: Int) -> Bool {
    // x × 0 is 0 for every finite x and NaN for the others.
    var sum: Float = 0
    for index in 0..<count { sum += values[index] * 0 }
    return sum == 0
  }
}

/// What has happened to a table since it was made.
public struct TableStatistics: Sendable, Equatable {
  public var inserts: UInt64 = 0
  public var updates: UInt64 = 0
  public var removals: UInt64 = 0
  /// Gradient rows that were skipped because of a NaN or an infinity.
  public var nonFiniteGradients: UInt64 = 0

  public init() {}
}

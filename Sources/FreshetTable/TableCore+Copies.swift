import FreshetCore

extension TableCore {
  /// Copies a row's weights out.
  @inline(__always)
  func loadWeights(_ row: UInt32, into output: UnsafeMutablePointer<Float>) {
    let address = store.row(row)
    switch layout.weightFormat {
    case .float32: kernel(WeightsOnly(), Float32Storage.self).loadWeights(address, into: output)
    case .float16: kernel(WeightsOnly(), Float16Storage.self).loadWeights(address, into: output)
    case .bfloat16: kernel(WeightsOnly(), BFloat16Storage.self).loadWeights(address, into: output)
    }
  }

  /// A row's weights where they lie, or in the scratch space if they are kept in another format.
  @inline(__always)
  private func weights(_ row: UInt32) -> UnsafePointer<Float> {
    if layout.weightFormat == .float32 { return UnsafePointer(store.row(row).assumingMemoryBound(to: Float.self)) }
    loadWeights(row, into: scratch)
    return UnsafePointer(scratch)
  }

  /// Weights and state.
  func floats(_ row: UInt32) -> [Float] {
    [Float](unsafeUninitializedCapacity: shape.floatCount) { buffer, count in
      let output = buffer.baseAddress!
      loadWeights(row, into: output)
      let state = UnsafeRawPointer(store.row(row) + shape.weightBytes)
      UnsafeMutableRawPointer(output + shape.width).copyMemory(
        from: state, byteCount: (shape.floatCount - shape.width) * 4)
      count = shape.floatCount
    }
  }

  mutating func contains(_ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Bool>) {
    forEach(fids, rowBytes: 0, minutes: nil) { core, _, _, entry in
      core.row(entry)
    } work: { _, position, _ in
      output[position] = true
    } missing: { _, position in
      output[position] = false
    }
  }

  /// - Returns: Rows removed.
  mutating func remove(_ fids: UnsafeBufferPointer<Fid>) -> Int {
    let ahead = min(Self.indexAhead, fids.count)
    for position in 0..<ahead { index.prefetch(fids[position]) }
    var removals = 0
    for position in 0..<fids.count {
      if position + ahead < fids.count { index.prefetch(fids[position + ahead]) }
      // The row that is to fill this one's place will be sought as well.
      if store.count > ahead { index.prefetch(store.fid(UInt32(store.count - ahead))) }
      if remove(fids[position]) { removals += 1 }
    }
    return removals
  }

  func takeTouched(feed: Int, _ body: (Fid, UnsafePointer<Float>) -> Void) {
    store.takeTouched(feed: feed) { row in body(store.fid(row), weights(row)) }
  }

  /// Rows are visited from the last to the first: a removal moves the last row down, to where it is yet to be visited or
  /// has been.
  func scan(from cursor: Int, limit: Int, _ body: (Fid, UnsafePointer<Float>) -> Void) -> Int? {
    precondition(limit > 0)
    let start = cursor == 0 ? store.count : min(cursor, store.count)
    let end = max(0, start - limit)
    var row = start
    while row > end {
      row -= 1
      body(store.fid(UInt32(row)), weights(UInt32(row)))
    }
    return end > 0 ? end : nil
  }

  /// Traps unless index, rows and lists agree. For tests.
  func checkInvariants() {
    index.checkInvariants()
    precondition(index.count == store.count, "\(store.count) rows, \(index.count) indexed")
    for row in 0..<UInt32(store.count) {
      precondition(index.find(store.fid(row))?[0] == row &+ 1, "row \(row) is not indexed")
    }
    if let limit = layout.expiry.maximumRows { precondition(store.count <= limit) }
  }
}

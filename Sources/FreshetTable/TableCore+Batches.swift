import CIntrinsics
import FreshetCore

/// What is done with many fids at once, and the walk over them.
extension TableCore {
  /// Rows of no more bytes are fetched whole at the first call.
  private static let shortRowBytes = 128

  /// Of how many rows the first lines are fetched at once, so that a processor that looks some hundreds of instructions ahead
  /// translates several addresses at the same time: the more, the more work on a row lies in between. A power of two, measured in
  /// docs/table.md.
  @inline(__always)
  private static func rowsTogether(rowBytes: Int) -> Int {
    rowBytes >= 512 ? mostRowsTogether : rowBytes >= 256 ? 4 : rowBytes >= 128 ? 2 : 1
  }

  /// Walks over a batch, some fids at a time, so that memory is fetched while other fids are worked on: first a search of each
  /// fid's home bucket, fetched some fids ahead, finds nearly all rows; then `resolve` says which row each of the others has or
  /// gets, in their order; then `work` is done on each row, fetched some rows ahead. (One pass with all of it was slower by a
  /// quarter.)
  /// - Parameters:
  ///   - rowBytes: How much of a row the work touches.
  ///   - minutes: When rows change that are found; nil if the work only reads them. A change marks them as touched.
  ///   - restored: Instead of `minutes`: for each fid when its row, if it is found, was last updated. Nothing is marked.
  ///   - resolve: For fids without a row, or with one that has expired, and for those that do not lie in their home bucket.
  ///   - work: Gets each row.
  ///   - missing: Gets each fid that `resolve` gave no row.
  @inline(__always)
  mutating func forEach(
    _ fids: UnsafeBufferPointer<Fid>, rowBytes: Int, minutes: UInt32?, restored: UnsafePointer<UInt32>? = nil,
    resolve: (inout TableCore, _ position: Int, Fid, FidIndex.Entry?) -> UInt32,
    work: (inout TableCore, _ position: Int, UnsafeMutableRawPointer) -> Void,
    missing: (inout TableCore, _ position: Int) -> Void
  ) {
    let touches = minutes != nil
    let firstBytes = rowBytes <= Self.shortRowBytes ? rowBytes : 64
    let together = Self.rowsTogether(rowBytes: rowBytes)
    let (rows, addresses, marks) = (rows, addresses, marks)
    var first = 0
    while first < fids.count {
      let chunk = UnsafeBufferPointer(rebasing: fids[first..<min(first &+ Self.chunk, fids.count)])
      if touches && isCutting { saveForCut(chunk) }
      let pendingCount = searchHomes(chunk, minutes: minutes ?? 0, restored: restored.map { $0 + first })
      for number in 0..<pendingCount {
        let position = Int(pending[number])
        rows[position] = resolve(&self, first &+ position, chunk[position], index.find(chunk[position]))
      }
      let store = store.addresses
      let fetchFirst = { (position: Int) in
        let address = store.row(rows[position])
        addresses[position] = address
        if touches { marks[position] = store.fetchMarks(rows[position]) }
        if rowBytes > 0 { store.fetch(address, bytes: 0..<firstBytes) }
      }
      // Behind the last row lie as many that are none, so that the walk need not look how far it is.
      (rows + chunk.count).update(repeating: Self.noRow, count: Self.rowAhead &+ Self.mostRowsTogether)
      for position in 0..<min(Self.rowAhead, chunk.count) where rows[position] != Self.noRow { fetchFirst(position) }
      if firstBytes < rowBytes {
        for position in 0..<min(Self.linesAhead, chunk.count) where rows[position] != Self.noRow {
          store.fetch(addresses[position], bytes: firstBytes..<rowBytes)
        }
      }
      for position in 0..<chunk.count {
        if position & (together &- 1) == 0 {
          let next = position &+ Self.rowAhead
          for position in next..<next &+ together where rows[position] != Self.noRow { fetchFirst(position) }
        }
        if firstBytes < rowBytes && rows[position &+ Self.linesAhead] != Self.noRow {
          store.fetch(addresses[position &+ Self.linesAhead], bytes: firstBytes..<rowBytes)
        }
        let row = rows[position]
        if _slowPath(row == Self.noRow) {
          missing(&self, first &+ position)
          continue
        }
        if touches { store.markTouched(row, marks[position]) }
        work(&self, first &+ position, addresses[position])
      }
      first &+= chunk.count
    }
  }

  /// Looks for a chunk of fids in their home buckets, and notes the rows of those that are found.
  /// - Parameters:
  ///   - minutes: When the rows change; 0 if they do not.
  ///   - restored: Instead, when each one was last updated.
  /// - Returns: How many others there are; their positions are noted as pending, ascending.
  @inline(never)
  private mutating func searchHomes(
    _ fids: UnsafeBufferPointer<Fid>, minutes: UInt32, restored: UnsafePointer<UInt32>?
  ) -> Int {
    // Back in time too, which no other change goes.
    let minutes = restored == nil ? UInt64(minutes) : .max
    if index.isMoving { return searchHomes(fids, minutes, restored) { index.home($0) } }
    let buckets = index.buckets
    return searchHomes(fids, minutes, restored) { buckets.bucket(buckets.home(FidIndex.hash($0))) }
  }

  @inline(__always)
  private func searchHomes(
    _ fids: UnsafeBufferPointer<Fid>, _ minutes: UInt64, _ restored: UnsafePointer<UInt32>?,
    home: (Fid) -> UnsafeMutableRawPointer
  ) -> Int {
    let (homes, rows, pending, liveFrom) = (addresses, rows, pending, liveFrom)
    let ahead = min(Self.indexAhead, fids.count)
    for position in 0..<ahead {
      homes[position] = home(fids[position])
      fi_prefetch_read(homes[position])
    }
    var pendingCount = 0
    for position in 0..<fids.count {
      let next = position &+ ahead
      if next < fids.count {
        let home = home(fids[next])
        fi_prefetch_read(home)
        homes[next] = home
      }
      let bucket = homes[position]
      let match = FidIndex.match(bucket, fids[position])
      if match != 0 {
        let entry = FidIndex.entry(bucket, lane: match.trailingZeroBitCount)
        let updated = entry[FidIndex.minutesOffset]
        // Where it matches the fid of an entry that was removed, the whole search will find out.
        if entry[0] != 0 && updated >= liveFrom {
          // Written only when it changes: a cache line that was only read need not go back to memory.
          if updated < minutes {
            entry[FidIndex.minutesOffset] = restored?[position] ?? UInt32(truncatingIfNeeded: minutes)
          }
          rows[position] = entry[0] &- 1
          continue
        }
      } else if FidIndex.occupied(bucket) == FidIndex.allOccupied {
        // Its search goes on in the next bucket. Behind the last one of an array this fetches nothing of use.
        fi_prefetch_read(bucket + FidIndex.bucketBytes)
      }
      pending[pendingCount] = UInt32(truncatingIfNeeded: position)
      pendingCount &+= 1
    }
    return pendingCount
  }

  @inline(__always)
  mutating func gather<Storage: WeightStorage, Width: RowWidth>(
    _ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Float>, _ storage: Storage.Type,
    _ width: Width.Type
  ) {
    let kernel = kernel(WeightsOnly(), storage, width)
    let width = kernel.width
    forEach(fids, rowBytes: kernel.weightBytes, minutes: nil) { core, _, _, entry in
      core.row(entry)
    } work: { _, position, address in
      kernel.loadWeights(address, into: output + position &* width)
    } missing: { core, position in
      core.layout.initializer.write(fid: fids[position], width: width, into: output + position &* width)
    }
  }

  @inline(__always)
  mutating func gather<Kernel: RowOptimizer, Storage: WeightStorage>(
    _ fids: UnsafeBufferPointer<Fid>, into output: UnsafeMutablePointer<Float>, states: UnsafeMutablePointer<Float>,
    _ optimizer: Kernel, _ storage: Storage.Type
  ) {
    let kernel = kernel(optimizer, storage)
    let width = kernel.width
    let weightBytes = kernel.weightBytes
    let stateWidth = shape.stateVectors &* width &+ shape.stateScalars
    forEach(fids, rowBytes: kernel.rowBytes, minutes: nil) { core, _, _, entry in
      core.row(entry)
    } work: { _, position, address in
      let state = states + position &* (stateWidth &+ 1)
      kernel.loadWeights(address, into: output + position &* width)
      state.update(from: (address + weightBytes).assumingMemoryBound(to: Float.self), count: stateWidth)
      state[stateWidth] = 1
    } missing: { core, position in
      let target = output + position &* width
      let state = states + position &* (stateWidth &+ 1)
      core.layout.initializer.write(fid: fids[position], width: width, into: target)
      kernel.initializeState(state, weights: target)
      state[stateWidth] = 0
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
    forEach(fids, rowBytes: kernel.rowBytes, minutes: minutes) { core, position, fid, entry in
      // A gradient that is skipped makes no row and gives none that has expired back its life.
      if core.row(entry) == Self.noRow && !areFinite(gradients + position &* width, width) {
        core.statistics.nonFiniteGradients &+= 1
        return Self.noRow
      }
      return core.findOrInsert(fid, entry, minutes: minutes, asksAdmission: true, optimizer, Storage.self)
    } work: { core, position, address in
      let gradient = gradients + position &* width
      guard areFinite(gradient, width) else {
        core.statistics.nonFiniteGradients &+= 1
        return
      }
      updates &+= 1
      // A number that no other update of this row had.
      let noise = Storage.byteCount == 4 ? 0 : Hashing.mix(fids[position] &+ core.statistics.updates &+ updates)
      kernel.update(address, gradient: gradient, noise: noise)
    } missing: { _, _ in
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
    let width = kernel.width
    forEach(fids, rowBytes: kernel.weightBytes, minutes: minutes) { core, _, fid, entry in
      core.findOrInsert(fid, entry, minutes: minutes, asksAdmission: false, optimizer, Storage.self)
    } work: { _, position, address in
      kernel.storeWeights(weights + position &* width, to: address)
    } missing: { _, _ in
    }
    evictBeyondLimit()
  }
}

import FreshetCore
import FreshetModel
import FreshetTable

/// Which rows a batch of examples touches, in which order a pull asks for them, and in which order a push carries their gradients.
///
/// A row is pulled once. It is pushed once for each micro-batch in which it occurs, one gradient after the other. Both are laid out
/// server by server, within a server by shard and table, so that a server's part is contiguous. Used again for later batches;
/// allocates nothing once it has seen the largest one.
final class BatchRows {
  /// Neighbouring gradients of one micro-batch for rows of one table.
  struct Run: BitwiseCopyable {
    let table: Int32
    /// In `updates`.
    let end: Int32
  }

  private let map: ShardMap
  private let tableOfSlot: [UInt8]
  private let tableCount: Int
  private var deduplicator = FidDeduplicator()
  /// By number, in the order of first appearance: group (shard, table), then row.
  private let rows = GrowingMemory<Int32>()
  /// By number: the last micro-batch that it occurred in, and its update there.
  private let lastMicroBatch = GrowingMemory<Int32>()
  private let lastUpdate = GrowingMemory<Int32>()
  /// By group: how many, while they are counted; then the next one's place.
  private let pullPlaces = GrowingMemory<Int32>()
  private let pushPlaces = GrowingMemory<Int32>()

  /// By occurrence: the row's place in the pull, and that of its gradient in the push.
  let occurrences = GrowingMemory<Int32>()
  let gradientRows = GrowingMemory<Int32>()
  /// By example and slot, and one more: where its occurrences begin.
  let starts = GrowingMemory<Int32>()
  let pulledFids = GrowingMemory<Fid>()
  let pushedFids = GrowingMemory<Fid>()
  /// Micro-batch by micro-batch: which gradient is for which row.
  let updates = GrowingMemory<RowUpdate>()
  let runs = GrowingMemory<Run>()
  /// By micro-batch: where its runs end.
  let runEnds = GrowingMemory<Int32>()
  /// By server.
  private(set) var pullSections: [[RowSection]]
  private(set) var pushSections: [[RowSection]]
  private(set) var pullRanges: [Range<Int>]
  private(set) var pushRanges: [Range<Int>]

  init(tables: ModelTables, map: ShardMap) {
    self.map = map
    tableOfSlot = tables.tableOfSlot.map { UInt8($0) }
    tableCount = tables.slotTableCount
    pullSections = Array(repeating: [], count: map.serverCount)
    pushSections = pullSections
    pullRanges = Array(repeating: 0..<0, count: map.serverCount)
    pushRanges = pullRanges
  }

  /// - Parameter withState: Whether the pull asks for optimizer states.
  func layOut(_ slice: ExampleSlice, microBatchSize: Int, withState: Bool) {
    begin(slice)
    slice.batch.fids.withUnsafeBufferPointer { fids in
      slice.batch.slotStarts.withUnsafeBufferPointer { slotStarts in
        number(slice, UnsafePointer(fids.baseAddress!), slotStarts.baseAddress!, microBatchSize)
      }
    }
    place(withState: withState)
  }

  private func begin(_ slice: ExampleSlice) {
    deduplicator.begin(occurrences: slice.fidRange.count)
    rows.removeAll()
    lastMicroBatch.removeAll()
    lastUpdate.removeAll()
    occurrences.removeAll()
    gradientRows.removeAll()
    starts.removeAll()
    runEnds.removeAll()
    updates.removeAll()
    runs.removeAll()
    clear(pullPlaces)
    clear(pushPlaces)
  }

  private func clear(_ places: GrowingMemory<Int32>) {
    let groups = map.shardCount * tableCount
    places.removeAll()
    places.extend(by: groups).update(repeating: 0, count: groups)
  }

  /// Numbers fids, and counts rows and gradients of each group. Until `place` occurrences hold numbers and updates.
  private func number(
    _ slice: ExampleSlice, _ fids: UnsafePointer<Fid>, _ slotStarts: UnsafePointer<Int32>, _ microBatchSize: Int
  ) {
    let slots = tableOfSlot.count
    let shardCount = map.shardCount
    let firstFid = Int32(slice.fidRange.lowerBound)
    var example = slice.examples.lowerBound
    var microBatch: Int32 = 0
    starts.append(0)
    tableOfSlot.withUnsafeBufferPointer { tableOfSlot in
      while example < slice.examples.upperBound {
        let end = min(slice.examples.upperBound, example &+ min(microBatchSize, slice.count))
        microBatch &+= 1
        var runTable = -1
        while example < end {
          let bounds = slotStarts + example &* slots
          for slot in 0..<slots {
            let table = tableOfSlot[slot]
            for position in Int(bounds[slot])..<Int(bounds[slot &+ 1]) {
              let fid = fids[position]
              let number = deduplicator.number(of: fid, table: table)
              if Int(number) == rows.count {
                let shard = ShardMap.shardIndex(of: fid, shardCount: shardCount)
                let group = shard &* tableCount &+ Int(table)
                rows.append(Int32(truncatingIfNeeded: group))
                lastMicroBatch.append(0)
                lastUpdate.append(0)
                pullPlaces.start[group] &+= 1
              }
              if lastMicroBatch.start[Int(number)] != microBatch {
                lastMicroBatch.start[Int(number)] = microBatch
                lastUpdate.start[Int(number)] = Int32(truncatingIfNeeded: updates.count)
                if runTable != Int(table) {
                  if runTable >= 0 { endRun(runTable) }
                  runTable = Int(table)
                }
                updates.append(RowUpdate(row: number, gradient: 0))
                pushPlaces.start[Int(rows.start[Int(number)])] &+= 1
              }
              occurrences.append(number)
              gradientRows.append(lastUpdate.start[Int(number)])
            }
            starts.append(bounds[slot &+ 1] &- firstFid)
          }
          example &+= 1
        }
        if runTable >= 0 { endRun(runTable) }
        runEnds.append(Int32(truncatingIfNeeded: runs.count))
      }
    }
  }

  private func endRun(_ table: Int) {
    runs.append(Run(table: Int32(truncatingIfNeeded: table), end: Int32(truncatingIfNeeded: updates.count)))
  }

  /// Gives rows and gradients their places: a counting sort by group.
  private func place(withState: Bool) {
    var pulled = 0
    var pushed = 0
    for server in 0..<map.serverCount {
      let (firstPulled, firstPushed) = (pulled, pushed)
      pullSections[server].removeAll(keepingCapacity: true)
      pushSections[server].removeAll(keepingCapacity: true)
      for shard in 0..<map.shardCount where map.owners[shard].value == server {
        for table in 0..<tableCount {
          let group = shard * tableCount + table
          let (rowCount, gradientCount) = (Int(pullPlaces.start[group]), Int(pushPlaces.start[group]))
          pullPlaces.start[group] = Int32(pulled)
          pushPlaces.start[group] = Int32(pushed)
          guard rowCount > 0 else { continue }
          let id = ShardID(shard)
          pullSections[server].append(RowSection(shard: id, table: table, count: rowCount, withState: withState))
          pushSections[server].append(RowSection(shard: id, table: table, count: gradientCount))
          pulled += rowCount
          pushed += gradientCount
        }
      }
      pullRanges[server] = firstPulled..<pulled
      pushRanges[server] = firstPushed..<pushed
    }
    pulledFids.removeAll()
    pushedFids.removeAll()
    let pulledFids = pulledFids.extend(by: pulled)
    let pushedFids = pushedFids.extend(by: pushed)
    deduplicator.fids.withUnsafeBufferPointer { fids in
      // Groups of numbers are needed for the gradients first.
      for index in 0..<updates.count {
        let number = Int(updates.start[index].row)
        let group = Int(rows.start[number])
        let place = pushPlaces.start[group]
        pushPlaces.start[group] = place &+ 1
        pushedFids[Int(place)] = fids[number]
        updates.start[index].gradient = place
      }
      for number in 0..<rows.count {
        let group = Int(rows.start[number])
        let place = pullPlaces.start[group]
        pullPlaces.start[group] = place &+ 1
        pulledFids[Int(place)] = fids[number]
        rows.start[number] = place
      }
    }
    for index in 0..<updates.count { updates.start[index].row = rows.start[Int(updates.start[index].row)] }
    for index in 0..<occurrences.count {
      occurrences.start[index] = rows.start[Int(occurrences.start[index])]
      gradientRows.start[index] = updates.start[Int(gradientRows.start[index])].gradient
    }
  }
}

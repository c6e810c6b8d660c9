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

  /// What concerns one server.
  struct Share {
    var pullSections: [RowSection] = []
    var pushSections: [RowSection] = []
    /// In `pulledFids` and `pushedFids`.
    var pulled = 0..<0
    var pushed = 0..<0
    /// In the floats of all rows' weights, of their states, and of the gradients.
    var weights = 0..<0
    var states = 0..<0
    var gradients = 0..<0
  }

  /// Rows of one shard and one table: how many, while they are counted; then the place of the next one.
  private struct Group: BitwiseCopyable {
    var pulled: Int32 = 0
    var pushed: Int32 = 0
    /// Floats.
    var weights: Int32 = 0
    var state: Int32 = 0
    var gradient: Int32 = 0
    var width: Int32 = 0
    var stateWidth: Int32 = 0
  }

  private let map: ShardMap
  private let tableOfSlot: [UInt8]
  private let tableCount: Int
  /// By table, floats of a row and of its state in a pull.
  let widths: [Int]
  let stateWidths: [Int]
  private var deduplicator = FidDeduplicator()
  /// By number, in the order of first appearance: group (shard, table), then where its weights begin.
  private let rows = GrowingMemory<Int32>()
  /// By number: where its state begins.
  private let states = GrowingMemory<Int32>()
  /// By number: the last micro-batch that it occurred in, and its update there.
  private let lastMicroBatch = GrowingMemory<Int32>()
  private let lastUpdate = GrowingMemory<Int32>()
  private let groups = GrowingMemory<Group>()

  /// By occurrence: where the row's weights begin in the pull, and its gradient in the push, in floats.
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
  private(set) var shares: [Share]
  /// Floats of all rows together.
  private(set) var weightCount = 0
  private(set) var stateCount = 0
  private(set) var gradientCount = 0

  init(tables: ModelTables, map: ShardMap) {
    self.map = map
    tableOfSlot = tables.tableOfSlot.map { UInt8($0) }
    tableCount = tables.slotTableCount
    widths = tables.layouts.prefix(tableCount).map(\.width)
    stateWidths = tables.layouts.prefix(tableCount).map(\.copiedStateWidth)
    shares = Array(repeating: Share(), count: map.serverCount)
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
    states.removeAll()
    lastMicroBatch.removeAll()
    lastUpdate.removeAll()
    occurrences.removeAll()
    gradientRows.removeAll()
    starts.removeAll()
    runEnds.removeAll()
    updates.removeAll()
    runs.removeAll()
    groups.removeAll()
    let groupCount = map.shardCount * tableCount
    groups.extend(by: groupCount).update(repeating: Group(), count: groupCount)
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
                groups.start[group].pulled &+= 1
              }
              if lastMicroBatch.start[Int(number)] != microBatch {
                lastMicroBatch.start[Int(number)] = microBatch
                lastUpdate.start[Int(number)] = Int32(truncatingIfNeeded: updates.count)
                if runTable != Int(table) {
                  if runTable >= 0 { endRun(runTable) }
                  runTable = Int(table)
                }
                updates.append(RowUpdate(weights: number, state: 0, gradient: 0))
                groups.start[Int(rows.start[Int(number)])].pushed &+= 1
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
    var next = (pulled: 0, pushed: 0, weights: 0, states: 0, gradients: 0)
    for server in 0..<map.serverCount {
      let first = next
      shares[server].pullSections.removeAll(keepingCapacity: true)
      shares[server].pushSections.removeAll(keepingCapacity: true)
      for shard in 0..<map.shardCount where map.owners[shard].value == server {
        for table in 0..<tableCount {
          let group = groups.start + (shard * tableCount + table)
          let (rowCount, gradientCount) = (Int(group.pointee.pulled), Int(group.pointee.pushed))
          guard rowCount > 0 else { continue }
          let (width, stateWidth) = (widths[table], withState ? stateWidths[table] : 0)
          group.pointee = Group(
            pulled: Int32(truncatingIfNeeded: next.pulled), pushed: Int32(truncatingIfNeeded: next.pushed),
            weights: Int32(truncatingIfNeeded: next.weights), state: Int32(truncatingIfNeeded: next.states),
            gradient: Int32(truncatingIfNeeded: next.gradients), width: Int32(width), stateWidth: Int32(stateWidth))
          let id = ShardID(shard)
          shares[server].pullSections.append(
            RowSection(shard: id, table: table, count: rowCount, withState: withState))
          shares[server].pushSections.append(RowSection(shard: id, table: table, count: gradientCount))
          next.pulled += rowCount
          next.pushed += gradientCount
          next.weights += rowCount * width
          next.states += rowCount * stateWidth
          next.gradients += gradientCount * width
        }
      }
      shares[server].pulled = first.pulled..<next.pulled
      shares[server].pushed = first.pushed..<next.pushed
      shares[server].weights = first.weights..<next.weights
      shares[server].states = first.states..<next.states
      shares[server].gradients = first.gradients..<next.gradients
    }
    (weightCount, stateCount, gradientCount) = (next.weights, next.states, next.gradients)
    precondition(
      max(weightCount, stateCount, gradientCount) <= Int(Int32.max),
      "a batch of \(weightCount) floats: places are 32 bits wide, for 8 GiB")
    fill(pulled: next.pulled, pushed: next.pushed)
  }

  /// Lists fids in their places and lets occurrences and updates say where rows and gradients begin.
  private func fill(pulled: Int, pushed: Int) {
    pulledFids.removeAll()
    pushedFids.removeAll()
    let pulledFids = pulledFids.extend(by: pulled)
    let pushedFids = pushedFids.extend(by: pushed)
    _ = states.extend(by: rows.count)
    deduplicator.fids.withUnsafeBufferPointer { fids in
      // Groups of numbers are needed for the gradients first.
      for index in 0..<updates.count {
        let number = Int(updates.start[index].weights)
        let group = groups.start + Int(rows.start[number])
        pushedFids[Int(group.pointee.pushed)] = fids[number]
        updates.start[index].gradient = group.pointee.gradient
        group.pointee.pushed &+= 1
        group.pointee.gradient &+= group.pointee.width
      }
      for number in 0..<rows.count {
        let group = groups.start + Int(rows.start[number])
        pulledFids[Int(group.pointee.pulled)] = fids[number]
        rows.start[number] = group.pointee.weights
        states.start[number] = group.pointee.state
        group.pointee.pulled &+= 1
        group.pointee.weights &+= group.pointee.width
        group.pointee.state &+= group.pointee.stateWidth
      }
    }
    for index in 0..<updates.count {
      let number = Int(updates.start[index].weights)
      updates.start[index].weights = rows.start[number]
      updates.start[index].state = states.start[number]
    }
    for index in 0..<occurrences.count {
      occurrences.start[index] = rows.start[Int(occurrences.start[index])]
      gradientRows.start[index] = updates.start[Int(gradientRows.start[index])].gradient
    }
  }
}

import FreshetCore

/// Examples as a structure of arrays: what a trainer reads from Kafka and what the network computes on.
///
/// Example `i` occupies position `i` of the per-example arrays, `taskCount` labels from `i × taskCount`, `denseCount`
/// floats from `i × denseCount`, and its slot `s` the fids
/// `slotStarts[i × slotCount + s] ..< slotStarts[i × slotCount + s + 1]`. A batch keeps its memory when it is emptied.
public struct ExampleBatch: Sendable {
  public let layout: ExampleLayout
  /// The most examples that the batch takes.
  public let capacity: Int
  /// The most fids that the batch takes.
  public let fidCapacity: Int

  public private(set) var count = 0
  /// Kafka offsets in `examples`, ascending, but not always by one: transactions leave gaps.
  public private(set) var offsets: [Int64] = []
  public private(set) var requestHashes: [UInt64] = []
  public private(set) var eventTimes: [Int64] = []
  public private(set) var actionTimes: [Int64] = []
  public private(set) var ingestTimes: [Int64] = []
  public private(set) var weights: [Float] = []
  public private(set) var negativeRates: [Float] = []
  public private(set) var origins: [ExampleOrigin] = []
  /// NaN where the example says nothing about the task.
  public private(set) var labels: [Float] = []
  public private(set) var fids: [Fid] = []
  /// `count × slotCount + 1` positions in `fids`.
  public private(set) var slotStarts: [Int32] = [0]
  public private(set) var dense: [Float] = []

  /// - Parameters:
  ///   - capacity: In `1...1_000_000`.
  ///   - fidCapacity: At least what one example can hold, `slotCount × 255`; the batch is full before it may run over.
  public init(layout: ExampleLayout, capacity: Int, fidCapacity: Int) {
    precondition((1...1_000_000).contains(capacity))
    precondition(fidCapacity >= layout.slotCount * ModelSpec.Limits.fidsPerSlot && fidCapacity <= Int(Int32.max))
    self.layout = layout
    self.capacity = capacity
    self.fidCapacity = fidCapacity
  }

  /// Room for `capacity` examples with 64 fids in each slot on average; larger ones fill the batch earlier.
  public init(layout: ExampleLayout, capacity: Int) {
    let largest = layout.slotCount * ModelSpec.Limits.fidsPerSlot
    self.init(
      layout: layout, capacity: capacity, fidCapacity: min(Int(Int32.max), capacity * layout.slotCount * 64 + largest))
  }

  public var isEmpty: Bool { count == 0 }

  /// Whether another example of any size might not fit.
  public var isFull: Bool {
    count >= capacity || fids.count > fidCapacity - layout.slotCount * ModelSpec.Limits.fidsPerSlot
  }

  public mutating func removeAll() {
    count = 0
    offsets.removeAll(keepingCapacity: true)
    requestHashes.removeAll(keepingCapacity: true)
    eventTimes.removeAll(keepingCapacity: true)
    actionTimes.removeAll(keepingCapacity: true)
    ingestTimes.removeAll(keepingCapacity: true)
    weights.removeAll(keepingCapacity: true)
    negativeRates.removeAll(keepingCapacity: true)
    origins.removeAll(keepingCapacity: true)
    labels.removeAll(keepingCapacity: true)
    fids.removeAll(keepingCapacity: true)
    slotStarts.removeAll(keepingCapacity: true)
    slotStarts.append(0)
    dense.removeAll(keepingCapacity: true)
  }

  /// Decodes one record and appends it; nothing changes when it throws.
  /// - Precondition: The batch is not full.
  public mutating func append(_ record: UnsafeRawBufferPointer, offset: Int64) throws(ExampleError) {
    precondition(!isFull)
    let fidCount = try ExampleCodec.check(record, layout)
    let base = record.baseAddress!
    typealias Position = ExampleCodec.Position
    appendHeader(
      ExampleHeader(
        requestHash: UInt64(littleEndian: base.loadUnaligned(fromByteOffset: Position.requestHash, as: UInt64.self)),
        eventTimeMs: Int64(littleEndian: base.loadUnaligned(fromByteOffset: Position.eventTime, as: Int64.self)),
        actionTimeMs: Int64(littleEndian: base.loadUnaligned(fromByteOffset: Position.actionTime, as: Int64.self)),
        ingestTimeMs: Int64(littleEndian: base.loadUnaligned(fromByteOffset: Position.ingestTime, as: Int64.self)),
        weight: base.loadFloat(at: Position.weight), negativeRate: base.loadFloat(at: Position.negativeRate),
        origin: ExampleOrigin(rawValue: base.load(fromByteOffset: Position.flags, as: UInt8.self))!),
      offset: offset)
    var position = Position.labels
    for _ in 0..<layout.taskCount {
      labels.append(base.loadFloat(at: position))
      position &+= 4
    }
    var start = slotStarts[slotStarts.count - 1]
    for _ in 0..<layout.slotCount {
      start &+= Int32(base.load(fromByteOffset: position, as: UInt8.self))
      slotStarts.append(start)
      position &+= 1
    }
    for _ in 0..<fidCount {
      fids.append(Fid(littleEndian: base.loadUnaligned(fromByteOffset: position, as: Fid.self)))
      position &+= 8
    }
    for _ in 0..<layout.denseCount {
      dense.append(base.loadFloat(at: position))
      position &+= 4
    }
  }

  /// Appends features that carry no label, to be scored.
  /// - Precondition: The batch is not full, and the row has the layout's slots and dense features.
  public mutating func append(_ row: FeatureRow) {
    precondition(!isFull && row.slotCount == layout.slotCount && row.dense.count == layout.denseCount)
    appendHeader(
      ExampleHeader(
        requestHash: 0, eventTimeMs: 0, actionTimeMs: 0, ingestTimeMs: 0, weight: 1, negativeRate: 1, origin: .actions),
      offset: 0)
    for _ in 0..<layout.taskCount { labels.append(.nan) }
    let start = Int32(truncatingIfNeeded: fids.count)
    for slot in 0..<row.slotCount { slotStarts.append(start &+ row.slotStarts[slot &+ 1]) }
    fids.append(contentsOf: row.fids)
    dense.append(contentsOf: row.dense)
  }

  /// Appends examples of another batch as they are.
  /// - Precondition: Both batches have one layout, and there is room for the examples and their fids.
  public mutating func append(_ slice: ExampleSlice) {
    let (other, range) = (slice.batch, slice.examples)
    precondition(other.layout == layout && count + range.count <= capacity)
    precondition(fids.count + slice.fidRange.count <= fidCapacity)
    offsets.append(contentsOf: other.offsets[range])
    requestHashes.append(contentsOf: other.requestHashes[range])
    eventTimes.append(contentsOf: other.eventTimes[range])
    actionTimes.append(contentsOf: other.actionTimes[range])
    ingestTimes.append(contentsOf: other.ingestTimes[range])
    weights.append(contentsOf: other.weights[range])
    negativeRates.append(contentsOf: other.negativeRates[range])
    origins.append(contentsOf: other.origins[range])
    labels.append(
      contentsOf: other.labels[range.lowerBound * layout.taskCount..<range.upperBound * layout.taskCount])
    let shift = Int32(fids.count - slice.fidRange.lowerBound)
    fids.append(contentsOf: other.fids[slice.fidRange])
    let starts = range.lowerBound * layout.slotCount + 1..<range.upperBound * layout.slotCount + 1
    for start in other.slotStarts[starts] { slotStarts.append(start + shift) }
    dense.append(
      contentsOf: other.dense[range.lowerBound * layout.denseCount..<range.upperBound * layout.denseCount])
    count += range.count
  }

  /// Puts other fids in the place of a slot's.
  public mutating func replaceFids(ofSlot slot: Int, _ replacement: (Fid) -> Fid) {
    precondition((0..<layout.slotCount).contains(slot))
    for example in 0..<count {
      for position in fidRange(example: example, slot: slot) { fids[position] = replacement(fids[position]) }
    }
  }

  private mutating func appendHeader(_ header: ExampleHeader, offset: Int64) {
    count &+= 1
    offsets.append(offset)
    requestHashes.append(header.requestHash)
    eventTimes.append(header.eventTimeMs)
    actionTimes.append(header.actionTimeMs)
    ingestTimes.append(header.ingestTimeMs)
    weights.append(header.weight)
    negativeRates.append(header.negativeRate)
    origins.append(header.origin)
  }

  public func header(_ example: Int) -> ExampleHeader {
    ExampleHeader(
      requestHash: requestHashes[example], eventTimeMs: eventTimes[example], actionTimeMs: actionTimes[example],
      ingestTimeMs: ingestTimes[example], weight: weights[example], negativeRate: negativeRates[example],
      origin: origins[example])
  }

  /// Positions in `fids`.
  @inlinable
  public func fidRange(example: Int, slot: Int) -> Range<Int> {
    let index = example * layout.slotCount + slot
    return Int(slotStarts[index])..<Int(slotStarts[index + 1])
  }

  /// Positions in `fids` of neighbouring examples.
  @inlinable
  public func fidRange(examples: Range<Int>) -> Range<Int> {
    Int(slotStarts[examples.lowerBound * layout.slotCount])..<Int(slotStarts[examples.upperBound * layout.slotCount])
  }

  /// A view of neighbouring examples; nothing is copied as long as the batch does not change while the view lives.
  public func slice(_ examples: Range<Int>) -> ExampleSlice {
    precondition(examples.lowerBound >= 0 && examples.upperBound <= count)
    return ExampleSlice(batch: self, examples: examples)
  }

  /// Where the batch must be cut so that no piece spans one of the offsets: the first example at or after `offset`.
  /// - Complexity: O(log count).
  public func firstExample(atOrAfter offset: Int64) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if offsets[middle] < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// Neighbouring examples of a batch. Indices are those of the batch: `examples.lowerBound` is the first one.
public struct ExampleSlice: Sendable {
  public let batch: ExampleBatch
  public let examples: Range<Int>

  public var count: Int { examples.count }
  public var fidRange: Range<Int> { batch.fidRange(examples: examples) }
}

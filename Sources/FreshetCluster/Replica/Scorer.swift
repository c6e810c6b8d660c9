import FreshetCore
import FreshetModel
import FreshetTable

/// Scores rows against a replica's copy, a run at a time.
///
/// A run is `begin`, requests and candidates, `enter` and `gather` inside the reader's `read`, and `compute` outside of it. What
/// has been added before `gather` is gathered; items that lie in the catalog are added inside the same `read`, after `enter`.
/// Parts of the catalog's items are kept and used again until rows, dense tensors or the item change. Steady work allocates
/// nothing. Not thread-safe: belongs to one thread, as its reader does.
public final class Scorer {
  private let tables: ModelTables
  private let network: InferenceNetwork
  private let cache: ItemPartCache
  private let requests: SideBatch
  private let items: SideBatch
  private let mixed: SideBatch
  /// Of the items to be computed: where the stamp goes, if the part is to be kept.
  private let stamps = GrowingMemory<UnsafeMutablePointer<ItemPartCache.Stamp>?>()
  private let revisions = GrowingMemory<UInt64>()

  private let rowRequests = GrowingMemory<RowRequest>()
  private let rows = AlignedFloats(count: 1024)
  private let found = GrowingMemory<Bool>()
  private let rowNumbers = GrowingMemory<UInt32>()
  private let requestParts: AlignedFloats
  private let itemParts: AlignedFloats
  private let mixedParts: AlignedFloats
  /// By candidate.
  private let requestOfCandidate = GrowingMemory<UnsafePointer<Float>>()
  private let itemOfCandidate = GrowingMemory<UnsafePointer<Float>>()
  private let output = AlignedFloats(count: 1024)

  private let parameters: AlignedFloats
  private var isLoaded = false
  private var denseVersion: UInt64?
  private var rowsVersion: UInt64 = 0
  /// Rises with both.
  @exclusivity(unchecked) private var epoch: UInt64 = 0
  private let partStride: Int

  /// Fids without a row among what was scored: a request's count once, an item's once for each candidate.
  @exclusivity(unchecked) public private(set) var unknownFids: UInt64 = 0
  /// Candidates whose item's part was at hand.
  @exclusivity(unchecked) public private(set) var reusedItems: UInt64 = 0

  /// - Parameters:
  ///   - extractor: Of the model that the reader's tables are of.
  ///   - cacheBytes: The most memory for the parts of items.
  public init(reader: ReplicaReader, extractor: FeatureExtractor, cacheBytes: Int) {
    tables = reader.tables
    let sides = extractor.sides
    network = InferenceNetwork(shape: tables.shape, pooling: tables.pooling, sides: sides)
    partStride = network.partStride
    cache = ItemPartCache(partFloats: partStride, limitBytes: cacheBytes)
    let (tables, shardCount) = (tables, reader.shardCount)
    func batch(_ side: RowSide) -> SideBatch {
      SideBatch(
        side, layout: extractor.layout(of: side), slots: sides[side].slots, tables: tables, shardCount: shardCount)
    }
    requests = batch(.request)
    items = batch(.item)
    mixed = batch(.mixed)
    requestParts = AlignedFloats(count: partStride)
    itemParts = AlignedFloats(count: partStride)
    mixedParts = AlignedFloats(count: partStride)
    parameters = AlignedFloats(count: tables.denseLayout.paddedCount)
  }

  /// Whether candidates need a part of their own for crosses of the request with the item.
  public var hasMixedSlots: Bool { mixed.layout.slotCount > 0 }

  /// Memory of kept parts.
  public var cachedBytes: Int { cache.sizeBytes }

  // MARK: - A run

  /// Forgets the last run.
  /// - Parameters:
  ///   - requests, candidates: The most that will be added.
  public func begin(requests requestCount: Int, candidates: Int) {
    requests.removeAll()
    items.removeAll()
    mixed.removeAll()
    stamps.removeAll()
    revisions.removeAll()
    rowRequests.removeAll()
    found.removeAll()
    rowNumbers.removeAll()
    requestOfCandidate.removeAll()
    itemOfCandidate.removeAll()
    _ = requestOfCandidate.extend(by: candidates)
    _ = itemOfCandidate.extend(by: candidates)
    requestParts.reserve(requestCount * partStride)
    itemParts.reserve(candidates * partStride)
    if hasMixedSlots { mixedParts.reserve(candidates * partStride) }
    output.reserve(candidates * tables.shape.tasks + 8)
  }

  /// Takes note of what has changed in the copy; first in a `read`.
  public func enter(_ view: ReplicaView) {
    if denseVersion != view.denseVersion {
      for chunk in 0..<tables.denseLayout.chunkCount {
        _ = view.copyWeights(
          table: tables.denseTable, fid: DenseLayout.fid(ofChunk: chunk),
          into: parameters.start + chunk * DenseLayout.chunkWidth)
      }
      denseVersion = view.denseVersion
      isLoaded = false
      epoch += 1
    }
    if rowsVersion != view.rowsVersion {
      rowsVersion = view.rowsVersion
      epoch += 1
    }
  }

  /// Adds a request. Requests are numbered as they are added, from 0.
  /// - Parameter part: From `FeatureExtractor.requestPart`; read now.
  public func addRequest(_ part: UnsafeRawPointer) {
    requests.append(part, into: requestParts.start + requests.count * partStride, rowRequests)
  }

  /// Adds a candidate whose item is not to be kept.
  /// - Parameters:
  ///   - number: Of the candidate; each from 0 on is added once.
  ///   - request: The number of its request.
  ///   - part: From `FeatureExtractor.itemPart`; read now.
  public func addCandidate(_ number: Int, request: Int, item part: UnsafeRawPointer) {
    let target = itemParts.start + number * partStride
    items.append(part, into: target, rowRequests)
    stamps.append(nil)
    revisions.append(0)
    setCandidate(number, request, target)
  }

  /// Adds a candidate that is an item of the catalog; inside a `read`, after `enter`.
  /// - Parameters:
  ///   - position: Of the item in the catalog.
  ///   - revision: Another one for each item and each change of it.
  public func addCandidate(
    _ number: Int, request: Int, item part: UnsafeRawPointer, position: Int, revision: UInt64
  ) {
    guard let entry = cache.entry(position) else { return addCandidate(number, request: request, item: part) }
    if entry.stamp.pointee.epoch == epoch, entry.stamp.pointee.revision == revision {
      unknownFids &+= entry.stamp.pointee.unknownFids
      reusedItems &+= 1
    } else {
      items.append(part, into: entry.part, rowRequests)
      stamps.append(entry.stamp)
      revisions.append(revision)
    }
    setCandidate(number, request, entry.part)
  }

  @inline(__always)
  private func setCandidate(_ number: Int, _ request: Int, _ part: UnsafeMutablePointer<Float>) {
    requestOfCandidate.start[number] = UnsafePointer(requestParts.start + request &* partStride)
    itemOfCandidate.start[number] = UnsafePointer(part)
  }

  /// Adds what a candidate's request and item make together; needed for each candidate if there are mixed slots.
  /// - Parameter part: From `FeatureExtractor.mixedPart`; read now.
  public func addMixed(_ number: Int, _ part: UnsafeRawPointer) {
    mixed.append(part, into: mixedParts.start + number * partStride, rowRequests)
  }

  /// Copies the rows of what has been added since the last time; inside a `read`.
  public func gather(_ view: ReplicaView) {
    let first = found.count
    let count = rowRequests.count - first
    guard count > 0 else { return }
    let stride = network.rowStride
    if first == 0 { rows.reserve(count * stride) } else { keepRows(first * stride, adding: count * stride) }
    view.gather(
      UnsafeBufferPointer(start: rowRequests.start + first, count: count), numbers: rowNumbers.extend(by: count),
      into: rows.start + first * stride, stride: stride, found: found.extend(by: count))
  }

  /// Makes room behind rows that are there.
  private func keepRows(_ kept: Int, adding added: Int) {
    guard kept + added > rows.count else { return }
    let copy = AlignedFloats(count: kept)
    copy.start.update(from: rows.start, count: kept)
    rows.reserve(kept + added)
    rows.start.update(from: copy.start, count: kept)
  }

  /// Scores the candidates `0 ..< count`, all of which have been added.
  /// - Returns: The probabilities of each candidate's tasks, row-major `candidates × tasks`, valid until the next run.
  public func compute(candidates count: Int) -> UnsafePointer<Float> {
    if !isLoaded {
      network.load(parameters.start)
      isLoaded = true
    }
    compute(requests)
    compute(items)
    compute(mixed)
    for number in 0..<requests.count { unknownFids &+= unknown(requests.rows(ofPart: number)) }
    for number in 0..<mixed.count { unknownFids &+= unknown(mixed.rows(ofPart: number)) }
    for number in 0..<items.count {
      let unknown = unknown(items.rows(ofPart: number))
      unknownFids &+= unknown
      stamps.start[number]?.pointee = ItemPartCache.Stamp(
        epoch: epoch, revision: revisions.start[number], unknownFids: unknown, reserved: 0)
    }
    network.probabilities(
      count: count, requests: requestOfCandidate.start, items: itemOfCandidate.start,
      mixed: hasMixedSlots ? UnsafePointer(mixedParts.start) : nil, into: output.start)
    return UnsafePointer(output.start)
  }

  private func compute(_ batch: SideBatch) {
    guard batch.count > 0 else { return }
    network.computeParts(
      batch.side, count: batch.count, rows: rows.start, starts: batch.starts.start, dense: batch.dense.start,
      into: batch.targets.start)
  }

  @inline(__always)
  private func unknown(_ rows: Range<Int>) -> UInt64 {
    var count: UInt64 = 0
    for row in rows where !found.start[row] { count &+= 1 }
    return count
  }

  // MARK: - What the last run met

  /// Whether a request's slot had any row.
  /// - Parameter slot: Among the slots of the request's side.
  public func hasRow(request: Int, slot: Int) -> Bool {
    requests.rows(ofPart: request, slot: slot).contains { found.start[$0] }
  }
}

import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One side of a row, the request's or the item's, computed once and combined with many others. Immutable.
public final class FeaturePart: Sendable {
  // Never written after `init`, and freed only with the object.
  nonisolated(unsafe) let memory: UnsafeMutableRawPointer
  public let byteCount: Int

  init(copying part: UnsafeRawBufferPointer) {
    memory = .allocate(byteCount: part.count, alignment: 8)
    memory.copyMemory(from: part.baseAddress!, byteCount: part.count)
    byteCount = part.count
  }

  /// Of records that make no side of a row.
  static let empty = [0, 0].withUnsafeBytes { FeaturePart(copying: $0) }

  deinit { memory.deallocate() }

  /// The part as `combine` takes it; valid as long as the object lives.
  public var bytes: UnsafeRawPointer { UnsafeRawPointer(memory) }
}

extension FeatureExtractor {
  /// Computes the request's side of what the scratch holds.
  /// - Returns: A part of bytes, aligned to 8, that may be copied (to such an alignment); valid until the next call.
  public func requestPart(_ scratch: FeatureScratch) throws(FeatureError) -> UnsafeRawBufferPointer {
    try write(plan.request, scratch, scratch.requestPart)
  }

  /// Computes the item's side of what the scratch holds; with an item key alone, of an item that is not known.
  public func itemPart(_ scratch: FeatureScratch) throws(FeatureError) -> UnsafeRawBufferPointer {
    try write(plan.item, scratch, scratch.itemPart)
  }

  public func copyRequestPart(_ scratch: FeatureScratch) throws(FeatureError) -> FeaturePart {
    FeaturePart(copying: try requestPart(scratch))
  }

  public func copyItemPart(_ scratch: FeatureScratch) throws(FeatureError) -> FeaturePart {
    FeaturePart(copying: try itemPart(scratch))
  }

  private func write(
    _ side: FeaturePlan.Side, _ scratch: FeatureScratch, _ buffer: PartBuffer
  ) throws(FeatureError) -> UnsafeRawBufferPointer {
    let fidsStart = side.fidsStart
    buffer.reserve(fidsStart + 8 * ModelSpec.Limits.fidsPerSlot)
    for index in 0..<side.dense.count {
      let value = Self.dense(side.dense[index], scratch)
      buffer.memory.storeBytes(of: value, toByteOffset: FeaturePlan.Side.denseStart + 4 * index, as: Float.self)
    }
    var fidCount = 0
    for index in 0..<side.slots.count {
      // The next slot may have as many fids as are allowed.
      buffer.reserve(fidsStart + 8 * (fidCount + ModelSpec.Limits.fidsPerSlot))
      let fids = (buffer.memory + fidsStart).assumingMemoryBound(to: Fid.self) + fidCount
      let count = try fill(fids, side.slots[index], scratch)
      buffer.memory.storeBytes(
        of: UInt8(truncatingIfNeeded: count), toByteOffset: side.countsStart + index, as: UInt8.self)
      fidCount += count
    }
    let crossStart = fidsStart + 8 * fidCount
    var end = crossStart
    for field in side.crossFields { end = writeCross(field, scratch, buffer, at: end) }
    let header = (UInt32(fidCount), UInt32(end - crossStart), UInt32(end), UInt32(0))
    buffer.memory.storeBytes(of: header, as: (UInt32, UInt32, UInt32, UInt32).self)
    return UnsafeRawBufferPointer(start: buffer.memory, count: end)
  }

  private func writeCross(_ field: Int, _ scratch: FeatureScratch, _ buffer: PartBuffer, at start: Int) -> Int {
    let range = scratch.fields[field]
    var end = start
    buffer.reserve(end + 1)
    buffer.memory.storeBytes(of: UInt8(truncatingIfNeeded: range.count), toByteOffset: end, as: UInt8.self)
    end += 1
    for index in 0..<Int(range.count) {
      let text = scratch.text(scratch.values[Int(range.first) + index])
      buffer.reserve(end + 2 + text.count)
      buffer.memory.storeBytes(of: UInt16(text.count), toByteOffset: end, as: UInt16.self)
      (buffer.memory + end + 2).copyMemory(from: text.baseAddress!, byteCount: text.count)
      end += 2 + text.count
    }
    return end
  }

  /// Writes the slot's fids.
  /// - Parameter fids: Room for 255.
  /// - Returns: How many there are.
  private func fill(
    _ fids: UnsafeMutablePointer<Fid>, _ slot: FeaturePlan.Slot, _ scratch: FeatureScratch
  ) throws(FeatureError) -> Int {
    if case .cross(let fields) = slot.operation {
      scratch.cross.begin(slotPrefix: writePrefix(slot, scratch))
      for field in fields {
        let range = scratch.fields[field]
        for index in 0..<Int(range.count) {
          scratch.cross.add(scratch.text(scratch.values[Int(range.first) + index]))
        }
        scratch.cross.endFactor()
      }
      return try scratch.cross.write(
        to: fids, buffer: scratch.hashBuffer, slot: slot.name, maximumLength: slot.maximumLength)
    }
    let range = scratch.fields[slot.field]
    let fidCount = min(Int(range.count), slot.maximumLength ?? ModelSpec.Limits.fidsPerSlot)
    guard fidCount > 0 else { return 0 }
    let prefixCount = writePrefix(slot, scratch)
    let destination = scratch.hashBuffer + prefixCount
    for index in 0..<fidCount {
      let value = scratch.values[Int(range.first) &+ index]
      var count = Int(value.count)
      switch slot.operation {
      case .hash: destination.update(from: scratch.bytes + Int(value.start), count: count)
      case .prefix(let characters):
        count = CanonicalText.prefixBytes(scratch.text(value), characters: characters)
        destination.update(from: scratch.bytes + Int(value.start), count: count)
      case .bucketize(let boundaries):
        count = CanonicalText.write(Int64(Self.bucket(of: value.number, boundaries)), to: destination)
      case .cross: break
      }
      fids[index] = Hashing.xxh3(UnsafeRawBufferPointer(start: scratch.hashBuffer, count: prefixCount &+ count))
    }
    return fidCount
  }

  @inline(__always)
  private func writePrefix(_ slot: FeaturePlan.Slot, _ scratch: FeatureScratch) -> Int {
    plan.prefixes.withUnsafeBufferPointer { prefixes in
      scratch.hashBuffer.update(from: prefixes.baseAddress! + slot.prefixStart, count: slot.prefixCount)
    }
    return slot.prefixCount
  }

  /// The number of boundaries that are ≤ the value.
  static func bucket(of value: Double, _ boundaries: [Double]) -> Int {
    var low = 0
    var high = boundaries.count
    while low < high {
      let middle = (low + high) / 2
      if boundaries[middle] <= value { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func dense(_ dense: FeaturePlan.Dense, _ scratch: FeatureScratch) -> Float {
    let range = scratch.fields[dense.field]
    guard range.count > 0 else { return dense.defaultValue }
    let number = scratch.values[Int(range.first)].number
    let value =
      switch dense.transform {
      case .identity: number
      case .log1p: number < 0 ? -log1p(-number) : log1p(number)
      case .standardize(let mean, let deviation): (number - mean) / deviation
      }
    // Doubles that no float can hold become the largest one: an example never carries an infinity.
    return Float(min(max(value, -Double(Float.greatestFiniteMagnitude)), Double(Float.greatestFiniteMagnitude)))
  }

  /// Joins both sides into a row, computing the crosses that need both.
  /// - Parameters:
  ///   - request: From `requestPart`, aligned to 8.
  ///   - item: From `itemPart`, aligned to 8.
  ///   - scratch: Any of this extractor; its fields stay as they are.
  public func combine(
    request: UnsafeRawPointer, item: UnsafeRawPointer, into row: inout FeatureRow, _ scratch: FeatureScratch
  ) throws(FeatureError) {
    row.fids.removeAll(keepingCapacity: true)
    var requestFids = (request + plan.request.fidsStart).assumingMemoryBound(to: Fid.self)
    var itemFids = (item + plan.item.fidsStart).assumingMemoryBound(to: Fid.self)
    let requestCounts = request + plan.request.countsStart
    let itemCounts = item + plan.item.countsStart
    for slot in 0..<plan.slots.count {
      switch plan.slots[slot] {
      case .request(let position):
        let count = Int(requestCounts.load(fromByteOffset: position, as: UInt8.self))
        for index in 0..<count { row.fids.append(requestFids[index]) }
        requestFids += count
      case .item(let position):
        let count = Int(itemCounts.load(fromByteOffset: position, as: UInt8.self))
        for index in 0..<count { row.fids.append(itemFids[index]) }
        itemFids += count
      case .mixed(let position): try appendCross(position, request, item, &row, scratch)
      }
      row.slotStarts[slot &+ 1] = Int32(truncatingIfNeeded: row.fids.count)
    }
    for index in 0..<plan.dense.count {
      let (isItem, position) = plan.dense[index]
      row.dense[index] = (isItem ? item : request)
        .load(fromByteOffset: FeaturePlan.Side.denseStart + 4 * position, as: Float.self)
    }
  }

  /// The same for parts that are kept.
  public func combine(
    request: FeaturePart, item: FeaturePart, into row: inout FeatureRow, _ scratch: FeatureScratch
  ) throws(FeatureError) {
    try combine(request: request.bytes, item: item.bytes, into: &row, scratch)
  }

  /// Computes what a request and an item make together.
  /// - Returns: A part of the mixed side, valid until the next call with the same scratch.
  public func mixedPart(
    request: UnsafeRawPointer, item: UnsafeRawPointer, _ scratch: FeatureScratch
  ) throws(FeatureError) -> UnsafeRawPointer {
    let buffer = scratch.mixedPart
    let side = plan.mixed
    var fidCount = 0
    for index in 0..<side.slots.count {
      buffer.reserve(side.fidsStart + 8 * (fidCount + ModelSpec.Limits.fidsPerSlot))
      let fids = (buffer.memory + side.fidsStart).assumingMemoryBound(to: Fid.self) + fidCount
      let count = try fillCross(fids, index, request, item, scratch)
      buffer.memory.storeBytes(
        of: UInt8(truncatingIfNeeded: count), toByteOffset: side.countsStart + index, as: UInt8.self)
      fidCount += count
    }
    let end = side.fidsStart + 8 * fidCount
    let header = (UInt32(fidCount), UInt32(0), UInt32(end), UInt32(0))
    buffer.memory.storeBytes(of: header, as: (UInt32, UInt32, UInt32, UInt32).self)
    return UnsafeRawPointer(buffer.memory)
  }

  /// Which slots and dense features each side has.
  public var sides: FeatureSides { plan.sides }

  /// How to read the parts of a side.
  public func layout(of side: RowSide) -> SidePart {
    switch side {
    case .request: SidePart(plan.request)
    case .item: SidePart(plan.item)
    case .mixed: SidePart(plan.mixed)
    }
  }

  /// Writes the fids of a slot of the mixed side.
  /// - Parameter fids: Room for 255.
  /// - Returns: How many there are.
  private func fillCross(
    _ fids: UnsafeMutablePointer<Fid>, _ position: Int, _ request: UnsafeRawPointer, _ item: UnsafeRawPointer,
    _ scratch: FeatureScratch
  ) throws(FeatureError) -> Int {
    let slot = plan.mixed.slots[position]
    scratch.cross.begin(slotPrefix: writePrefix(slot, scratch))
    for factor in plan.mixedFactors[position] {
      let part = factor.isItem ? item : request
      var position =
        (factor.isItem ? plan.item.fidsStart : plan.request.fidsStart) + 8 * Int(part.load(as: UInt32.self))
      for field in 0...factor.position {
        let count = Int(part.load(fromByteOffset: position, as: UInt8.self))
        position += 1
        for _ in 0..<count {
          let length = Int(part.loadUnaligned(fromByteOffset: position, as: UInt16.self))
          if field == factor.position {
            let start = (part + position + 2).assumingMemoryBound(to: UInt8.self)
            scratch.cross.add(UnsafeBufferPointer(start: start, count: length))
          }
          position += 2 + length
        }
      }
      scratch.cross.endFactor()
    }
    return try scratch.cross.write(
      to: fids, buffer: scratch.hashBuffer, slot: slot.name, maximumLength: slot.maximumLength)
  }

  private func appendCross(
    _ position: Int, _ request: UnsafeRawPointer, _ item: UnsafeRawPointer, _ row: inout FeatureRow,
    _ scratch: FeatureScratch
  ) throws(FeatureError) {
    try withUnsafeTemporaryFids { (fids) throws(FeatureError) in
      let count = try fillCross(fids, position, request, item, scratch)
      for index in 0..<count { row.fids.append(fids[index]) }
    }
  }
}

/// Room for the fids of one slot, on the stack.
private func withUnsafeTemporaryFids(
  _ body: (UnsafeMutablePointer<Fid>) throws(FeatureError) -> Void
) throws(FeatureError) {
  let result = withUnsafeTemporaryAllocation(of: Fid.self, capacity: ModelSpec.Limits.fidsPerSlot) { buffer in
    Result { () throws(FeatureError) in try body(buffer.baseAddress!) }
  }
  try result.get()
}

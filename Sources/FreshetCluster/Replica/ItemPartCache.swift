/// Parts of the catalog's items, by position in the catalog, with what they were computed from.
///
/// Memory is taken a slab at a time, when the first item of a slab is asked for, and never more than for `capacity` items. Items
/// at positions beyond that have no place and are computed each time.
final class ItemPartCache {
  /// What a part was computed from.
  struct Stamp {
    /// The scorer's count of changes of rows and dense tensors; 0 is never valid.
    var epoch: UInt64
    /// Of the item in the catalog.
    var revision: UInt64
    /// Fids of the item without a row.
    var unknownFids: UInt64
    var reserved: UInt64
  }

  struct Entry {
    let stamp: UnsafeMutablePointer<Stamp>
    let part: UnsafeMutablePointer<Float>
  }

  static let itemsPerSlab = 256

  let capacity: Int
  private let entryBytes: Int
  private let slabs: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let slabCount: Int
  private(set) var sizeBytes = 0

  /// - Parameters:
  ///   - partFloats: A multiple of 8.
  ///   - limitBytes: The most memory for parts and stamps.
  init(partFloats: Int, limitBytes: Int) {
    entryBytes = MemoryLayout<Stamp>.size + partFloats * MemoryLayout<Float>.size
    slabCount = limitBytes / (entryBytes * Self.itemsPerSlab)
    capacity = slabCount * Self.itemsPerSlab
    slabs = .allocate(capacity: max(1, slabCount))
    slabs.initialize(repeating: nil, count: max(1, slabCount))
  }

  deinit {
    for slab in 0..<slabCount { slabs[slab]?.deallocate() }
    slabs.deallocate()
  }

  /// The place of the item at a position; nil beyond the capacity.
  @inline(__always)
  func entry(_ position: Int) -> Entry? {
    guard position < capacity else { return nil }
    let slab = slabs[position / Self.itemsPerSlab] ?? addSlab(position / Self.itemsPerSlab)
    let start = slab + (position % Self.itemsPerSlab) &* entryBytes
    return Entry(
      stamp: start.assumingMemoryBound(to: Stamp.self),
      part: (start + MemoryLayout<Stamp>.size).assumingMemoryBound(to: Float.self))
  }

  @inline(never)
  private func addSlab(_ number: Int) -> UnsafeMutableRawPointer {
    let bytes = Self.itemsPerSlab * entryBytes
    let slab = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    slab.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    slabs[number] = slab
    sizeBytes += bytes
    return slab
  }
}

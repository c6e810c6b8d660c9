import FreshetCore

/// The memory of a table's rows: slabs of `rowsPerSlab` rows of a fixed stride, with the rows' metadata beside them.
///
/// Rows never move, so a pointer to a row stays good until the row is freed.
struct RowSlabs: ~Copyable {
  static let rowsPerSlab = 1024
  private static let shift = UInt32(10)
  private static let mask = UInt32(1023)

  /// What a row carries beside its floats.
  struct Metadata {
    var fid: Fid
    /// Event time of the last update, in minutes since 1970.
    var updatedMinutes: UInt32
    var isLive: Bool
    /// In the list of rows touched since the list was last taken.
    var isTouched: Bool
  }

  let stride: Int
  private var floats: [UnsafeMutablePointer<Float>] = []
  private var metadata: [UnsafeMutablePointer<Metadata>] = []
  private var freeRows: [UInt32] = []

  init(stride: Int) { self.stride = stride }

  deinit {
    for slab in floats { slab.deallocate() }
    for slab in metadata { slab.deallocate() }
  }

  var capacity: Int { floats.count * Self.rowsPerSlab }
  var sizeBytes: Int { capacity * (stride * MemoryLayout<Float>.size + MemoryLayout<Metadata>.stride) }

  @inline(__always)
  func row(_ index: UInt32) -> UnsafeMutablePointer<Float> {
    floats[Int(index >> Self.shift)] + Int(index & Self.mask) &* stride
  }

  @inline(__always)
  func metadata(_ index: UInt32) -> UnsafeMutablePointer<Metadata> {
    metadata[Int(index >> Self.shift)] + Int(index & Self.mask)
  }

  /// A row that is not in use. Its floats are not initialised.
  mutating func allocate(fid: Fid) -> UInt32 {
    if freeRows.isEmpty { addSlab() }
    let row = freeRows.removeLast()
    metadata(row).pointee = Metadata(fid: fid, updatedMinutes: 0, isLive: true, isTouched: false)
    return row
  }

  mutating func free(_ row: UInt32) {
    metadata(row).pointee.isLive = false
    metadata(row).pointee.isTouched = false
    freeRows.append(row)
  }

  private mutating func addSlab() {
    let first = UInt32(capacity)
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: Self.rowsPerSlab * stride * MemoryLayout<Float>.size, alignment: 64)
    let slab = raw.bindMemory(to: Float.self, capacity: Self.rowsPerSlab * stride)
    slab.initialize(repeating: 0, count: Self.rowsPerSlab * stride)
    let notes = UnsafeMutablePointer<Metadata>.allocate(capacity: Self.rowsPerSlab)
    notes.initialize(
      repeating: Metadata(fid: 0, updatedMinutes: 0, isLive: false, isTouched: false), count: Self.rowsPerSlab)
    floats.append(slab)
    metadata.append(notes)
    for row in (first..<first + UInt32(Self.rowsPerSlab)).reversed() { freeRows.append(row) }
  }
}

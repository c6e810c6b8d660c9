import FreshetCore

/// Copies of rows that belong to a cut and have changed since, until the cut takes them.
struct CutCopies: ~Copyable {
  private static let chunkBytes = 256 << 10

  private let rowBytes: Int
  private let chunkRows: Int
  /// Each holds `chunkRows` fids, then as many rows, then their minutes. The last one is being filled, and taken from.
  private var chunks: [UnsafeMutableRawPointer] = []
  private(set) var count = 0

  init(rowBytes: Int) {
    self.rowBytes = rowBytes
    chunkRows = max(16, Self.chunkBytes / (rowBytes + 12))
  }

  deinit {
    for chunk in chunks { chunk.deallocate() }
  }

  var sizeBytes: Int { chunks.count * chunkRows * (rowBytes + 12) }

  mutating func append(_ fid: Fid, minutes: UInt32, row: UnsafeRawPointer) {
    if count == chunks.count &* chunkRows {
      chunks.append(.allocate(byteCount: chunkRows * (rowBytes + 12), alignment: 64))
    }
    let chunk = chunks[chunks.count &- 1]
    let place = count &- (chunks.count &- 1) &* chunkRows
    chunk.storeBytes(of: fid, toByteOffset: place &* 8, as: Fid.self)
    (chunk + chunkRows &* 8 + place &* rowBytes).copyMemory(from: row, byteCount: rowBytes)
    chunk.storeBytes(of: minutes, toByteOffset: chunkRows &* (8 &+ rowBytes) &+ place &* 4, as: UInt32.self)
    count &+= 1
  }

  /// Moves up to `limit` of the copies to `rows`.
  /// - Returns: How many.
  mutating func take(limit: Int, into rows: inout TableRows) -> Int {
    var left = limit
    while left > 0, let chunk = chunks.last {
      let held = count - (chunks.count - 1) * chunkRows
      let taken = min(held, left)
      let first = held - taken
      let copies = chunk + chunkRows * 8
      rows.fids.append(contentsOf: Self.buffer(chunk, as: Fid.self, first, taken))
      rows.bytes.append(contentsOf: Self.buffer(copies, as: UInt8.self, first * rowBytes, taken * rowBytes))
      rows.minutes.append(contentsOf: Self.buffer(copies + chunkRows * rowBytes, as: UInt32.self, first, taken))
      count -= taken
      left -= taken
      if taken == held { chunks.removeLast().deallocate() }
    }
    return limit - left
  }

  mutating func removeAll() {
    for chunk in chunks { chunk.deallocate() }
    chunks = []
    count = 0
  }

  private static func buffer<Element>(
    _ start: UnsafeMutableRawPointer, as: Element.Type, _ first: Int, _ count: Int
  ) -> UnsafeBufferPointer<Element> {
    UnsafeBufferPointer(start: start.assumingMemoryBound(to: Element.self) + first, count: count)
  }
}

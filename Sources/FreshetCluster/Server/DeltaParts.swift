import FreshetCore
import FreshetTable

/// Collects what a delta carries and says when it has become too large for one frame.
struct DeltaParts {
  private let limitBytes: Int
  private var tables: [SyncFrame.Table] = []
  private var current: SyncFrame.Table?
  private var sizeBytes = 0
  /// Parts taken that held anything.
  private(set) var count = 0

  /// - Parameter limitBytes: Of rows and tombstones in one part; a row that is larger is a part of its own.
  init(limitBytes: Int) { self.limitBytes = limitBytes }

  mutating func begin(table: Int, width: Int, format: WeightFormat) {
    close()
    current = SyncFrame.Table(table: table, width: width, format: format, fids: [], tombstones: [], weights: [])
  }

  /// - Returns: Whether the part is full.
  mutating func add(tombstone fid: Fid) -> Bool {
    current!.tombstones.append(fid)
    sizeBytes += 8
    return sizeBytes >= limitBytes
  }

  /// - Returns: Whether the part is full.
  mutating func add(_ fid: Fid, _ weights: UnsafePointer<Float>) -> Bool {
    let width = current!.width
    current!.fids.append(fid)
    current!.weights.append(contentsOf: UnsafeBufferPointer(start: weights, count: width))
    sizeBytes += 8 + width * current!.format.byteCount
    return sizeBytes >= limitBytes
  }

  /// Hands over what has come together, and goes on with the same table.
  mutating func take() -> [SyncFrame.Table] {
    let table = current
    close()
    defer {
      tables = []
      sizeBytes = 0
      if let table { begin(table: table.table, width: table.width, format: table.format) }
    }
    if !tables.isEmpty { count += 1 }
    return tables
  }

  private mutating func close() {
    if let current, !current.fids.isEmpty || !current.tombstones.isEmpty { tables.append(current) }
    current = nil
  }
}

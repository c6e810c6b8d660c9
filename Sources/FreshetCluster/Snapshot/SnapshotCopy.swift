import FreshetCore
import FreshetTable

/// The snapshot that is being copied out of a shard, slice by slice, on the thread that owns it.
struct SnapshotCopy {
  private enum Stage {
    case tombstones(table: Int, chunk: Int, from: Int)
    case rows(table: Int)
    case sketch(table: Int, offset: Int)
    case validation(Int)
    case end
    case done
  }

  let ticket: UInt64
  let shard: ShardID
  let plan: SnapshotPlan
  /// `SnapshotSource.changes` at the cut.
  let changes: UInt64
  let beganAt: Instant
  /// Rows that the cut holds, in all tables.
  let rowCount: Int
  private let cut: ShardCut
  private let partBytes: Int
  private let sliceBytes: Int
  private var stage = Stage.tombstones(table: 0, chunk: 0, from: 0)
  private var pending = TableRows()
  private(set) var rowsCopied = 0
  /// Parts that the writer has not taken yet.
  var inFlight = 0

  /// - Parameters:
  ///   - partBytes: `SnapshotSettings.partBytes`.
  ///   - sliceBytes: `SnapshotSettings.sliceBytes`.
  init(plan: SnapshotPlan, cut: ShardCut, partBytes: Int, sliceBytes: Int, now: Instant) {
    ticket = plan.ticket
    shard = plan.header.id.shard
    self.plan = plan
    self.cut = cut
    self.partBytes = partBytes
    self.sliceBytes = sliceBytes
    changes = cut.changes
    beganAt = now
    rowCount = cut.tables.reduce(0) { $0 + $1.head.rowCount }
  }

  /// Whether all parts have been handed out.
  var isDone: Bool { if case .done = stage { true } else { false } }

  /// Copies one slice.
  /// - Returns: The part that it completed, if it did.
  mutating func advance(_ shardTables: [EmbeddingTable]) -> SnapshotPart? {
    switch stage {
    case .tombstones(let table, let chunk, let from): return takeTombstones(table, chunk, from)
    case .rows(let table): return takeRows(table, shardTables[table])
    case .sketch(let table, let offset): return takeSketch(table, offset, shardTables[table])
    case .validation(let number):
      stage = number + 1 < cut.validation.count ? .validation(number + 1) : .end
      return .validation(
        cut.validation[number].partition, task: cut.validation[number].task, cut.validation[number].validation)
    case .end:
      stage = .done
      return .end
    case .done: return nil
    }
  }

  /// Releases what the tables hold for the cut.
  func abandon(_ shardTables: [EmbeddingTable]) {
    guard let first = firstOpenTable else { return }
    for table in shardTables[first...] { table.abandonCut() }
  }

  /// Memory of rows that changed before they were copied.
  func sideBytes(_ shardTables: [EmbeddingTable]) -> Int {
    guard let first = firstOpenTable else { return 0 }
    return shardTables[first...].reduce(0) { $0 + $1.cutSideBytes }
  }

  /// The first table whose cut has not been ended; nil once all have.
  private var firstOpenTable: Int? {
    switch stage {
    case .tombstones(let table, _, _), .rows(let table), .sketch(let table, _): table
    case .validation, .end, .done: nil
    }
  }

  private mutating func takeTombstones(_ table: Int, _ chunk: Int, _ from: Int) -> SnapshotPart? {
    let chunks = cut.removed[table]
    guard chunk < chunks.count else {
      stage = .rows(table: table)
      return nil
    }
    let end = min(chunks[chunk].count, from + max(1, partBytes / MemoryLayout<Fid>.size))
    stage =
      end < chunks[chunk].count
      ? .tombstones(table: table, chunk: chunk, from: end) : .tombstones(table: table, chunk: chunk + 1, from: 0)
    return from < end ? .tombstones(table: table, Array(chunks[chunk][from..<end])) : nil
  }

  private mutating func takeRows(_ number: Int, _ table: EmbeddingTable) -> SnapshotPart? {
    let rowBytes = table.layout.rowBytes + Self.bytesBesideRow
    if pending.fids.isEmpty {
      let rows = min(cut.tables[number].head.rowCount, partBytes / rowBytes + 1)
      pending.fids.reserveCapacity(rows)
      pending.minutes.reserveCapacity(rows)
      pending.bytes.reserveCapacity(rows * table.layout.rowBytes)
    }
    let before = pending.fids.count
    let room = max(1, partBytes / rowBytes - before)
    let hasMore = table.takeCutRows(limit: min(room, max(1, sliceBytes / rowBytes)), into: &pending)
    rowsCopied += pending.fids.count - before
    if !hasMore { stage = .sketch(table: number, offset: 0) }
    guard !pending.fids.isEmpty, !hasMore || pending.fids.count * rowBytes + rowBytes > partBytes else { return nil }
    defer { pending = TableRows() }
    return .rows(table: number, pending)
  }

  private mutating func takeSketch(_ number: Int, _ offset: Int, _ table: EmbeddingTable) -> SnapshotPart? {
    let bytes = table.takeCutSketch(limit: sliceBytes)
    guard bytes.isEmpty else {
      stage = .sketch(table: number, offset: offset + bytes.count)
      return .sketch(table: number, offset: offset, bytes)
    }
    table.endCut()
    if number + 1 < cut.tables.count {
      stage = .tombstones(table: number + 1, chunk: 0, from: 0)
    } else {
      stage = cut.validation.isEmpty ? .end : .validation(0)
    }
    return nil
  }

  /// Fid and minutes.
  static let bytesBesideRow = 12
}

import FreshetCore
import FreshetModel
import FreshetTable
import Synchronization
import Testing

@testable import FreshetCluster

/// Frames that are applied while other threads read.
@Suite struct ReplicaSlicesTests {
  /// Rows of 65 weights: two of them do not fit a vector, nor four cache lines.
  private static let model = TestModel.tiny.changed { spec in
    for table in spec.tables.indices { spec.tables[table].dimension = 64 }
  }
  private static let width = 65

  private let content: ReplicaContent
  private let table: EmbeddingTable

  init() {
    let tables = Self.model.tables
    let shard = ReplicaShard(id: ShardID(0), layouts: tables.servingLayouts(weightFormat: .float32))
    content = ReplicaContent(tables: tables, shards: [shard])
    table = shard.tables[0]
  }

  /// Rows whose weights are all equal.
  private static func delta(_ fids: Range<Fid>, value: Float, tombstones: Range<Fid> = 0..<0) -> SyncFrame.Table {
    SyncFrame.Table(
      table: 0, width: width, format: .float32, fids: Array(fids), tombstones: Array(tombstones),
      weights: [Float](repeating: value, count: fids.count * width))
  }

  /// Calls `apply` again and again, with 1, 2, 3 …, until a reader on another thread has seen what it looks for.
  /// - Parameter look: Whether this is it; called inside of a `read`.
  /// - Returns: Whether it was seen before the deadline.
  private func reader(
    sees look: @escaping @Sendable (ReplicaView) -> Bool, while apply: (_ round: UInt32) -> Void
  ) -> Bool {
    let isOver = Atomic<Bool>(false)
    let hasSeen = Atomic<Bool>(false)
    let threads = Threads()
    let content = content
    threads.start {
      let reader = ReplicaReader(content: content)
      while !isOver.load(ordering: .acquiring), !hasSeen.load(ordering: .relaxed) {
        if reader.read(look) { hasSeen.store(true, ordering: .releasing) }
      }
    }
    let deadline = Instant.now().advanced(byMs: 20_000)
    var round: UInt32 = 0
    while !hasSeen.load(ordering: .acquiring), Instant.now() < deadline {
      round += 1
      apply(round)
    }
    isOver.store(true, ordering: .releasing)
    threads.join()
    return hasSeen.load(ordering: .acquiring)
  }

  private static func weight(_ fid: Fid, _ view: ReplicaView) -> Float {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { row in
      _ = view.copyWeights(table: 0, fid: fid, into: row.baseAddress!)
      return row[0]
    }
  }

  @Test func readersNeverSeeATornRow() {
    let content = content
    let isOver = Atomic<Bool>(false)
    let rows = Atomic<Int>(0)
    let torn = Atomic<Int>(0)
    let threads = Threads()
    for number in 0..<3 {
      threads.start {
        let reader = ReplicaReader(content: content)
        var random = SeededGenerator(seed: UInt64(number))
        withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.width) { row in
          while !isOver.load(ordering: .relaxed) {
            let fid = Fid.random(in: 0..<3_000, using: &random)
            let exists = reader.read { $0.copyWeights(table: 0, fid: fid, into: row.baseAddress!) }
            if exists {
              rows.add(1, ordering: .relaxed)
              if row.contains(where: { $0 != row[0] }) { torn.add(1, ordering: .relaxed) }
            }
          }
        }
      }
    }
    let deadline = Instant.now().advanced(byMs: 30_000)
    var random = SeededGenerator(seed: 9)
    var frames = 0
    // Rows come, change, move and go, and the index grows and shrinks.
    while (frames < 200 || rows.load(ordering: .relaxed) < 20_000) && Instant.now() < deadline {
      frames += 1
      let start = Fid.random(in: 0..<2_000, using: &random)
      let gone = Fid.random(in: 0..<2_000, using: &random)
      content.apply(
        Self.delta(start..<start + 1_000, value: Float(frames), tombstones: gone..<gone + 900), to: table,
        minutes: UInt32(frames))
      if frames % 50 == 0 { content.removeRows(of: table, updatedBefore: UInt32(frames - 1)) }
    }
    isOver.store(true, ordering: .relaxed)
    threads.join()
    let (readRows, tornRows) = (rows.load(ordering: .relaxed), torn.load(ordering: .relaxed))
    #expect(tornRows == 0)
    #expect(frames >= 200 && readRows >= 20_000)
    table.checkInvariants()
  }

  @Test func aFrameGivesWayToReadersBetweenItsRows() {
    let last: Fid = 9_999
    let (content, table) = (content, table)
    let seen = reader {
      Self.weight(0, $0) != Self.weight(last, $0)
    } while: {
      content.apply(Self.delta(0..<last + 1, value: Float($0)), to: table, minutes: 1)
    }
    #expect(seen)
  }

  @Test func theRemovalOfOldRowsGivesWayToReaders() {
    let last: Fid = 9_999
    let (content, table) = (content, table)
    let seen = reader {
      $0.contains(table: 0, fid: 0) != $0.contains(table: 0, fid: last)
        && Self.weight(5_000_000, $0) == 1
    } while: { round in
      content.apply(Self.delta(0..<last + 1, value: 1), to: table, minutes: round)
      // Tells the removal from the frame.
      content.apply(Self.delta(5_000_000..<5_000_001, value: 1), to: table, minutes: .max)
      content.removeRows(of: table, updatedBefore: round + 1)
      content.apply(Self.delta(0..<0, value: 1, tombstones: 5_000_000..<5_000_001), to: table, minutes: round)
    }
    #expect(seen)
    #expect(table.rowCount == 0)
  }

  @Test func theDenseTensorsAreAnnouncedWhenAllOfThemHaveChanged() {
    let tables = Self.model.tables
    let reader = ReplicaReader(content: content)
    let before = reader.read { ($0.denseVersion, $0.rowsVersion) }
    content.apply(Self.delta(0..<200, value: 3), to: table, minutes: 1)
    let between = reader.read { ($0.denseVersion, $0.rowsVersion) }
    #expect(between.0 == before.0 && between.1 > before.1)
    let fids = tables.denseLayout.fids
    let dense = SyncFrame.Table(
      table: tables.denseTable, width: DenseLayout.chunkWidth, format: .float32, fids: fids, tombstones: [],
      weights: [Float](repeating: 2, count: fids.count * DenseLayout.chunkWidth))
    content.apply(dense, to: content.embeddings[tables.denseTable], minutes: 1)
    #expect(reader.read { $0.denseVersion } == before.0 + 1)
  }
}

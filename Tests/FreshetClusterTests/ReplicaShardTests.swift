import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

/// The rules by which a shard's copy takes or leaves a frame, one by one.
@Suite struct ReplicaShardTests {
  let shard: ReplicaShard
  let content: ReplicaContent
  let partition = PartitionID(3)
  let now = Instant(nanoseconds: 1)

  typealias Cursor = ShardPosition.BaseCursor

  init() {
    let tables = TestModel.tiny.tables
    shard = ReplicaShard(id: ShardID(0), layouts: tables.servingLayouts(weightFormat: .float32))
    content = ReplicaContent(tables: tables, shards: [shard])
  }

  func apply(_ frame: SyncFrame) throws -> ReplicaShard.Outcome { try shard.apply(frame, through: content, now: now) }

  func frame(
    _ kind: SyncFrame.Kind, generation: UInt64 = 1, sequence: UInt64, watermark: Int64 = 10, fids: [Fid] = [],
    tombstones: [Fid] = []
  ) -> SyncFrame {
    SyncFrame(
      kind: kind, shard: ShardID(0), generation: generation, sequence: sequence, newestMinutes: 0, reported: 0,
      watermarks: [(partition, Offset(watermark))], receipts: [],
      tables: [
        SyncFrame.Table(
          table: 0, width: 2, format: .float32, fids: fids, tombstones: tombstones,
          weights: [Float](repeating: Float(sequence), count: fids.count * 2))
      ])
  }

  func copyBase() throws {
    let middle = Cursor(table: 1, cursor: 0)
    #expect(try apply(frame(.base(from: .start, next: middle), sequence: 5, fids: [1])) == .applied)
    #expect(!shard.isComplete && shard.watermarks.isEmpty)
    #expect(try apply(frame(.base(from: middle, next: nil), sequence: 5, fids: [2])) == .applied)
    #expect(shard.isComplete && shard.watermarks == [partition: Offset(10)])
  }

  @Test func onlyTheNextDeltaOfTheSameLifeIsTaken() throws {
    #expect(try apply(frame(.delta, sequence: 1)) == .gap)
    try copyBase()
    #expect(try apply(frame(.delta, sequence: 5)) == .duplicate)
    #expect(try apply(frame(.delta, sequence: 7, fids: [9])) == .gap)
    #expect(try apply(frame(.delta, generation: 2, sequence: 6, fids: [9])) == .gap)
    #expect(!shard.tables[0].contains(9))
    let next = frame(.delta, sequence: 6, watermark: 12, fids: [9], tombstones: [1])
    #expect(try apply(next) == .applied)
    #expect(try apply(next) == .duplicate)
    #expect(shard.tables[0].contains(9) && !shard.tables[0].contains(1))
    #expect(shard.watermarks == [partition: Offset(12)])
  }

  @Test func onlyTheChunkThatTheBaseWaitsForIsTaken() throws {
    let second = Cursor(table: 0, cursor: 8)
    let third = Cursor(table: 1, cursor: 0)
    let first = frame(.base(from: .start, next: second), sequence: 5, fids: [1])
    #expect(try apply(frame(.base(from: second, next: third), sequence: 5, fids: [7])) == .gap)
    #expect(try apply(first) == .applied)
    let waiting = ShardPosition(generation: 1, sequence: 5, base: second)
    // Repeated, too early, before or after the sequence, of another life.
    #expect(try apply(first) == .duplicate)
    for (from, sequence, generation, outcome) in [
      (third, 5, 1, ReplicaShard.Outcome.duplicate), (second, 4, 1, .duplicate), (second, 6, 1, .gap),
      (second, 5, 2, .gap),
    ] as [(Cursor, UInt64, UInt64, ReplicaShard.Outcome)] {
      let chunk = frame(.base(from: from, next: nil), generation: generation, sequence: sequence, fids: [7])
      #expect(try apply(chunk) == outcome)
      #expect(shard.position == waiting && !shard.tables[0].contains(7) && !shard.isComplete)
    }
    // Deltas arrive between chunks; the chunk after them carries their sequence.
    #expect(try apply(frame(.delta, sequence: 6)) == .applied)
    #expect(try apply(frame(.base(from: second, next: nil), sequence: 6, fids: [7])) == .applied)
    #expect(shard.isComplete && shard.tables[0].contains(1) && shard.tables[0].contains(7))
  }

  @Test func aNewBaseOfTheSameLifeKeepsTheOldRowsAndWatermarksUntilItIsComplete() throws {
    try copyBase()
    let middle = Cursor(table: 1, cursor: 0)
    let first = frame(.base(from: .start, next: middle), sequence: 20, watermark: 30, fids: [1])
    #expect(try apply(first) == .applied)
    #expect(shard.tables[0].contains(2) && shard.isComplete)
    #expect(shard.watermarks == [partition: Offset(10)])
    _ = try apply(frame(.base(from: middle, next: nil), sequence: 20, watermark: 30, fids: [3]))
    #expect(shard.watermarks == [partition: Offset(30)])
    #expect(shard.tables[0].contains(1) && !shard.tables[0].contains(2) && shard.tables[0].contains(3))
  }

  @Test func aBaseOfAnotherLifeKeepsTheOldRowsButNotWhatTheyPromised() throws {
    try copyBase()
    let middle = Cursor(table: 1, cursor: 0)
    let first = frame(.base(from: .start, next: middle), generation: 2, sequence: 0, watermark: 4, fids: [1])
    #expect(try apply(first) == .applied)
    #expect(shard.tables[0].contains(2) && shard.isComplete)
    #expect(shard.watermarks.isEmpty)
    _ = try apply(frame(.base(from: middle, next: nil), generation: 2, sequence: 0, watermark: 4))
    #expect(shard.watermarks == [partition: Offset(4)])
    #expect(!shard.tables[0].contains(2))
  }
}

import FreshetCore
import FreshetModel
import FreshetTable

@testable import FreshetCluster

/// A data file made up of parts by hand, for tests of the format.
enum SnapshotSamples {
  static let id = SnapshotID(shard: ShardID(3), number: 12, life: 0xdead_beef)
  static let parent = SnapshotFile(
    name: SnapshotID(shard: ShardID(3), number: 11, life: 0xdead_beef).fileName(.base), kind: .base, sizeBytes: 1000,
    checksum: 0x1122_3344_5566_7788)

  static let header: SnapshotHeader = {
    var statistics = TableStatistics()
    statistics.inserts = 1
    statistics.updates = 2
    statistics.removals = 3
    statistics.expired = 4
    statistics.evicted = 5
    statistics.rejected = 6
    statistics.nonFiniteGradients = 7
    func head(rows: Int, sketch: Int, generator: [UInt64]) -> TableCutHead {
      TableCutHead(
        isFull: false, rowCount: rows, newestMinutes: 70, statistics: statistics, evictionCursor: 8, sketchAdditions: 9,
        sketchNextLine: 10, generatorState: generator, sketchBytes: sketch, removed: [])
    }
    return SnapshotHeader(
      id: id, kind: .delta, shardCount: 16, parent: SnapshotHeader.Parent(parent),
      takenAt: UnixTime(milliseconds: 1_700_000_000_123), copied: nil, newestMinutes: 77,
      progress: [
        PartitionProgress(partition: PartitionID(0), watermark: Offset(100), origin: Offset(5)),
        PartitionProgress(partition: PartitionID(2), watermark: .none, origin: .none),
      ],
      tables: [
        TableSnapshot(
          shape: TableShape(name: "user", width: 1, weightFormat: .float32, optimizer: .adagrad, rowBytes: 8),
          minutes: 60,
          expiryCauses: 4, head: head(rows: 2, sketch: 64, generator: [])),
        TableSnapshot(
          shape: TableShape(name: "dense", width: 1, weightFormat: .bfloat16, optimizer: .sgd, rowBytes: 4), minutes: 0,
          expiryCauses: 0, head: head(rows: 0, sketch: 0, generator: [11])),
      ])
  }()

  static let parts: [SnapshotPart] = {
    var rows = TableRows()
    rows.fids = [0x0102_0304_0506_0708, 9]
    rows.minutes = [0x0a0b_0c0d, 14]
    rows.bytes = Array(0x20..<0x30)
    return [
      .tombstones(table: 0, [0xf0f1_f2f3_f4f5_f6f7, 1]), .rows(table: 0, rows),
      .sketch(table: 0, offset: 0, [UInt8](repeating: 1, count: 64)),
      .validation(PartitionID(0), task: 0, ProgressiveValidation()),
    ]
  }()

  static func plan(ticket: UInt64 = 1) -> SnapshotPlan { SnapshotPlan(ticket: ticket, header: header, chain: [parent]) }

  /// Writes the file and its manifest.
  /// - Returns: What the writer said at the end.
  @discardableResult
  static func write(to store: MemoryStore, compressor: any BlockCompressor) -> SnapshotEvent? {
    let writer = SnapshotFileWriter(store: store, compressor: compressor)
    var last = writer.perform(.begin(plan()))
    for part in parts + [.end] {
      if case .failed = last { return last }
      last = writer.perform(.part(part, ticket: 1))
    }
    return last
  }
}

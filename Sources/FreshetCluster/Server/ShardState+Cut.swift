import FreshetCore
import FreshetModel
import FreshetTable

/// What a shard holds beside the rows of its tables, of the instant at which it was cut.
public struct ShardCut {
  let tables: [TableSnapshot]
  /// By table, the tombstones since the last cut, in chunks.
  let removed: [[[Fid]]]
  let progress: [PartitionProgress]
  let validation: [(partition: PartitionID, task: Int, validation: ProgressiveValidation)]
  let newestMinutes: UInt32
  /// `SnapshotSource.changes`.
  let changes: UInt64
  /// Of a replica's copy: how far it was, and how long ago it was last known to be up to date.
  let copied: CopiedPosition?
  let ageMs: Double
}

extension ShardState {
  /// Fixes this instant: the tables deliver the rows of it from now on, whatever is applied (`EmbeddingTable.beginCut`).
  /// - Complexity: Well under a millisecond. Validation is a value: only what changes while the snapshot holds it is copied.
  func beginCut(isFull: Bool) -> ShardCut {
    let (snapshots, removed) = tables.beginCut(isFull: isFull, minutes: tableMinutes, expiryCauses: expiryCauses)
    let partitions = Set(watermarks.keys).union(origins.keys).sorted()
    return ShardCut(
      tables: snapshots, removed: removed,
      progress: partitions.map {
        PartitionProgress(partition: $0, watermark: watermark(of: $0), origin: origins[$0] ?? .none)
      },
      validation: validation.sorted { $0.key < $1.key }.flatMap { partition, tasks in
        tasks.enumerated().map { (partition, $0, $1) }
      },
      newestMinutes: newestMinutes, changes: changes, copied: nil, ageMs: 0)
  }

  /// What a base of the shard holds before compression, about.
  var rawBytes: Int { tables.rawBytes }
}

extension [EmbeddingTable] {
  /// Begins a cut of all of them.
  func beginCut(
    isFull: Bool, minutes: [UInt32], expiryCauses: [UInt64]
  ) -> (snapshots: [TableSnapshot], removed: [[[Fid]]]) {
    var snapshots: [TableSnapshot] = []
    var removed: [[[Fid]]] = []
    for (number, table) in enumerated() {
      var head = table.beginCut(isFull: isFull)
      removed.append(head.removed)
      head.removed = []
      snapshots.append(
        TableSnapshot(
          shape: TableShape(table.layout), minutes: minutes[number], expiryCauses: expiryCauses[number], head: head))
    }
    return (snapshots, removed)
  }

  /// What a full cut of them holds before compression, about.
  var rawBytes: Int {
    reduce(0) { $0 + $1.rowCount * ($1.layout.rowBytes + SnapshotCopy.bytesBesideRow) + $1.sketchBytes }
  }
}

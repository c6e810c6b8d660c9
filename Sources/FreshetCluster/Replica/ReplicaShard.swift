import FreshetCore
import FreshetTable

/// A replica's copy of one shard.
final class ReplicaShard {
  let id: ShardID
  /// By position in the cluster's list of tables; weights only.
  let tables: [EmbeddingTable]
  private(set) var position = ShardPosition.nothing
  /// Every example below a partition's watermark is reflected in the rows.
  private(set) var watermarks: [PartitionID: Offset] = [:]
  /// What the frames since the base began promise; it holds once the base is complete.
  private var promised: [PartitionID: Offset] = [:]
  private(set) var newestMinutes: UInt32 = 0
  /// Whether a whole base has ever arrived: until then the shard answers with initial values where rows are missing.
  private(set) var isComplete = false
  /// When the copy was last known to have everything that its server had sealed.
  private(set) var lastCurrent: Instant?
  /// `SyncFrame.reported` of the last frame applied.
  private(set) var reported: UInt64 = 0
  /// Examples of whose receipts this copy has got none, since a base took the place of their deltas.
  private(set) var unmeasuredExamples: UInt64 = 0
  /// Marks the rows of the current base, so that rows the base does not hold can be found when it is complete.
  private(set) var baseRound: UInt32 = 0
  /// Frames applied.
  private(set) var frames: UInt64 = 0
  /// `SnapshotSource.changes`.
  private(set) var changes: UInt64 = 0

  /// - Parameter isSaved: Whether a `SnapshotKeeper` is to save the copy.
  init(id: ShardID, layouts: [TableLayout], isSaved: Bool = false) {
    self.id = id
    tables = layouts.map { EmbeddingTable(layout: $0, feeds: 0, isSnapshotted: isSaved) }
  }

  /// A copy that goes on from what was saved.
  init(_ restored: RestoredReplica.Shard) {
    id = restored.state.id
    tables = restored.state.tables
    position = ShardPosition(
      generation: restored.position.generation, sequence: restored.position.sequence, base: nil)
    reported = restored.position.reported
    watermarks = restored.state.watermarks
    promised = watermarks
    newestMinutes = restored.state.newestMinutes
    baseRound = restored.state.tableMinutes[0]
    isComplete = true
    lastCurrent = restored.lastCurrent
  }

  enum Outcome: Equatable {
    case applied
    /// The frame had been applied before.
    case duplicate
    /// The frame does not follow on from what the replica has.
    case gap
  }

  /// Applies a frame if it follows on from what the shard has. Readers see its rows come a slice at a time.
  func apply(_ frame: SyncFrame, through content: ReplicaContent, now: Instant) throws(ClusterError) -> Outcome {
    for table in frame.tables where table.table >= tables.count || tables[table.table].layout.width != table.width {
      throw ClusterError(
        .mismatch,
        "shard \(id): table \(table.table) of width \(table.width) is not in this model: are the models the same?")
    }
    switch frame.kind {
    case .delta:
      guard frame.generation == position.generation else { return .gap }
      if frame.sequence <= position.sequence { return .duplicate }
      guard frame.sequence == position.sequence + 1 else { return .gap }
      position = ShardPosition(generation: frame.generation, sequence: frame.sequence, base: position.base)
    case .base(let from, let next):
      let isOtherLife = position.generation != frame.generation
      if from == .start && (isOtherLife || frame.sequence > position.sequence) {
        noteUnmeasured(frame, isOtherLife: isOtherLife)
        beginBase(isOtherLife: isOtherLife)
      } else if isOtherLife || frame.sequence > position.sequence {
        return .gap
      } else if position.base != from || frame.sequence < position.sequence {
        return .duplicate
      }
      position = ShardPosition(generation: frame.generation, sequence: frame.sequence, base: next)
    }
    reported = frame.reported
    for table in frame.tables { content.apply(table, to: tables[table.table], minutes: baseRound) }
    for (partition, offset) in frame.watermarks { promised[partition] = offset }
    if position.base == nil { watermarks = promised }
    newestMinutes = max(newestMinutes, frame.newestMinutes)
    lastCurrent = now
    if case .base(_, next: nil) = frame.kind {
      for table in tables { content.removeRows(of: table, updatedBefore: baseRound) }
      isComplete = true
    }
    frames += 1
    if isComplete { changes += 1 }
    return .applied
  }

  /// The server had nothing newer.
  func confirmCurrent(now: Instant) {
    if isComplete && position.base == nil { lastCurrent = now }
  }

  /// What was learned before this copy had anything is nobody's loss.
  private func noteUnmeasured(_ base: SyncFrame, isOtherLife: Bool) {
    guard position.generation != 0 else { return }
    unmeasuredExamples += isOtherLife ? base.reported : base.reported - min(base.reported, reported)
  }

  /// Rows of the old copy go on answering until the base is complete.
  private func beginBase(isOtherLife: Bool) {
    baseRound += 1
    promised = [:]
    // Rows of the same life only become newer; those of another one may know less.
    if isOtherLife { watermarks = [:] }
  }
}

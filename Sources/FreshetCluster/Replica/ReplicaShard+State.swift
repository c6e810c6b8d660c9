import FreshetCore
import FreshetTable

extension ReplicaShard {
  /// Fixes this instant for a snapshot of the copy.
  ///
  /// While a base is being copied the rows are of more than one instant. They are good enough to answer from, but not to go on
  /// from: whoever starts with them begins with a base again.
  func beginCut(isFull: Bool, now: Instant) -> ShardCut {
    let (snapshots, removed) = tables.beginCut(
      isFull: isFull, minutes: tables.map { _ in baseRound }, expiryCauses: tables.map { _ in 0 })
    let isWhole = position.base == nil
    return ShardCut(
      tables: snapshots, removed: removed,
      progress: watermarks.sorted { $0.key < $1.key }.map {
        PartitionProgress(partition: $0.key, watermark: $0.value, origin: .none)
      },
      validation: [], newestMinutes: newestMinutes, changes: changes,
      copied: CopiedPosition(
        generation: isWhole ? position.generation : 0, sequence: isWhole ? position.sequence : 0, reported: reported),
      ageMs: lastCurrent.map { now.milliseconds(since: $0) } ?? 0)
  }
}

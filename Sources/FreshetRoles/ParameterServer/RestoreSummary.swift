import FreshetCluster
import FreshetCore
import Logging

/// What came of a restore, for the log and for INFO.
struct RestoreSummary {
  let shards: Int
  let rows: Int
  let bytes: Int
  let skipped: [(shard: ShardID, snapshot: SkippedSnapshot)]
  let notes: [String]
  let elapsedMs: Double

  init(_ reports: [ShardRestoreReport], elapsedMs: Double) {
    shards = reports.count { $0.manifest != nil }
    rows = reports.reduce(0) { $0 + $1.rows }
    bytes = reports.reduce(0) { $0 + $1.bytesRead }
    skipped = reports.flatMap { report in report.skipped.map { (report.shard, $0) } }
    notes = reports.flatMap(\.notes)
    self.elapsedMs = elapsedMs
  }

  func log(to logger: Logger, store: String) {
    for (shard, snapshot) in skipped {
      logger.warning(
        "a snapshot cannot be used; going on from an older one",
        metadata: ["shard": "\(shard)", "snapshot": "\(snapshot.name)", "reason": "\(snapshot.reason)"])
    }
    for note in Set(notes).sorted() { logger.warning("\(note)") }
    logger.info(
      "restored",
      metadata: [
        "store": "\(store)", "shards": "\(shards)", "rows": "\(rows)", "bytes": "\(bytes)",
        "ms": "\(Int(elapsedMs))",
      ])
  }
}

import FreshetCore

/// A record of a topic. Markers that end transactions take an offset too and are not kept.
struct LogRecord {
  let offset: Int64
  let appendTimeMs: Int64
  let payload: [UInt8]?
  /// The transaction that it belongs to; 0 for none.
  let transaction: Int
}

/// One partition of a topic as a broker has it, transactions included.
final class LogPartition {
  private(set) var records: [LogRecord] = []
  /// The first offset that has not been deleted.
  private(set) var start: Int64
  /// The offset of the next record.
  private(set) var end: Int64
  /// Offsets at which open transactions began.
  private var open: [Int: Int64] = [:]
  private var aborted: Set<Int> = []

  init(start: Int64) {
    self.start = start
    end = start
  }

  /// Readers of committed records see nothing at or beyond it.
  var stableEnd: Int64 { open.values.min() ?? end }

  func append(_ payload: [UInt8]?, appendTimeMs: Int64, transaction: Int) {
    if transaction != 0, open[transaction] == nil { open[transaction] = end }
    records.append(LogRecord(offset: end, appendTimeMs: appendTimeMs, payload: payload, transaction: transaction))
    end += 1
  }

  /// Ends a transaction with a marker.
  /// - Returns: Its records, if they count.
  func endTransaction(_ transaction: Int, commits: Bool) -> [LogRecord] {
    guard let first = open.removeValue(forKey: transaction) else { return [] }
    end += 1
    guard commits else {
      aborted.insert(transaction)
      return []
    }
    return records.filter { $0.transaction == transaction && $0.offset >= first }
  }

  /// What a reader of committed records gets from `position` on.
  /// - Returns: At most `limit` records, where to go on, and whether that is the end as readers see it.
  func read(from position: Int64, limit: Int) -> (records: [LogRecord], next: Int64, isAtEnd: Bool) {
    var found: [LogRecord] = []
    let stable = stableEnd
    var low = 0
    var high = records.count
    while low < high {
      let middle = (low + high) / 2
      if records[middle].offset < position { low = middle + 1 } else { high = middle }
    }
    for record in records[low...] {
      guard record.offset < stable else { break }
      guard found.count < limit else { return (found, record.offset, false) }
      if !aborted.contains(record.transaction) { found.append(record) }
    }
    return (found, max(position, stable), true)
  }

  /// Retention: everything below `offset` goes.
  func delete(below offset: Int64) {
    guard offset > start else { return }
    start = min(offset, end)
    records.removeAll { $0.offset < start }
  }
}

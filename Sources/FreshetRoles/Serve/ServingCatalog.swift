import FreshetCore
import FreshetModel

/// The items that a replica knows, kept up to date from the `items` topic.
///
/// One for all serving threads: changed by the thread that keeps the replica's copy, inside `Replica.write`, and read inside
/// `ReplicaReader.read`.
// Sendable holds because of that rule.
final class ServingCatalog: @unchecked Sendable {
  /// Items beyond that are refused and counted.
  static let capacity = 4_000_000
  static let maximumRecordBytes = 1 << 20

  private(set) var items = ItemCatalog(capacity: capacity)
  private(set) var records: UInt64 = 0
  private(set) var deletions: UInt64 = 0
  /// Whether the topic has been read once to its end.
  private(set) var isCaughtUp = false
  /// Records that could not be used, by reason. The joiner puts them on `dead-letter`, so a replica only counts.
  private(set) var badRecords: [String: UInt64] = [:]

  private let extractor: FeatureExtractor
  private let scratch: FeatureScratch
  private let reader = JSONRecordReader(maxBytes: maximumRecordBytes, maxDepth: 32)

  init(extractor: FeatureExtractor) {
    self.extractor = extractor
    scratch = extractor.makeScratch()
  }

  /// - Returns: The first record of each kind that is seen to be bad for the first time, in words.
  func apply(_ batch: ItemBatch) -> [String] {
    var notices: [String] = []
    for record in batch.records {
      records += 1
      guard let bad = apply(record) else { continue }
      if badRecords[bad.code, default: 0] == 0 {
        notices.append(
          "item record at partition \(record.partition) offset \(record.offset) cannot be used: \(bad.reason); "
            + "more like it are only counted (INFO catalog)")
      }
      badRecords[bad.code, default: 0] += 1
    }
    if batch.isCaughtUp { isCaughtUp = true }
    return notices
  }

  /// - Returns: Why the record is of no use, if it is not.
  private func apply(_ record: ItemRecord) -> (code: String, reason: String)? {
    do throws(ItemError) {
      if let value = record.value {
        let result = value.withUnsafeBytes { bytes in
          Result { () throws(ItemError) in try items.upsert(bytes, extractor, reader, scratch) }
        }
        try result.get()
      } else {
        guard let key = record.key else { return ("missing-field", "it has neither a key nor a value") }
        let result = key.withUnsafeBytes { bytes in
          Result { () throws(ItemError) in try items.remove(recordKey: bytes, extractor, scratch) }
        }
        if try result.get() { deletions += 1 }
      }
      return nil
    } catch {
      return (error.code, error.message)
    }
  }
}

import FreshetCluster
import FreshetCore
import FreshetModel

/// The items that a replica knows and what it knows of enrichments' keys, kept up to date from their topics.
///
/// One for all serving threads: changed by the thread that keeps the replica's copy, inside `Replica.write`, and read inside
/// `ReplicaReader.read`.
// Sendable holds because of that rule; scratch and reader are the changing thread's own.
final class ServingCatalog: @unchecked Sendable {
  /// Items beyond that are refused and counted.
  static let capacity = 4_000_000
  static let maximumRecordBytes = 1 << 20
  /// Changes without a pause for readers: some microseconds' work.
  private static let changesPerSlice = 32

  let items = ItemCatalog(capacity: capacity)
  /// By position in `ModelSpec.enrichments`.
  let enrichments: [KeyedCatalog]
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
    enrichments = extractor.spec.enrichments.indices.map {
      KeyedCatalog(of: .enrichment($0), capacity: Self.capacity)
    }
  }

  /// Records of each enrichment.
  var enrichmentCounts: [(name: String, count: Int)] {
    zip(extractor.spec.enrichments, enrichments).map { ($0.name, $1.count) }
  }

  private func catalog(of source: FieldSpec.Source) -> KeyedCatalog {
    if case .enrichment(let position) = source { enrichments[position] } else { items }
  }

  /// What a record asks for, worked out before readers are kept waiting for it.
  private enum Change {
    case put(CatalogItem)
    case remove(key: UInt64)
    case none(ItemError)
  }

  /// - Returns: The first record of each kind that is seen to be bad for the first time, in words.
  func apply(_ batch: ItemBatch, to replica: Replica) -> [String] {
    for catalog in [items] + enrichments {
      let more = batch.records.count { $0.source == catalog.source }
      catalog.makeRoom(for: more) { exchange in replica.write { exchange() } }
    }
    var notices: [String] = []
    for first in stride(from: 0, to: batch.records.count, by: Self.changesPerSlice) {
      let slice = batch.records[first..<min(first + Self.changesPerSlice, batch.records.count)]
      let changes = slice.map(change)
      replica.write {
        for (record, change) in zip(slice, changes) {
          records += 1
          if let error = perform(change, on: catalog(of: record.source)) { note(error, record, &notices) }
        }
      }
    }
    if batch.isCaughtUp, !isCaughtUp { replica.write { isCaughtUp = true } }
    return notices
  }

  private func change(_ record: ItemRecord) -> Change {
    do throws(ItemError) {
      if let value = record.value {
        let result = value.withUnsafeBytes { bytes in
          Result { () throws(ItemError) in
            try KeyedCatalog.item(from: bytes, of: record.source, extractor, reader, scratch)
          }
        }
        return .put(try result.get())
      }
      guard let key = record.key else {
        throw ItemError(code: "missing-field", message: "it has neither a key nor a value")
      }
      let result = key.withUnsafeBytes { bytes in
        Result { () throws(ItemError) in
          try KeyedCatalog.keyHash(ofRecordKey: bytes, of: record.source, extractor, scratch)
        }
      }
      guard let hash = try result.get() else {
        throw ItemError(code: "missing-field", message: "its key says nothing")
      }
      return .remove(key: hash)
    } catch {
      return .none(error)
    }
  }

  /// - Returns: Why the record is of no use, if it is not.
  private func perform(_ change: Change, on catalog: KeyedCatalog) -> ItemError? {
    switch change {
    case .put(let item):
      do throws(ItemError) {
        try catalog.put(item)
        return nil
      } catch {
        return error
      }
    case .remove(let key):
      if catalog.remove(hash: key) { deletions += 1 }
      return nil
    case .none(let error): return error
    }
  }

  private func name(of source: FieldSpec.Source) -> String {
    if case .enrichment(let position) = source { extractor.spec.enrichments[position].name } else { "item" }
  }

  private func note(_ error: ItemError, _ record: ItemRecord, _ notices: inout [String]) {
    if badRecords[error.code, default: 0] == 0 {
      notices.append(
        "\(name(of: record.source)) record at partition \(record.partition) offset \(record.offset) cannot be used: \(error.message); "
          + "more like it are only counted (INFO catalog)")
    }
    badRecords[error.code, default: 0] += 1
  }
}

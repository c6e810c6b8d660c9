import FreshetCluster
import FreshetCore
import FreshetModel
import NIOCore
import Synchronization

/// What a record of the gateway's own paths is about.
enum EventKind: String, Sendable, CaseIterable {
  case impressions
  case actions
  case items
}

/// What is wrong with one record of a request.
struct RecordProblem: Sendable, Equatable {
  /// Among the request's records.
  var index: Int
  /// As in dead letters.
  let code: String
  /// nil if it is the record as a whole.
  let field: String?
  let message: String
  /// What the field must be.
  let expected: String?
}

/// Checks records as joiners and replicas read them, with their code: what it lets through, they can use. What they know and the
/// gateway does not (enrichments, earlier records) is theirs to judge.
///
/// @unchecked Sendable: one task at a time has it, as `ValidatorPool` sees to.
final class RecordValidator: @unchecked Sendable {
  /// As joiners read them; replicas take larger ones.
  private static let maxItemBytes = 1 << 20

  private let records: InputRecordReader
  private let itemReader = JSONRecordReader(maxBytes: maxItemBytes, maxDepth: 16)
  private let itemScratch: FeatureScratch
  /// Of key and value together, as Kafka takes them.
  private let maxBytes: Int

  init(_ extractor: FeatureExtractor, config: JoinerConfig, maxBytes: Int) {
    records = InputRecordReader(extractor, config: config)
    itemScratch = extractor.makeScratch()
    self.maxBytes = maxBytes
  }

  /// - Returns: The record's key: the canonical text of the user's or the item's id.
  func key(of record: UnsafeRawBufferPointer, _ kind: EventKind, now: UnixTime) -> Result<[UInt8], RecordProblem> {
    let key: [UInt8]
    switch kind {
    case .impressions, .actions:
      let read = JoinerRecord(offset: 0, appendTimeMs: now.milliseconds, payload: record)
      do throws(Rejection) {
        if kind == .actions {
          _ = try records.readKeyedAction(read)
          key = Array(records.user)
        } else {
          _ = try records.readFeature(read)
          // Before the part, which may move the scratch.
          key = Array(records.user)
          _ = try records.requestPart { _, _ in nil }
        }
      } catch {
        return .failure(RecordProblem(error))
      }
    case .items:
      do throws(ItemError) {
        key = Array(
          try KeyedCatalog.item(from: record, of: .item, records.extractor, itemReader, itemScratch).key.utf8)
      } catch {
        return .failure(
          RecordProblem(
            index: 0, code: error.code, field: error.field, message: error.message, expected: error.expected))
      }
    }
    let size = key.count + record.count
    guard size <= maxBytes else {
      return .failure(
        RecordProblem(
          index: 0, code: DeadLetterReason.oversized.rawValue, field: nil,
          message: "key and record have \(size) bytes, Kafka takes \(maxBytes) (`message.max.bytes`)", expected: nil))
    }
    return .success(key)
  }
}

extension RecordProblem: Error {
  init(_ rejection: Rejection) {
    self.init(
      index: 0, code: rejection.reason.rawValue, field: rejection.field, message: rejection.message,
      expected: rejection.expected)
  }
}

/// Validators that nobody uses at the moment.
final class ValidatorPool: Sendable {
  private let idle = Mutex<[RecordValidator]>([])
  private let make: @Sendable () -> RecordValidator

  init(_ make: @escaping @Sendable () -> RecordValidator) { self.make = make }

  func use<R>(_ body: (RecordValidator) -> R) -> R {
    let validator = idle.withLock { $0.popLast() } ?? make()
    defer { idle.withLock { $0.append(validator) } }
    return body(validator)
  }
}

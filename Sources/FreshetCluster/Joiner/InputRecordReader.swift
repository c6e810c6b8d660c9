import FreshetCore
import FreshetModel

/// Reads records of `features` and `actions`, and says what is wrong with those that cannot be used. The joiner reads with it what is
/// in the topics, and the gateway what is to go there: what the one lets in, the other can use.
///
/// Belongs to one thread; what a call returns is valid until the next one.
public final class InputRecordReader {
  /// The largest event time: the end of the year 9999.
  static let maxTimeMs: Int64 = 253_402_300_799_999
  private static let maxDepth = 16

  private static let idExpectation = "text of 1 to 255 bytes"
  private static let timeExpectation = "milliseconds since 1970"

  public let extractor: FeatureExtractor
  let scratch: FeatureScratch
  let actionFields: ActionFields
  private let reader: JSONRecordReader
  /// Reads what enrichments know while `reader` still holds the record.
  private let enrichmentReader: JSONRecordReader
  private let maxAheadMs: Int64

  public init(_ extractor: FeatureExtractor, config: JoinerConfig) {
    self.extractor = extractor
    scratch = extractor.makeScratch()
    actionFields = ActionFields(extractor.spec)
    reader = JSONRecordReader(maxBytes: config.maxRecordBytes, maxDepth: Self.maxDepth)
    enrichmentReader = JSONRecordReader(maxBytes: 1 << 20, maxDepth: 32)
    maxAheadMs = config.maxAheadMs
  }

  public struct FeatureRecord {
    public let requestHash: UInt64
    public let timeMs: Int64
  }

  /// Reads an impression; the scratch holds its fields then, user and item key among them.
  public func readFeature(_ record: JoinerRecord) throws(Rejection) -> FeatureRecord {
    let object = try parse(record)
    scratch.reset()
    do throws(FeatureError) { try extractor.read(object, .request, into: scratch) } catch { throw Rejection(error) }
    let content = FeatureRecord(
      requestHash: try requestHash(scratch.requestID), timeMs: try timeMs(scratch.eventTime, record))
    _ = try key(extractor.spec.userKey)
    _ = try key(extractor.spec.itemKey)
    return content
  }

  /// The canonical text of the user key of what was read last, as long as the scratch does not change: enrichments change it.
  public var user: UnsafeBufferPointer<UInt8> { extractor.text(of: extractor.spec.userKey, in: scratch)! }
  /// Likewise the item key, of an impression.
  public var item: UnsafeBufferPointer<UInt8> { extractor.text(of: extractor.spec.itemKey, in: scratch)! }

  /// Computes the request's side of the example of the impression that was read last.
  /// - Parameter enrichment: What is known, by enrichment and hash of the key.
  /// - Returns: The part, and by bit the enrichments that do not know their key.
  public func requestPart(
    enrichment: (Int, UInt64) -> CatalogItem?
  ) throws(Rejection) -> (part: UnsafeRawBufferPointer, unknownEnrichments: UInt32) {
    do throws(FeatureError) {
      let unknown = try extractor.complete(scratch, enrichmentReader, record: enrichment)
      return (try extractor.requestPart(scratch), unknown)
    } catch {
      throw Rejection(error)
    }
  }

  public struct ActionRecord {
    public let requestHash: UInt64
    public let timeMs: Int64
    /// Among the distinct actions of the tasks, in their order.
    public let kind: Int
    /// 0 where the record has none.
    public let value: Double
  }

  public func readAction(_ record: JoinerRecord) throws(Rejection) -> ActionRecord {
    try action(in: try parse(record), record)
  }

  /// Reads an action and its user key, which joiners do not look at: it only decides the partition.
  public func readKeyedAction(_ record: JoinerRecord) throws(Rejection) -> ActionRecord {
    let object = try parse(record)
    let action = try action(in: object, record)
    let user = extractor.spec.userKey
    scratch.reset()
    do throws(FeatureError) { try extractor.read(object, .only(user), into: scratch) } catch { throw Rejection(error) }
    _ = try key(user)
    return action
  }

  private func action(in object: JSONValue, _ record: JoinerRecord) throws(Rejection) -> ActionRecord {
    let members = actionFields.members(of: object)
    let requestHash = try requestHash(members.requestID)
    let timeMs = try timeMs(members.eventTime, record)
    guard let action = members.action, action.kind != .null else {
      throw Rejection(.missing(JoinRecord.action, expected: actionFields.expectation))
    }
    guard action.kind == .string else {
      throw Rejection(.wrongType(JoinRecord.action, expected: "text", found: action.excerpt))
    }
    guard let kind = actionFields.kind(of: action.text) else {
      throw Rejection(
        .unknownAction, "no task learns from the action \(action.excerpt)", field: JoinRecord.action,
        expected: actionFields.expectation)
    }
    var number = 0.0
    if let value = members.value, value.kind != .null {
      guard let found = value.number else {
        throw Rejection(.wrongType(JoinRecord.value, expected: "a number", found: value.excerpt))
      }
      number = found
    } else if actionFields.needsValue[kind] {
      throw Rejection(.missing(JoinRecord.value, expected: "a number"))
    }
    return ActionRecord(requestHash: requestHash, timeMs: timeMs, kind: kind, value: number)
  }

  // MARK: - Parts of both

  private func parse(_ record: JoinerRecord) throws(Rejection) -> JSONValue {
    guard let payload = record.payload else { throw Rejection(.nullPayload, "the record has no payload") }
    do throws(JSONError) {
      let object = try reader.parse(payload)
      guard object.kind == .object else {
        throw JSONError(kind: .malformed, message: "the record is \(object.excerpt), not a JSON object")
      }
      return object
    } catch {
      throw Rejection(error)
    }
  }

  private func key(_ field: Int) throws(Rejection) -> UnsafeBufferPointer<UInt8> {
    guard let text = extractor.text(of: field, in: scratch) else {
      throw Rejection(
        .missing(extractor.spec.fields[field].name, expected: extractor.expectation(of: field)))
    }
    return text
  }

  private func requestHash(_ value: JSONValue?) throws(Rejection) -> UInt64 {
    guard let value, value.kind != .null else {
      throw Rejection(.missing(JoinRecord.requestID, expected: Self.idExpectation))
    }
    guard value.kind == .string, (1...255).contains(value.text.count) else {
      throw Rejection(.wrongType(JoinRecord.requestID, expected: Self.idExpectation, found: value.excerpt))
    }
    return Hashing.xxh3(value.text)
  }

  private func timeMs(_ value: JSONValue?, _ record: JoinerRecord) throws(Rejection) -> Int64 {
    guard let value, value.kind != .null else {
      throw Rejection(.missing(JoinRecord.eventTime, expected: Self.timeExpectation))
    }
    let time: Int64? =
      switch value.kind {
      case .int64: value.int64
      case .double: Int64(exactly: value.double)
      case .string: CanonicalText.integer(value.text)
      default: nil
      }
    guard let time, time >= 0, time <= Self.maxTimeMs else {
      throw Rejection(.wrongType(JoinRecord.eventTime, expected: Self.timeExpectation, found: value.excerpt))
    }
    guard time - maxAheadMs <= max(0, record.appendTimeMs) else {
      throw Rejection(
        .futureEventTime,
        "event time \(time) is more than \(maxAheadMs) ms after the append time \(record.appendTimeMs)",
        field: JoinRecord.eventTime, expected: "at most \(maxAheadMs) ms ahead of the clock")
    }
    return time
  }
}

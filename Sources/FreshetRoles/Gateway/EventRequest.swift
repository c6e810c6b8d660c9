import FreshetCore
import FreshetHTTP
import NIOCore

/// A request to `/v1/impressions`, `/v1/actions` or `/v1/items`: its records, all of them checked.
struct EventRequest {
  let records: [OutgoingRecord]

  /// Problems that a reply names; the others are counted.
  static let shownProblems = 20

  /// Some of the records cannot be used.
  struct Invalid: Error {
    let recordCount: Int
    let problems: [RecordProblem]
  }

  enum Failure: Error {
    case unreadable(HTTPFailure)
    case invalid(Invalid)
  }

  /// - Parameter body: A JSON object, a list of them, or several one after the other, as JSON lines have them.
  init(
    _ body: ByteBuffer, _ kind: EventKind, topic: String, maxRecords: Int, now: UnixTime, _ validators: ValidatorPool
  ) throws(Failure) {
    let ranges: [Range<Int>]
    do throws(HTTPFailure) {
      ranges = try body.withUnsafeReadableBytes { bytes in
        Result { () throws(HTTPFailure) in try Self.slices(bytes, maxRecords) }
      }.get()
    } catch {
      throw .unreadable(error)
    }
    let (records, problems) = validators.use { validator in
      Self.check(body, ranges, kind, topic: topic, now, validator)
    }
    guard problems.isEmpty else { throw .invalid(Invalid(recordCount: ranges.count, problems: problems)) }
    self.records = records
  }

  private static func check(
    _ body: ByteBuffer, _ ranges: [Range<Int>], _ kind: EventKind, topic: String, _ now: UnixTime,
    _ validator: RecordValidator
  ) -> ([OutgoingRecord], [RecordProblem]) {
    var records: [OutgoingRecord] = []
    records.reserveCapacity(ranges.count)
    var problems: [RecordProblem] = []
    for (index, range) in ranges.enumerated() {
      let value = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count)!
      switch value.withUnsafeReadableBytes({ validator.key(of: $0, kind, now: now) }) {
      case .success(let key):
        records.append(OutgoingRecord(topic: topic, partition: nil, key: ByteBuffer(bytes: key), value: value))
      case .failure(var problem):
        problem.index = index
        problems.append(problem)
      }
    }
    return (records, problems)
  }

  /// Where the records are.
  private static func slices(_ bytes: UnsafeRawBufferPointer, _ maxRecords: Int) throws(HTTPFailure) -> [Range<Int>] {
    var slices = JSONSlices(bytes)
    guard slices.peek() != nil else {
      throw HTTPFailure(.badRequest, "the body is empty; it must be a JSON object, a list of them, or JSON lines")
    }
    let isList = slices.take("[")
    if isList, slices.take("]") { throw HTTPFailure(.badRequest, "the list is empty; it must have a record") }
    var values: [Range<Int>] = []
    repeat {
      guard values.count < maxRecords else {
        throw HTTPFailure(
          .tooBig, "more than \(maxRecords) records in one request, which may not be in flight; send several requests")
      }
      guard let value = slices.value() else { throw malformed(slices, values.count) }
      values.append(value)
    } while isList ? slices.take(",") : slices.peek() != nil
    guard !isList || slices.take("]") && slices.peek() == nil else { throw malformed(slices, values.count) }
    return values
  }

  private static func malformed(_ slices: JSONSlices, _ record: Int) -> HTTPFailure {
    HTTPFailure(.badRequest, "malformed JSON at byte \(slices.position) of the body, in or behind record \(record)")
  }
}

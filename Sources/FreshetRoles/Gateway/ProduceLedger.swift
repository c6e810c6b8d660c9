import FreshetCore
import FreshetKafka

/// Which requests have records on their way to Kafka, what became of those that have arrived, and how many there may be. No I/O.
struct ProduceLedger: Sendable {
  struct Bounds: Sendable, Equatable {
    var records: Int
    /// Of keys and values.
    var bytes: Int
  }

  struct RequestID: Hashable, Sendable { let value: UInt32 }

  private struct Request {
    var deliveries: [KafkaDelivery?]
    var unsettled: Int
    let bytes: Int
  }

  private let bounds: Bounds
  private var requests: [RequestID: Request] = [:]
  private var lastRequest: UInt32 = 0
  /// Records that nobody knows yet what became of.
  private(set) var recordsInFlight = 0
  /// Bytes of all requests that have such records.
  private(set) var bytesInFlight = 0

  init(_ bounds: Bounds) { self.bounds = bounds }

  /// Takes a request in, whole or not at all.
  /// - Parameter records: At least one.
  mutating func admit(records: Int, bytes: Int) throws(WriteRefusal) -> RequestID {
    precondition(records > 0, "a request has a record")
    guard records <= bounds.records, bytes <= bounds.bytes else {
      throw WriteRefusal(
        kind: .tooLarge,
        message:
          "\(records) records of \(bytes) bytes in one request, at most \(bounds.records) of \(bounds.bytes) bytes may "
          + "be in flight; send several smaller requests")
    }
    guard recordsInFlight + records <= bounds.records, bytesInFlight + bytes <= bounds.bytes else {
      throw WriteRefusal(
        kind: .full,
        message:
          "\(recordsInFlight) records of \(bytesInFlight) bytes are in flight, which leaves no room for \(records) of "
          + "\(bytes) bytes; try again")
    }
    repeat {
      lastRequest = lastRequest == .max ? 1 : lastRequest + 1
    } while requests[RequestID(value: lastRequest)] != nil
    let id = RequestID(value: lastRequest)
    requests[id] = Request(deliveries: Array(repeating: nil, count: records), unsettled: records, bytes: bytes)
    recordsInFlight += records
    bytesInFlight += bytes
    return id
  }

  /// What a record is known by while it is on its way; never 0.
  static func tag(_ request: RequestID, record: Int) -> UInt { UInt(request.value) << 32 | UInt(record) }

  /// Notes what became of a record.
  /// - Returns: The request with all its deliveries, if this was its last one.
  mutating func settle(tag: UInt, _ delivery: KafkaDelivery) -> (request: RequestID, deliveries: [KafkaDelivery])? {
    let id = RequestID(value: UInt32(truncatingIfNeeded: tag >> 32))
    let record = Int(tag & 0xffff_ffff)
    guard requests[id] != nil else { return nil }
    precondition(requests[id]!.deliveries[record] == nil, "a record is delivered once")
    requests[id]!.deliveries[record] = delivery
    requests[id]!.unsettled -= 1
    recordsInFlight -= 1
    guard requests[id]!.unsettled == 0 else { return nil }
    let request = requests.removeValue(forKey: id)!
    bytesInFlight -= request.bytes
    return (id, request.deliveries.map { $0! })
  }

  /// Gives up everything that is on its way: what `settle` hears of it later is ignored.
  /// - Returns: The requests, with `delivery` for each record of which nothing is known.
  mutating func abandon(_ delivery: KafkaDelivery) -> [(request: RequestID, deliveries: [KafkaDelivery])] {
    let abandoned = requests.map { (request: $0.key, deliveries: $0.value.deliveries.map { $0 ?? delivery }) }
    requests.removeAll()
    recordsInFlight = 0
    bytesInFlight = 0
    return abandoned
  }
}

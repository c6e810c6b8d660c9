import FreshetCore
import FreshetKafka
import Logging
import NIOCore
import Synchronization

/// Writes the gateway's records with an idempotent producer, and answers when the broker has acknowledged them.
final class KafkaRecordSink: RecordSink {
  private typealias Written = Result<[KafkaDelivery], WriteRefusal>

  private struct State {
    var ledger: ProduceLedger
    var waiting: [ProduceLedger.RequestID: CheckedContinuation<Written, Never>] = [:]
    /// nil before the broker was reached, and at the end.
    var producer: KafkaTrackingProducer?
    var replacements = 0
  }

  private static let pollMs = 100
  private static let lingerMs = 1
  /// How long the records of a producer that failed may take to be given up.
  private static let purgeMs = 10_000

  private let kafka: KafkaConfiguration
  private let topics: [String]
  private let options: KafkaProducer.Options
  private let logger: Logger
  private let state: Mutex<State>

  init(_ kafka: KafkaConfiguration, topics: [String], timeoutMs: Int, bounds: ProduceLedger.Bounds, logger: Logger) {
    self.kafka = kafka
    self.topics = topics
    self.logger = logger
    var options = KafkaProducer.Options(transactionalID: nil)
    options.lingerMs = Self.lingerMs
    options.deliveryTimeoutMs = timeoutMs
    // The ledger's bounds come first: librdkafka lets go of a record only after it has told of it.
    options.queueRecords = min(bounds.records * 2, 10_000_000)
    options.queueKilobytes = min(bounds.bytes / 512 + 1024, 2_097_151)
    self.options = options
    state = Mutex(State(ledger: ProduceLedger(bounds)))
  }

  var inFlight: (records: Int, bytes: Int) {
    state.withLock { ($0.ledger.recordsInFlight, $0.ledger.bytesInFlight) }
  }

  /// How often the broker lost track of a producer, so that another one took its place.
  var replacements: Int { state.withLock { $0.replacements } }

  func write(_ records: [OutgoingRecord]) async throws(WriteRefusal) -> [KafkaDelivery] {
    let bytes = records.reduce(0) { $0 + $1.byteCount }
    let result: Written = await withCheckedContinuation { continuation in
      let admitted = state.withLock { state in
        Result { () throws(WriteRefusal) -> (ProduceLedger.RequestID, KafkaTrackingProducer) in
          guard let producer = state.producer else {
            throw WriteRefusal(kind: .unavailable, message: "no broker can be written to now; try again")
          }
          let request = try state.ledger.admit(records: records.count, bytes: bytes)
          state.waiting[request] = continuation
          return (request, producer)
        }
      }
      switch admitted {
      case .success(let (request, producer)): send(records, of: request, with: producer)
      case .failure(let refusal): continuation.resume(returning: .failure(refusal))
      }
    }
    return try result.get()
  }

  private func send(
    _ records: [OutgoingRecord], of request: ProduceLedger.RequestID, with producer: KafkaTrackingProducer
  ) {
    for (index, record) in records.enumerated() {
      let tag = ProduceLedger.tag(request, record: index)
      do throws(KafkaError) {
        try Self.produce(record, tag, with: producer)
      } catch {
        settle(tag, .failed(error, mayBeWritten: false))
      }
    }
  }

  private static func produce(
    _ record: OutgoingRecord, _ tag: UInt, with producer: KafkaTrackingProducer
  ) throws(KafkaError) {
    let result: Result<Void, KafkaError> = withBytes(record.key) { key in
      withBytes(record.value) { value in
        Result { () throws(KafkaError) in
          try producer.produce(record.topic, partition: record.partition, key: key, value: value, tag: tag)
        }
      }
    }
    try result.get()
  }

  private static func withBytes<R>(_ buffer: ByteBuffer?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
    guard let buffer else { return body(nil) }
    return buffer.withUnsafeReadableBytes { body($0) }
  }

  private func settle(_ tag: UInt, _ delivery: KafkaDelivery) {
    let settled = state.withLock { state -> (CheckedContinuation<Written, Never>, [KafkaDelivery])? in
      guard let (request, deliveries) = state.ledger.settle(tag: tag, delivery),
        let waiting = state.waiting.removeValue(forKey: request)
      else { return nil }
      return (waiting, deliveries)
    }
    if let (waiting, deliveries) = settled { waiting.resume(returning: .success(deliveries)) }
  }

  // MARK: - The thread that polls

  /// Serves the producer until `isStopped`, and then until nothing is on its way. Blocks.
  func run(isStopped: () -> Bool) throws {
    defer { close() }
    try start()
    while !isStopped() || inFlight.records > 0 {
      guard let producer = state.withLock({ $0.producer }) else { return }
      producer.poll(timeoutMs: Self.pollMs)
      if let error = producer.fatalError { try replace(producer, error) }
    }
  }

  /// Takes nothing more. Who still waits, which is after a failure alone, is told that nothing is known.
  private func close() {
    let error = KafkaError(.deliveryFailed, "the gateway has given up on the broker", isRetriable: true)
    let abandoned = state.withLock { state in
      state.producer = nil
      return state.ledger.abandon(.failed(error, mayBeWritten: true)).compactMap { request, deliveries in
        state.waiting.removeValue(forKey: request).map { ($0, deliveries) }
      }
    }
    for (waiting, deliveries) in abandoned { waiting.resume(returning: .success(deliveries)) }
  }

  private func start() throws {
    let producer = try KafkaTrackingProducer(
      kafka, topics: topics, options: options, onError: { [logger] in logger.warning("\($0)") },
      onDelivery: { [self] tag, delivery in settle(tag, delivery) })
    state.withLock { $0.producer = producer }
  }

  /// Puts a new producer in the place of one that can do nothing any more, and gives up what that one had on its way.
  private func replace(_ producer: KafkaTrackingProducer, _ error: KafkaError) throws {
    logger.error("\(error); its records are given up, and a new producer goes on")
    try start()
    state.withLock { $0.replacements += 1 }
    producer.purge()
    let deadline = Instant.now().advanced(byMs: Self.purgeMs)
    while producer.recordsInFlight > 0 {
      producer.poll(timeoutMs: Self.pollMs)
      guard Instant.now() < deadline else { throw error }
    }
  }
}

import CRdKafka
import FreshetCore

/// A topic that a producer writes to, named once. Belongs to the producer that made it.
public struct KafkaProducerTopic: Sendable, Hashable {
  public let name: String
  let index: Int
}

/// Writes records: idempotent, acknowledged by all in-sync replicas, in transactions if it has a transactional id.
///
/// One thread at a time may use it. Delivery is asynchronous: what could not be written is handed to `onError` from
/// inside `produce`, `poll` and `flush`, and makes the next `flush` throw. Nothing of Freshet's is allocated per record.
public final class KafkaProducer {
  public struct Options: Sendable {
    /// Same id = same logical producer: a newer instance fences the older one. `nil`: no transactions.
    public var transactionalID: String?
    /// The broker aborts a transaction that stays open for longer, e.g. because its producer was killed.
    public var transactionTimeoutMs = 10_000
    /// How long a record may wait for company in its batch.
    public var lingerMs = 5
    public var batchBytes = 1_000_000
    /// Bounds of what waits to be sent or acknowledged; `produce` waits when one is reached.
    public var queueRecords = 100_000
    public var queueKilobytes = 32_768
    /// How long `produce` waits for room before it throws `queueFull`.
    public var maxBlockMs = 60_000
    /// After that a record that the broker has not acknowledged fails. Transactions use their own timeout.
    public var deliveryTimeoutMs = 120_000

    public init(transactionalID: String? = nil) { self.transactionalID = transactionalID }
  }

  /// Told of each record that could not be written, and of brokers in trouble (which librdkafka goes on trying).
  public var onError: ((KafkaError) -> Void)? {
    get { context.handler }
    set { context.handler = newValue }
  }
  /// Records that could not be written, since the producer was made.
  public var failedRecords: Int { context.failed }
  /// Records that `produce` took and nobody has acknowledged yet.
  public var recordsInFlight: Int { Int(rd_kafka_outq_len(handle.pointer)) }

  let handle: ClientHandle
  let context: ProducerContext
  public let options: Options
  private var topics: [OpaquePointer] = []
  private var topicNames: [String: Int] = [:]
  private var producedSincePoll = 0

  public init(_ configuration: KafkaConfiguration, options: Options = Options()) throws(KafkaError) {
    self.options = options
    context = ProducerContext(log: configuration.log)
    handle = try ClientHandle(
      RD_KAFKA_PRODUCER, configuration, settings: Self.settings(options, reportsEveryDelivery: false), context: context)
  }

  /// librdkafka's properties for idempotent writing.
  static func settings(_ options: Options, reportsEveryDelivery: Bool) -> [String: String] {
    var settings = [
      "enable.idempotence": "true",
      "acks": "all",
      // As Java's clients choose, so that producers in any language agree on a key's partition.
      "partitioner": "murmur2_random",
      "linger.ms": String(options.lingerMs),
      "batch.size": String(options.batchBytes),
      "queue.buffering.max.messages": String(options.queueRecords),
      "queue.buffering.max.kbytes": String(options.queueKilobytes),
      "delivery.report.only.error": reportsEveryDelivery ? "false" : "true",
    ]
    if let id = options.transactionalID {
      settings["transactional.id"] = id
      settings["transaction.timeout.ms"] = String(options.transactionTimeoutMs)
    } else {
      settings["message.timeout.ms"] = String(options.deliveryTimeoutMs)
    }
    return settings
  }

  deinit {
    // Records that were never flushed are dropped, which is what the caller asked for by not flushing.
    rd_kafka_purge(handle.pointer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
    for topic in topics { rd_kafka_topic_destroy(topic) }
  }

  /// The handle for a topic; asks no broker.
  public func topic(_ name: String) throws(KafkaError) -> KafkaProducerTopic {
    if let index = topicNames[name] { return KafkaProducerTopic(name: name, index: index) }
    guard let topic = rd_kafka_topic_new(handle.pointer, name, nil) else {
      throw KafkaError(rd_kafka_last_error(), doing: "open topic", fallback: .invalidArgument, topic: name)
    }
    topics.append(topic)
    topicNames[name] = topics.count - 1
    return KafkaProducerTopic(name: name, index: topics.count - 1)
  }

  /// Queues one record; librdkafka copies key and value.
  ///
  /// Waits while the queue is full, at most `maxBlockMs`.
  /// - Parameters:
  ///   - partition: `nil` chooses by the key's hash, or at random without a key.
  ///   - key: `nil` is a null key, which is not the same as an empty one.
  ///   - value: `nil` is a null value, a tombstone in a compacted topic.
  public func produce(
    _ topic: KafkaProducerTopic, partition: PartitionID?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?
  ) throws(KafkaError) {
    let target = topics[topic.index]
    let number = partition?.value ?? RD_KAFKA_PARTITION_UA
    // librdkafka takes a null pointer for a null value; an empty buffer may have one too.
    let valueStart = value.map { $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)! }
    let keyStart = key.map { $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)! }
    producedSincePoll += 1
    if producedSincePoll >= 1_024 { poll(timeoutMs: 0) }
    var deadline: Instant?
    while rd_kafka_produce(
      target, number, RD_KAFKA_MSG_F_COPY, UnsafeMutableRawPointer(mutating: valueStart), value?.count ?? 0, keyStart,
      key?.count ?? 0, nil) != 0
    {
      let error = rd_kafka_last_error()
      let now = Instant.now()
      let limit = deadline ?? now.advanced(byMs: options.maxBlockMs)
      deadline = limit
      guard error == RD_KAFKA_RESP_ERR__QUEUE_FULL, now < limit else {
        throw produceError(error, topic, partition, sizeBytes: (key?.count ?? 0) + (value?.count ?? 0))
      }
      poll(timeoutMs: 1)
    }
  }

  public func produce(
    _ topic: KafkaProducerTopic, partition: PartitionID?, key: [UInt8]?, value: [UInt8]?
  ) throws(KafkaError) {
    let result: Result<Void, KafkaError> = withBytes(key) { key in
      withBytes(value) { value in
        do throws(KafkaError) {
          return .success(try produce(topic, partition: partition, key: key, value: value))
        } catch {
          return .failure(error)
        }
      }
    }
    try result.get()
  }

  private func produceError(
    _ error: rd_kafka_resp_err_t, _ topic: KafkaProducerTopic, _ partition: PartitionID?, sizeBytes: Int
  ) -> KafkaError {
    if error == RD_KAFKA_RESP_ERR__FATAL, let fatal = ClientHandle.fatalError(of: handle.pointer) { return fatal }
    let tooLarge = "a record of \(sizeBytes) bytes is larger than `message.max.bytes`"
    return KafkaError(
      error, doing: "produce to", detail: error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? tooLarge : nil,
      topic: topic.name, partition: partition)
  }

  /// Takes delivery failures and broker errors from librdkafka; waits for the first, at most `timeoutMs`.
  public func poll(timeoutMs: Int) {
    producedSincePoll = 0
    rd_kafka_poll(handle.pointer, Int32(clamping: timeoutMs))
  }

  /// Waits until everything produced has been acknowledged.
  ///
  /// Throws `timedOut` if that takes too long (call it again to go on waiting), and the first delivery failure since
  /// the last call if any record could not be written.
  public func flush(timeoutMs: Int) throws(KafkaError) {
    let error = rd_kafka_flush(handle.pointer, Int32(clamping: timeoutMs))
    try context.throwFailures()
    if let fatal = ClientHandle.fatalError(of: handle.pointer) { throw fatal }
    guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    throw KafkaError(error, doing: "flush", detail: "\(recordsInFlight) records not acknowledged in \(timeoutMs) ms")
  }
}

private func withBytes<R>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
  guard let bytes else { return body(nil) }
  return bytes.withUnsafeBytes { body($0) }
}

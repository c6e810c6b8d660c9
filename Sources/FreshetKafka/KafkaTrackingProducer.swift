import CRdKafka
import FreshetCore

/// Writes records, idempotent and acknowledged by all in-sync replicas, and tells of each what became of it.
///
/// Any thread may produce; one thread polls, and `onDelivery` is called from inside its `poll`.
/// @unchecked: librdkafka's functions lock for themselves; what is stored here does not change after `init`, and the context's
/// callbacks run inside `poll`.
public final class KafkaTrackingProducer: @unchecked Sendable {
  /// - Parameter tag: What `produce` was given with the record.
  public typealias OnDelivery = @Sendable (_ tag: UInt, _ delivery: KafkaDelivery) -> Void

  private let handle: ClientHandle
  private let topics: [String: OpaquePointer]

  /// - Parameters:
  ///   - topics: All that will be written to.
  ///   - options: Without a transactional id; `produce` never waits, so `maxBlockMs` means nothing.
  ///   - onError: Told of brokers in trouble, which librdkafka goes on trying, and of the fatal error.
  public init(
    _ configuration: KafkaConfiguration, topics names: [String], options: KafkaProducer.Options,
    onError: @escaping @Sendable (KafkaError) -> Void, onDelivery: @escaping OnDelivery
  ) throws(KafkaError) {
    precondition(options.transactionalID == nil, "deliveries are tracked outside transactions")
    handle = try ClientHandle(
      RD_KAFKA_PRODUCER, configuration, settings: KafkaProducer.settings(options, reportsEveryDelivery: true),
      context: TrackingContext(log: configuration.log, onError: onError, onDelivery: onDelivery))
    var topics: [String: OpaquePointer] = [:]
    for name in Set(names) {
      guard let topic = rd_kafka_topic_new(handle.pointer, name, nil) else {
        let error = rd_kafka_last_error()
        for topic in topics.values { rd_kafka_topic_destroy(topic) }
        throw KafkaError(error, doing: "open topic", fallback: .invalidArgument, topic: name)
      }
      topics[name] = topic
    }
    self.topics = topics
  }

  deinit {
    rd_kafka_purge(handle.pointer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
    for topic in topics.values { rd_kafka_topic_destroy(topic) }
  }

  /// Records of which `onDelivery` has not told yet.
  public var recordsInFlight: Int { Int(rd_kafka_outq_len(handle.pointer)) }
  /// The producer can do nothing any more, because the broker lost track of it; a new one can.
  public var fatalError: KafkaError? { ClientHandle.fatalError(of: handle.pointer) }

  /// Queues one record; librdkafka copies key and value. Does not wait.
  /// - Parameters:
  ///   - topic: One of those of `init`.
  ///   - partition: `nil` chooses by the key's hash, or at random without a key.
  /// - Throws: What keeps it from being queued; nothing has been sent, and `onDelivery` will not be called.
  public func produce(
    _ topic: String, partition: PartitionID?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, tag: UInt
  ) throws(KafkaError) {
    guard let target = topics[topic] else { preconditionFailure("\(topic) is none of this producer's topics") }
    // librdkafka takes a null pointer for a null value; an empty buffer may have one too.
    let valueStart = value.map { $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)! }
    let keyStart = key.map { $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)! }
    let result = rd_kafka_produce(
      target, partition?.value ?? RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
      UnsafeMutableRawPointer(mutating: valueStart), value?.count ?? 0, keyStart, key?.count ?? 0,
      UnsafeMutableRawPointer(bitPattern: tag))
    guard result != 0 else { return }
    let error = rd_kafka_last_error()
    if error == RD_KAFKA_RESP_ERR__FATAL, let fatal = fatalError { throw fatal }
    let size = (key?.count ?? 0) + (value?.count ?? 0)
    throw KafkaError(
      error, doing: "write to",
      detail: error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
        ? "a record of \(size) bytes is larger than `message.max.bytes`" : nil,
      topic: topic, partition: partition)
  }

  /// Waits for deliveries, at most `timeoutMs`, and hands on all that have come.
  public func poll(timeoutMs: Int) { rd_kafka_poll(handle.pointer, Int32(clamping: timeoutMs)) }

  /// Gives up on everything that is under way: `poll` tells of each record that it failed.
  public func purge() { rd_kafka_purge(handle.pointer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT) }
}

/// @unchecked: see `ClientContext`; nothing here changes.
private final class TrackingContext: ClientContext, @unchecked Sendable {
  private let handler: @Sendable (KafkaError) -> Void
  private let deliver: KafkaTrackingProducer.OnDelivery

  init(
    log: (@Sendable (KafkaLogLine) -> Void)?, onError: @escaping @Sendable (KafkaError) -> Void,
    onDelivery: @escaping KafkaTrackingProducer.OnDelivery
  ) {
    handler = onError
    deliver = onDelivery
    super.init(log: log)
  }

  override func onError(_ error: KafkaError) { handler(error) }

  override func onDelivery(_ message: UnsafePointer<rd_kafka_message_t>) {
    deliver(UInt(bitPattern: message.pointee._private), KafkaDelivery(message))
  }
}

import CRdKafka
import FreshetCore

extension KafkaError {
  /// - Parameters:
  ///   - doing: What was being done, to start the message with: "commit", "seek".
  ///   - reason: The reason to report when the code alone does not tell one.
  init(
    _ error: rd_kafka_resp_err_t, doing: String, detail: String? = nil, fallback reason: Reason = .broker,
    topic: String? = nil, partition: PartitionID? = nil, offset: Offset? = nil, isRetriable: Bool? = nil,
    isFatal: Bool = false, requiresAbort: Bool = false
  ) {
    var place = ""
    if let topic { place += " \(topic)" }
    if let partition { place += "/\(partition)" }
    if let offset { place += "@\(offset)" }
    let text = detail ?? String(cString: rd_kafka_err2str(error))
    let specific = KafkaError.reason(of: error)
    self.init(
      specific ?? reason, "\(doing)\(place): \(text)", topic: topic, partition: partition, offset: offset,
      broker: KafkaError.brokerAddress(in: text), errorCode: error.rawValue,
      errorName: String(cString: rd_kafka_err2name(error)),
      isRetriable: isRetriable ?? KafkaError.isTransient(error),
      isFatal: isFatal || specific == .fenced || error == RD_KAFKA_RESP_ERR__FATAL, requiresAbort: requiresAbort)
  }

  /// Takes over the error object and destroys it.
  init(consuming error: OpaquePointer, doing: String, fallback: Reason) {
    defer { rd_kafka_error_destroy(error) }
    self.init(
      rd_kafka_error_code(error), doing: doing, detail: String(cString: rd_kafka_error_string(error)),
      fallback: fallback, isRetriable: rd_kafka_error_is_retriable(error) != 0,
      isFatal: rd_kafka_error_is_fatal(error) != 0, requiresAbort: rd_kafka_error_txn_requires_abort(error) != 0)
  }

  private static func reason(of error: rd_kafka_resp_err_t) -> Reason? {
    switch error {
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE:
      .brokerUnreachable
    case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      .authentication
    case RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      .timedOut
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: .messageTooLarge
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: .queueFull
    case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      .fenced
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
      RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      .unknownTopic
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: .offsetOutOfRange
    default: nil
    }
  }

  private static func isTransient(_ error: rd_kafka_resp_err_t) -> Bool {
    switch error {
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE,
      RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, RD_KAFKA_RESP_ERR__QUEUE_FULL,
      RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR__STATE, RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS,
      RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
      RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
      RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
      RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
      RD_KAFKA_RESP_ERR_NOT_CONTROLLER, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
      true
    default: false
    }
  }

  /// librdkafka starts a broker's error with its name: `host:port/3: …`, `sasl_ssl://host:port/bootstrap: …`.
  static func brokerAddress(in text: String) -> String? {
    guard let colon = text.utf8.indices.first(where: { text[$0...].utf8.starts(with: ": ".utf8) }) else { return nil }
    var name = text[..<colon]
    if let scheme = name.utf8.indices.first(where: { name[$0...].utf8.starts(with: "://".utf8) }) {
      name = name[name.utf8.index(scheme, offsetBy: 3)...]
    }
    let address = name.prefix { $0 != "/" }
    guard let port = address.lastIndex(of: ":"), UInt16(address[address.index(after: port)...]) != nil,
      !address.contains(" ")
    else { return nil }
    return String(address)
  }

  /// librdkafka starts an error about a partition with `topic [3]: …`.
  static func topicPartition(in text: String) -> KafkaTopicPartition? {
    guard let end = text.firstIndex(of: "]"), let start = text[..<end].lastIndex(of: "["),
      let number = Int32(text[text.index(after: start)..<end]), text[end...].hasPrefix("]: ")
    else { return nil }
    let topic = text[..<start].split(separator: " ")
    guard topic.count == 1 else { return nil }
    return KafkaTopicPartition(String(topic[0]), PartitionID(number))
  }
}

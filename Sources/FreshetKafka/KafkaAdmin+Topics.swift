import CRdKafka
import FreshetCore

/// A topic as it is to be.
public struct KafkaTopicSpecification: Sendable, Hashable {
  public let name: String
  public let partitions: Int
  /// −1 leaves it to the broker.
  public let replicationFactor: Int
  /// Topic properties of the broker, e.g. `cleanup.policy`: `compact`.
  public let properties: [String: String]

  public init(_ name: String, partitions: Int, replicationFactor: Int, properties: [String: String]) {
    self.name = name
    self.partitions = partitions
    self.replicationFactor = replicationFactor
    self.properties = properties
  }
}

extension KafkaAdmin {
  /// Creates the topics that do not exist yet, and returns once the cluster shows all of them.
  ///
  /// Calling it again changes nothing. A topic that exists with another number of partitions is an error
  /// (`partitionCountMismatch`); its properties are not compared.
  /// - Returns: Names of the topics that this call has created.
  @discardableResult
  public func createTopics(_ topics: [KafkaTopicSpecification], timeoutMs: Int) throws(KafkaError) -> [String] {
    let deadline = Instant.now().advanced(byMs: timeoutMs)
    let existing = try partitionCounts(timeoutMs: timeoutMs)
    try compare(topics, existing)
    let missing = topics.filter { existing[$0.name] == nil }
    guard !missing.isEmpty else { return [] }
    let created = try create(missing, timeoutMs: timeoutMs)
    while true {
      let counts = try partitionCounts(timeoutMs: timeoutMs)
      if topics.allSatisfy({ counts[$0.name] != nil }) {
        try compare(topics, counts)
        return created
      }
      guard Instant.now() < deadline else {
        let absent = topics.first { counts[$0.name] == nil }!.name
        throw KafkaError(
          .timedOut, "topic \(absent) has been created, but the cluster does not show it after \(timeoutMs) ms",
          topic: absent, isRetriable: true)
      }
      rd_kafka_poll(handle.pointer, 20)
    }
  }

  private func compare(_ topics: [KafkaTopicSpecification], _ counts: [String: Int]) throws(KafkaError) {
    for topic in topics {
      guard let count = counts[topic.name], count != topic.partitions else { continue }
      throw KafkaError(
        .partitionCountMismatch,
        "topic \(topic.name) has \(count) partitions, the configuration says \(topic.partitions): "
          + "change the configuration to \(count), or delete the topic with its records and have it made anew. Adding "
          + "partitions to a topic with records spreads those of one key over two", topic: topic.name)
    }
  }

  private func create(_ topics: [KafkaTopicSpecification], timeoutMs: Int) throws(KafkaError) -> [String] {
    var requests: [OpaquePointer?] = []
    defer { for request in requests { rd_kafka_NewTopic_destroy(request) } }
    for topic in topics {
      let (request, text) = withErrorText {
        rd_kafka_NewTopic_new(
          topic.name, Int32(clamping: topic.partitions), Int32(clamping: topic.replicationFactor), $0, $1)
      }
      guard let request else {
        throw KafkaError(.invalidArgument, "create topic \(topic.name): \(text)", topic: topic.name)
      }
      requests.append(request)
      for (name, value) in topic.properties { rd_kafka_NewTopic_set_config(request, name, value) }
    }
    let options = rd_kafka_AdminOptions_new(handle.pointer, RD_KAFKA_ADMIN_OP_CREATETOPICS)
    defer { rd_kafka_AdminOptions_destroy(options) }
    _ = withErrorText { rd_kafka_AdminOptions_set_request_timeout(options, Int32(clamping: timeoutMs), $0, $1) }
    let answers = rd_kafka_queue_new(handle.pointer)
    defer { rd_kafka_queue_destroy(answers) }
    rd_kafka_CreateTopics(handle.pointer, &requests, requests.count, options, answers)
    guard let event = rd_kafka_queue_poll(answers, Int32(clamping: timeoutMs + 1_000)) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, doing: "create topics")
    }
    defer { rd_kafka_event_destroy(event) }
    let error = rd_kafka_event_error(event)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let result = rd_kafka_event_CreateTopics_result(event) else {
      throw KafkaError(
        error, doing: "create topics", detail: rd_kafka_event_error_string(event).map { String(cString: $0) })
    }
    return try results(result)
  }

  private func results(_ result: OpaquePointer) throws(KafkaError) -> [String] {
    var count = 0
    guard let entries = rd_kafka_CreateTopics_result_topics(result, &count) else { return [] }
    var created: [String] = []
    for i in 0..<count {
      let name = rd_kafka_topic_result_name(entries[i]).map { String(cString: $0) } ?? ""
      let error = rd_kafka_topic_result_error(entries[i])
      switch error {
      case RD_KAFKA_RESP_ERR_NO_ERROR: created.append(name)
      case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: break
      default:
        throw KafkaError(
          error, doing: "create topic",
          detail: rd_kafka_topic_result_error_string(entries[i]).map { String(cString: $0) }, topic: name)
      }
    }
    return created
  }
}

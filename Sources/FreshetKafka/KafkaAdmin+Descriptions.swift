import CRdKafka
import FreshetCore

/// A topic as the cluster has it.
public struct KafkaTopicDescription: Sendable, Hashable {
  public struct Partition: Sendable, Hashable {
    public let id: PartitionID
    /// A broker's number; −1 while there is none.
    public let leader: Int32
    public let replicas: [Int32]
    public let inSync: [Int32]

    public init(id: PartitionID, leader: Int32, replicas: [Int32], inSync: [Int32]) {
      self.id = id
      self.leader = leader
      self.replicas = replicas
      self.inSync = inSync
    }
  }

  public let name: String
  /// By id.
  public let partitions: [Partition]
  /// The topic's properties, defaults included; those whose values are secret are left out.
  public internal(set) var properties: [String: String]

  public init(name: String, partitions: [Partition], properties: [String: String]) {
    self.name = name
    self.partitions = partitions
    self.properties = properties
  }
}

extension KafkaAdmin {
  /// Those of the topics that exist, with their properties.
  public func describe(_ names: Set<String>, timeoutMs: Int) throws(KafkaError) -> [String: KafkaTopicDescription] {
    var topics = try placed(names, timeoutMs: timeoutMs)
    guard !topics.isEmpty else { return topics }
    for (name, properties) in try properties(of: topics.keys.sorted(), timeoutMs: timeoutMs) {
      topics[name]?.properties = properties
    }
    return topics
  }

  private func placed(_ names: Set<String>, timeoutMs: Int) throws(KafkaError) -> [String: KafkaTopicDescription] {
    var answer: UnsafePointer<rd_kafka_metadata>?
    // All topics are asked for: asking for one by name makes some brokers create it.
    let error = rd_kafka_metadata(handle.pointer, 1, nil, &answer, Int32(clamping: timeoutMs))
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else { throw KafkaError(error, doing: "read metadata") }
    defer { rd_kafka_metadata_destroy(answer) }
    var topics: [String: KafkaTopicDescription] = [:]
    for i in 0..<Int(answer.pointee.topic_cnt) {
      let topic = answer.pointee.topics[i]
      guard topic.err == RD_KAFKA_RESP_ERR_NO_ERROR, let text = topic.topic else { continue }
      let name = String(cString: text)
      guard names.contains(name) else { continue }
      let partitions = (0..<Int(topic.partition_cnt)).map { number in
        let partition = topic.partitions[number]
        return KafkaTopicDescription.Partition(
          id: PartitionID(partition.id), leader: partition.leader,
          replicas: (0..<Int(partition.replica_cnt)).map { partition.replicas[$0] },
          inSync: (0..<Int(partition.isr_cnt)).map { partition.isrs[$0] })
      }
      topics[name] = KafkaTopicDescription(
        name: name, partitions: partitions.sorted { $0.id < $1.id }, properties: [:])
    }
    return topics
  }

  private func properties(of names: [String], timeoutMs: Int) throws(KafkaError) -> [String: [String: String]] {
    var resources: [OpaquePointer?] = names.map { rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, $0) }
    defer { rd_kafka_ConfigResource_destroy_array(&resources, resources.count) }
    let options = rd_kafka_AdminOptions_new(handle.pointer, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS)
    defer { rd_kafka_AdminOptions_destroy(options) }
    _ = withErrorText { rd_kafka_AdminOptions_set_request_timeout(options, Int32(clamping: timeoutMs), $0, $1) }
    let answers = rd_kafka_queue_new(handle.pointer)
    defer { rd_kafka_queue_destroy(answers) }
    rd_kafka_DescribeConfigs(handle.pointer, &resources, resources.count, options, answers)
    guard let event = rd_kafka_queue_poll(answers, Int32(clamping: timeoutMs + 1_000)) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, doing: "describe topics")
    }
    defer { rd_kafka_event_destroy(event) }
    let error = rd_kafka_event_error(event)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let result = rd_kafka_event_DescribeConfigs_result(event) else {
      throw KafkaError(
        error, doing: "describe topics", detail: rd_kafka_event_error_string(event).map { String(cString: $0) })
    }
    return Self.properties(in: result)
  }

  private static func properties(in result: OpaquePointer) -> [String: [String: String]] {
    var count = 0
    guard let resources = rd_kafka_DescribeConfigs_result_resources(result, &count) else { return [:] }
    var found: [String: [String: String]] = [:]
    for i in 0..<count {
      guard let name = rd_kafka_ConfigResource_name(resources[i]) else { continue }
      var entryCount = 0
      guard let entries = rd_kafka_ConfigResource_configs(resources[i], &entryCount) else { continue }
      var properties: [String: String] = [:]
      for j in 0..<entryCount where rd_kafka_ConfigEntry_is_sensitive(entries[j]) == 0 {
        guard let key = rd_kafka_ConfigEntry_name(entries[j]), let value = rd_kafka_ConfigEntry_value(entries[j]) else {
          continue
        }
        properties[String(cString: key)] = String(cString: value)
      }
      found[String(cString: name)] = properties
    }
    return found
  }
}

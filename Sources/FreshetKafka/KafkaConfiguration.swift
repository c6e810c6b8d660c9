import FreshetCore

/// How to reach the cluster: what every client of it shares.
public struct KafkaConfiguration: Sendable {
  /// `host:port`, several separated by commas.
  public var bootstrapServers: String
  /// Any librdkafka property (SASL, TLS, timeouts, `debug` …). They win over the adapter's own settings, except for
  /// those that its guarantees rest on: naming one of these is an error.
  public var properties: [String: String]
  /// What brokers log and account requests under.
  public var clientID: String
  /// Gets librdkafka's log lines, from any thread, one call at a time per client. `nil` drops them.
  public var log: (@Sendable (KafkaLogLine) -> Void)?

  public init(
    bootstrapServers: String, properties: [String: String] = [:], clientID: String = "freshet",
    log: (@Sendable (KafkaLogLine) -> Void)? = nil
  ) {
    self.bootstrapServers = bootstrapServers
    self.properties = properties
    self.clientID = clientID
    self.log = log
  }

  /// Throws unless librdkafka knows every property and accepts its value. Connects to nothing.
  public func validate() throws(KafkaError) {
    _ = try ClientConfiguration(self, settings: [:])
  }

  /// Properties that the adapter sets itself, and what to use instead.
  static let reserved: [String: String] = [
    "bootstrap.servers": "bootstrapServers",
    "metadata.broker.list": "bootstrapServers",
    "client.id": "clientID",
    "group.id": "the consumer's groupID",
    "transactional.id": "the producer's transactionalID",
    "enable.auto.commit": "commit(_:), which the adapter leaves to its caller",
    "enable.auto.offset.store": "commit(_:), which the adapter leaves to its caller",
    "enable.partition.eof": "the consumer's endOfPartitionEvents",
    "delivery.report.only.error": "the producer's flush, which reports what failed",
    "log.queue": "the log callback",
  ]
}

/// One line of librdkafka's own log.
public struct KafkaLogLine: Sendable {
  /// As in syslog: 3 error, 4 warning, 5 notice, 6 info, 7 debug.
  public let level: Int
  /// librdkafka's tag, e.g. `FAIL` or `REBALANCE`.
  public let facility: String
  public let message: String
}

/// One partition of one topic.
public struct KafkaTopicPartition: Hashable, Sendable, CustomStringConvertible {
  public let topic: String
  public let partition: PartitionID

  public init(_ topic: String, _ partition: PartitionID) {
    self.topic = topic
    self.partition = partition
  }

  public var description: String { "\(topic)/\(partition)" }
}

/// A place in a partition, with what was committed beside it.
public struct KafkaPosition: Hashable, Sendable {
  public let topicPartition: KafkaTopicPartition
  /// The next offset to read; `Offset.none` if there is none.
  public let offset: Offset
  /// At most `maxMetadataBytes` of text; empty if there is none.
  public let metadata: String

  /// What Apache Kafka accepts by default (`offset.metadata.max.bytes`).
  public static let maxMetadataBytes = 4096

  public init(_ topicPartition: KafkaTopicPartition, offset: Offset, metadata: String = "") {
    self.topicPartition = topicPartition
    self.offset = offset
    self.metadata = metadata
  }

  public init(_ topic: String, _ partition: PartitionID, offset: Offset, metadata: String = "") {
    self.init(KafkaTopicPartition(topic, partition), offset: offset, metadata: metadata)
  }
}

import FreshetCore
import FreshetKafka
import Logging

/// What every role that uses Kafka does before it starts.
public enum KafkaStartup {
  /// The adapter's configuration for a role; librdkafka's own warnings go to the role's log.
  public static func configuration(_ settings: KafkaSettings, clientID: String, logger: Logger) -> KafkaConfiguration {
    KafkaConfiguration(
      bootstrapServers: settings.bootstrapServers, properties: settings.properties, clientID: clientID
    ) { line in
      // Lost connections come as events as well; their lines would say everything twice. The rest is for those who set
      // librdkafka's `debug` property.
      let level: Logger.Level =
        line.level > 4 || line.facility == "FAIL" ? .debug : line.level > 3 ? .warning : .error
      logger.log(level: level, "kafka: \(line.message)")
    }
  }

  /// One of the cluster's topics as it is now.
  public struct Topic: Sendable, Equatable {
    public let name: String
    public let partitions: Int
    /// Whether it was made to be compacted, if it was created here.
    public let isCompacted: Bool
    public let isNew: Bool
  }

  /// Waits for a broker, and creates the topics that are missing.
  /// - Parameter failsFast: Whether to throw at the first failure instead of trying again.
  /// - Returns: All of the cluster's topics.
  /// - Throws: `KafkaError`, also when a topic exists with another number of partitions than configured.
  @discardableResult
  public static func prepare(
    _ settings: KafkaSettings, clientID: String, failsFast: Bool, logger: Logger, isStopped: () -> Bool
  ) throws -> [Topic] {
    let admin = try KafkaAdmin(configuration(settings, clientID: clientID, logger: logger))
    try admin.waitUntilReachable(
      attemptMs: 5_000, backoff: Backoff(baseMs: 250, capMs: 5_000, seed: UInt64.random(in: 0 ... .max))
    ) { failure in
      guard !failsFast, !isStopped() else { return false }
      logger.warning("\(failure.error.message); trying again", metadata: ["retry_in_ms": "\(failure.retryInMs)"])
      return true
    }
    let topics = try createTopics(settings, admin: admin)
    let created = topics.filter(\.isNew).map(\.name)
    if !created.isEmpty { logger.info("created topics", metadata: ["topics": "\(created.joined(separator: ","))"]) }
    return topics
  }

  /// Creates the cluster's topics that do not exist.
  ///
  /// Only the joined topics must have the configured number of partitions; `items`, those of enrichments, `validation` and `dead-letter` may
  /// have any.
  static func createTopics(_ settings: KafkaSettings, admin: KafkaAdmin) throws -> [Topic] {
    let wanted = specifications(settings)
    let existing = try admin.partitionCounts(timeoutMs: 30_000)
    let joined: Set = [settings.topics.features, settings.topics.actions, settings.topics.examples]
    let created = try admin.createTopics(
      wanted.filter { joined.contains($0.name) || existing[$0.name] == nil }, timeoutMs: 30_000)
    return wanted.map { topic in
      Topic(
        name: topic.name, partitions: existing[topic.name] ?? topic.partitions, isCompacted: !topic.properties.isEmpty,
        isNew: created.contains(topic.name))
    }
  }

  private static func specifications(_ settings: KafkaSettings) -> [KafkaTopicSpecification] {
    let topics = settings.topics
    func topic(_ name: String, partitions: Int, isCompacted: Bool) -> KafkaTopicSpecification {
      KafkaTopicSpecification(
        name, partitions: partitions, replicationFactor: settings.replicationFactor,
        properties: isCompacted ? ["cleanup.policy": "compact"] : [:])
    }
    let compacted = [topics.items] + topics.enrichments + [topics.validation].compactMap { $0 }
    return [topics.features, topics.actions, topics.examples].map {
      topic($0, partitions: settings.partitions, isCompacted: false)
    } + compacted.map { topic($0, partitions: 1, isCompacted: true) }
      + [topic(topics.deadLetter, partitions: 1, isCompacted: false)]
  }
}

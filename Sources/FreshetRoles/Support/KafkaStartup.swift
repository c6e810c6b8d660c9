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

  /// Waits for a broker, and creates the topics that are missing.
  /// - Parameter failsFast: Whether to throw at the first failure instead of trying again.
  /// - Throws: `KafkaError`, also when a topic exists with another number of partitions than configured.
  public static func prepare(
    _ settings: KafkaSettings, clientID: String, failsFast: Bool, logger: Logger, isStopped: () -> Bool
  ) throws {
    let admin = try KafkaAdmin(configuration(settings, clientID: clientID, logger: logger))
    try admin.waitUntilReachable(
      attemptMs: 5_000, backoff: Backoff(baseMs: 250, capMs: 5_000, seed: UInt64.random(in: 0 ... .max))
    ) { failure in
      guard !failsFast, !isStopped() else { return false }
      logger.warning("\(failure.error.message); trying again", metadata: ["retry_in_ms": "\(failure.retryInMs)"])
      return true
    }
    let created = try createTopics(settings, admin: admin)
    if !created.isEmpty { logger.info("created topics", metadata: ["topics": "\(created.joined(separator: ","))"]) }
  }

  /// Creates the cluster's topics that do not exist.
  ///
  /// Only the joined topics must have the configured number of partitions; `items`, those of enrichments, `validation` and `dead-letter` may
  /// have any.
  /// - Returns: The names of those that were created.
  static func createTopics(_ settings: KafkaSettings, admin: KafkaAdmin) throws -> [String] {
    let topics = settings.topics
    let existing = try admin.partitionCounts(timeoutMs: 30_000)
    func topic(_ name: String, partitions: Int, _ properties: [String: String]) -> KafkaTopicSpecification {
      KafkaTopicSpecification(
        name, partitions: partitions, replicationFactor: settings.replicationFactor, properties: properties)
    }
    var wanted = [topics.features, topics.actions, topics.examples].map {
      topic($0, partitions: settings.partitions, [:])
    }
    if existing[topics.items] == nil {
      wanted.append(topic(topics.items, partitions: 1, ["cleanup.policy": "compact"]))
    }
    for name in topics.enrichments + [topics.validation].compactMap({ $0 }) where existing[name] == nil {
      wanted.append(topic(name, partitions: 1, ["cleanup.policy": "compact"]))
    }
    if existing[topics.deadLetter] == nil { wanted.append(topic(topics.deadLetter, partitions: 1, [:])) }
    return try admin.createTopics(wanted, timeoutMs: 30_000)
  }
}

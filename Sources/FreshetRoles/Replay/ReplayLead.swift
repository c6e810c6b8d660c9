import FreshetCore
import FreshetKafka

/// Which consumers a replay must not leave too far behind.
public struct ReplayLead: Sendable {
  /// Records that may wait to be joined or trained on.
  public var maximum: Int
  public var joinerGroup: String
  public var trainerGroup: String
  public var examplesTopic: String

  public init(maximum: Int, joinerGroup: String, trainerGroup: String, examplesTopic: String) {
    self.maximum = maximum
    self.joinerGroup = joinerGroup
    self.trainerGroup = trainerGroup
    self.examplesTopic = examplesTopic
  }
}

/// Measures how many records wait in the topics, from what the groups have committed. One thread.
final class ReplayLeadGauge {
  /// A measurement costs a round trip for each partition.
  private static let intervalMs = 50.0
  private static let timeoutMs = 10_000

  private let maximum: Int
  private let groups: [(consumer: KafkaConsumer, partitions: [KafkaTopicPartition])]
  private var measured: Instant?
  private(set) var waiting = 0

  init(_ lead: ReplayLead, topics: ReplayTopics, kafka: KafkaConfiguration) throws {
    maximum = lead.maximum
    let counts = try KafkaAdmin(kafka).partitionCounts(timeoutMs: Self.timeoutMs)
    func group(_ name: String, _ topics: [String]) throws -> (KafkaConsumer, [KafkaTopicPartition]) {
      let partitions = topics.flatMap { topic in
        (0..<(counts[topic] ?? 0)).map { KafkaTopicPartition(topic, PartitionID(Int32($0))) }
      }
      // Never joins the group: it only asks what the group has committed.
      let options = KafkaConsumer.Options(groupID: name, offsetReset: .earliest, startPaused: true)
      return (try KafkaConsumer(kafka, options: options), partitions)
    }
    groups = [
      try group(lead.joinerGroup, [topics.features, topics.actions]),
      try group(lead.trainerGroup, [lead.examplesTopic]),
    ]
  }

  /// Whether the replay should wait.
  func isTooFarAhead(now: Instant) throws -> Bool {
    if let measured, now.milliseconds(since: measured) < Self.intervalMs { return waiting >= maximum }
    var sum: Int64 = 0
    for (consumer, partitions) in groups {
      for position in try consumer.committed(partitions, timeoutMs: Self.timeoutMs) {
        let watermarks = try consumer.queryWatermarks(position.topicPartition, timeoutMs: Self.timeoutMs)
        sum += max(0, watermarks.high.value - max(position.offset, watermarks.low).value)
      }
    }
    waiting = Int(sum)
    measured = now
    return waiting >= maximum
  }
}

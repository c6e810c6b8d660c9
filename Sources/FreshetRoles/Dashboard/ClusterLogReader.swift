import Foundation
import FreshetCore
import FreshetDashboard
import FreshetKafka
import FreshetModel
import Logging

/// Looks at the broker for the dashboard, on one thread: where topics end, what the joiners have committed, the last dead letters and
/// the items' titles. Joins no group, commits nothing and creates nothing.
final class ClusterLogReader {
  /// Of a partition of the dead letters, when the dashboard starts.
  private static let tailRecords: Int64 = 50
  private static let timeoutMs = 2_000
  private static let maximumRecordBytes = 1 << 20

  private let kafka: KafkaConfiguration
  private let topics: ClusterDescription.Topics
  private let joinerGroup: String
  private let intervalMs: Int
  private let desk: DashboardDesk
  private let logger: Logger
  private let reader = JSONRecordReader(maxBytes: maximumRecordBytes, maxDepth: 32)
  /// Where to go on in the dead letters when the broker comes back.
  private var nextLetters: [PartitionID: Offset] = [:]
  private var reported: String?

  init(_ configuration: FreshetConfiguration, desk: DashboardDesk, logger: Logger) {
    kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-dashboard", logger: logger)
    topics = ClusterDescription(configuration).topics
    joinerGroup = configuration.joiner.group
    intervalMs = configuration.dashboard.intervalMs
    self.desk = desk
    self.logger = logger
  }

  /// A broker that is away and topics that do not exist yet are waited for.
  func run(isStopped: () -> Bool) {
    var backoff = Backoff(baseMs: 500, capMs: 5_000, seed: UInt64.random(in: 0 ... .max))
    while !isStopped() {
      do {
        try follow(isStopped: isStopped) { backoff.reset() }
      } catch {
        note(error)
        let end = Instant.now().advanced(byMs: backoff.next())
        while !isStopped(), Instant.now() < end { Thread.sleep(forTimeInterval: 0.05) }
      }
    }
  }

  private func note(_ error: any Error) {
    let reason = (error as? any DescribedError)?.message ?? "\(error)"
    desk.handle(.logFailed(reason: reason))
    // Once for each reason, not for each attempt.
    if reported != reason { logger.warning("\(reason); the dashboard goes on without what Kafka tells") }
    reported = reason
  }

  private func follow(isStopped: () -> Bool, onAnswer: () -> Void) throws {
    let partitions = try findPartitions()
    // Of the joiners' group only to ask what it has committed. It reads nothing, so that nothing stands before its questions.
    let asking = try KafkaConsumer(
      kafka, options: KafkaConsumer.Options(groupID: joinerGroup, offsetReset: .earliest, startPaused: true))
    defer { asking.close() }
    var options = KafkaConsumer.Options(groupID: "freshet-dashboard", offsetReset: .earliest, startPaused: false)
    options.prefetchKilobytes = 1_024
    options.prefetchRecords = 1_000
    options.fetchWaitMs = 500
    let reading = try KafkaConsumer(kafka, options: options)
    defer { reading.close() }
    try reading.assign(try beginnings(partitions, asking))
    var next = Instant.now()
    while !isStopped() {
      if Instant.now() >= next {
        desk.handle(.log(try figures(partitions, asking)))
        reported = nil
        onAnswer()
        next = max(next.advanced(byMs: intervalMs), Instant.now())
      }
      try read(reading)
    }
  }

  /// By purpose.
  private func findPartitions() throws -> [String: [KafkaTopicPartition]] {
    let counts = try KafkaAdmin(kafka).partitionCounts(timeoutMs: Self.timeoutMs)
    var partitions: [String: [KafkaTopicPartition]] = [:]
    for (purpose, name) in topics.all {
      guard let count = counts[name], count > 0 else {
        throw KafkaError(
          .unknownTopic, "topic \(name) does not exist yet; joiners and `freshet ctl topics create` make it")
      }
      partitions[purpose] = (0..<count).map { KafkaTopicPartition(name, PartitionID(Int32($0))) }
    }
    return partitions
  }

  /// The items from their first record on, the dead letters from a little before their end, or from where they were read to.
  private func beginnings(
    _ partitions: [String: [KafkaTopicPartition]], _ asking: KafkaConsumer
  ) throws(KafkaError) -> [KafkaPosition] {
    var positions: [KafkaPosition] = []
    for partition in partitions["items"] ?? [] {
      let low = try asking.queryWatermarks(partition, timeoutMs: Self.timeoutMs).low
      positions.append(KafkaPosition(partition.topic, partition.partition, offset: low))
    }
    for partition in partitions["dead_letter"] ?? [] {
      let ends = try asking.queryWatermarks(partition, timeoutMs: Self.timeoutMs)
      let tail = max(ends.low, Offset(ends.high.value - Self.tailRecords))
      let known = nextLetters[partition.partition].map { $0 <= ends.high ? max($0, ends.low) : tail }
      positions.append(KafkaPosition(partition.topic, partition.partition, offset: known ?? tail))
    }
    return positions
  }

  private func figures(
    _ partitions: [String: [KafkaTopicPartition]], _ asking: KafkaConsumer
  ) throws(KafkaError) -> LogFigures {
    var figures: [String: TopicFigures] = [:]
    for (purpose, partitions) in partitions {
      var topic = TopicFigures(starts: [:], ends: [:], committed: nil)
      for partition in partitions {
        let marks = try asking.queryWatermarks(partition, timeoutMs: Self.timeoutMs)
        topic.starts[Int(partition.partition.value)] = marks.low.value
        topic.ends[Int(partition.partition.value)] = marks.high.value
      }
      figures[purpose] = topic
    }
    for purpose in ["features", "actions"] {
      let committed = try asking.committed(partitions[purpose] ?? [], timeoutMs: Self.timeoutMs)
      figures[purpose]?.committed = Dictionary(
        committed.map { (Int($0.topicPartition.partition.value), $0.offset.value) }, uniquingKeysWith: { $1 })
    }
    return LogFigures(topics: figures)
  }

  /// What has arrived, for at most a tenth of a second.
  private func read(_ reading: KafkaConsumer) throws {
    var failure: KafkaError?
    try reading.poll(
      maxRecords: 1_024, timeoutMs: 100,
      onEvent: { event in
        if case .error(let error) = event, error.isFatal || error.reason == .unknownTopic { failure = error }
      },
      onRecord: { record in
        if record.topic == topics.items {
          desk.takeItem(key: record.key, value: record.value, reader: reader)
          return
        }
        nextLetters[record.partition] = Offset(record.offset.value + 1)
        desk.handle(
          .deadLetter(
            DeadLetter(
              record: record.value ?? UnsafeRawBufferPointer(start: nil, count: 0),
              position: "\(record.topic) \(record.partition)@\(record.offset)", time: record.timestamp, reader: reader))
        )
      })
    if let failure { throw failure }
  }
}

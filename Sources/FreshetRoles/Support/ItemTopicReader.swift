import FreshetCore
import FreshetKafka

/// Reads the compacted `items` topic from its start, in step with whoever needs its records. One thread.
final class ItemTopicReader {
  private let consumer: KafkaConsumer
  private let topic: String
  private let partitions: [KafkaTopicPartition]
  /// Where a partition ended when its end was last reached. Beyond the last record there may be markers of transactions,
  /// so the position alone does not tell.
  private var ends: [PartitionID: Offset] = [:]

  /// - Throws: `KafkaError`; the topic must exist.
  init(_ configuration: KafkaConfiguration, topic: String, groupID: String) throws {
    self.topic = topic
    let admin = try KafkaAdmin(configuration)
    guard let count = try admin.partitionCount(of: topic, timeoutMs: 10_000) else {
      throw KafkaError(.unknownTopic, "topic \(topic) does not exist; create it with `freshet ctl topics create`")
    }
    partitions = (0..<count).map { KafkaTopicPartition(topic, PartitionID(Int32($0))) }
    var options = KafkaConsumer.Options(groupID: groupID, offsetReset: .earliest, startPaused: false)
    options.fetchWaitMs = 20
    options.endOfPartitionEvents = true
    options.prefetchKilobytes = 4_096
    consumer = try KafkaConsumer(configuration, options: options)
    var start: [KafkaPosition] = []
    for partition in partitions {
      let low = try consumer.queryWatermarks(partition, timeoutMs: 10_000).low
      start.append(KafkaPosition(topic, partition.partition, offset: low))
    }
    try consumer.assign(start)
  }

  /// Hands over what has arrived.
  func poll(timeoutMs: Int, onError: (KafkaError) -> Void, onRecord: (borrowing KafkaRecord) throws -> Void) throws {
    _ = try consumer.poll(
      maxRecords: 4096, timeoutMs: timeoutMs,
      onEvent: { event in
        switch event {
        case .endOfPartition(let partition, let offset): ends[partition.partition] = offset
        case .error(let error): onError(error)
        case .assigned, .revoked, .lost: break
        }
      }, onRecord: onRecord)
  }

  /// Reads until everything that was in the topic at the call has been handed over.
  /// - Returns: The time of the call.
  func readToEnd(
    isStopped: () -> Bool, onError: (KafkaError) -> Void, onRecord: (borrowing KafkaRecord) throws -> Void
  ) throws -> UnixTime {
    let asOf = UnixTime.now()
    for partition in partitions {
      let watermarks = try consumer.queryWatermarks(partition, timeoutMs: 10_000)
      guard watermarks.low < watermarks.high else { continue }
      while !isStopped(),
        max(try consumer.position(partition) ?? .none, ends[partition.partition] ?? .none) < watermarks.high
      {
        try poll(timeoutMs: 50, onError: onError, onRecord: onRecord)
      }
    }
    return asOf
  }

  func close() { consumer.close() }
}

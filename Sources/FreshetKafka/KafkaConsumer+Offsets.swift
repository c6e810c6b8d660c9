import CRdKafka
import FreshetCore

/// The first offset that a partition still has, and the one that its next record will get.
public struct KafkaWatermarks: Hashable, Sendable {
  public let low: Offset
  public let high: Offset
}

extension KafkaConsumer {
  /// Commits for the group, and waits until the broker has confirmed.
  /// - Parameter positions: The next offset to read of each partition.
  public func commit(_ positions: [KafkaPosition], timeoutMs: Int) throws(KafkaError) {
    try checkOpen()
    let list = try PartitionList(positions)
    let answers = rd_kafka_queue_new(handle.pointer)
    defer { rd_kafka_queue_destroy(answers) }
    let sent = rd_kafka_commit_queue(handle.pointer, list.pointer, answers, nil, nil)
    guard sent == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw KafkaError(sent, doing: "commit", fallback: .commitFailed)
    }
    guard let event = rd_kafka_queue_poll(answers, Int32(clamping: timeoutMs)) else {
      throw KafkaError(
        RD_KAFKA_RESP_ERR__TIMED_OUT, doing: "commit",
        detail: "group \(options.groupID): no answer in \(timeoutMs) ms")
    }
    defer { rd_kafka_event_destroy(event) }
    if let result = rd_kafka_event_topic_partition_list(event) { try throwCommitError(result) }
    let error = rd_kafka_event_error(event)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__NO_OFFSET else {
      throw KafkaError(error, doing: "commit", fallback: .commitFailed)
    }
  }

  /// Commits for the group without waiting; a failure comes as an `error` event (`commitFailed`).
  public func commitLater(_ positions: [KafkaPosition]) throws(KafkaError) {
    try checkOpen()
    let list = try PartitionList(positions)
    let error = rd_kafka_commit(handle.pointer, list.pointer, 1)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw KafkaError(error, doing: "commit", fallback: .commitFailed)
    }
  }

  /// What the group has committed; `Offset.none` where it has nothing.
  public func committed(_ partitions: [KafkaTopicPartition], timeoutMs: Int) throws(KafkaError) -> [KafkaPosition] {
    try checkOpen()
    let list = PartitionList(partitions)
    let error = rd_kafka_committed(handle.pointer, list.pointer, Int32(clamping: timeoutMs))
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(error, doing: "read committed offsets") }
    try list.throwFirstError(doing: "read committed offsets")
    return list.positions
  }

  /// Asks the broker. With open transactions `high` may be beyond what a read-committed consumer can see yet.
  public func queryWatermarks(
    _ partition: KafkaTopicPartition, timeoutMs: Int
  ) throws(KafkaError) -> KafkaWatermarks {
    try checkOpen()
    var low: Int64 = 0
    var high: Int64 = 0
    let error = rd_kafka_query_watermark_offsets(
      handle.pointer, partition.topic, partition.partition.value, &low, &high, Int32(clamping: timeoutMs))
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw KafkaError(
        error, doing: "query watermarks of", topic: partition.topic, partition: partition.partition)
    }
    return KafkaWatermarks(low: Offset(low), high: Offset(high))
  }

  private func throwCommitError(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws(KafkaError) {
    for i in 0..<Int(list.pointee.cnt) {
      let element = list.pointee.elems[i]
      guard element.err != RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
      throw KafkaError(
        element.err, doing: "commit", fallback: .commitFailed, topic: String(cString: element.topic),
        partition: PartitionID(element.partition), offset: Offset(element.offset))
    }
  }
}

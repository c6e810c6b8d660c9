import CRdKafka
import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension KafkaConsumer {
  /// The next record of the partition that is delivered is the first at or after `offset`, even within a running
  /// `poll`. A paused partition stays paused.
  ///
  /// Waits while librdkafka is still starting the partition, at most `timeoutMs`.
  public func seek(_ partition: KafkaTopicPartition, to offset: Offset, timeoutMs: Int = 10_000) throws(KafkaError) {
    guard offset >= Offset(0) else {
      throw KafkaError(
        .invalidArgument, "seek \(partition): there is no offset \(offset)", topic: partition.topic,
        partition: partition.partition, offset: offset)
    }
    let index = try assigned(partition)
    if partitions[index].needsRestart {
      try restart(index, at: offset)
    } else {
      try moveTo(offset, partition, timeoutMs: timeoutMs)
    }
    seeks += 1
    partitions[index].position = offset
    partitions[index].end = nil
    partitions[index].needsPosition = false
    partitions[index].needsRewind = false
    partitions[index].mutedBatch = batch
  }

  /// Delivers nothing more of the partition, even within a running `poll`, until `resume`.
  ///
  /// What has been fetched ahead is thrown away and fetched again later, so this is no means of flow control: to slow
  /// down, poll later or with a smaller `maxRecords`.
  public func pause(_ partition: KafkaTopicPartition) throws(KafkaError) {
    let index = try assigned(partition)
    guard !partitions[index].isPaused else { return }
    try switchPause(partition, to: true)
    partitions[index].isPaused = true
    partitions[index].mutedBatch = batch
  }

  /// Goes on with the record that the partition was paused before, or with the one that was sought since.
  public func resume(_ partition: KafkaTopicPartition) throws(KafkaError) {
    let index = try assigned(partition)
    guard partitions[index].isPaused else { return }
    guard !partitions[index].needsPosition else {
      throw KafkaError(
        .notPositioned, "resume \(partition): it began paused and has no position yet, seek first",
        topic: partition.topic, partition: partition.partition)
    }
    // librdkafka resumes after the last record that it handed out, which may be beyond the last delivered, or from
    // before a seek. So it is told where to go on.
    if let position = partitions[index].position { try moveTo(position, partition, timeoutMs: 10_000) }
    try switchPause(partition, to: false)
    wake(partition)
    partitions[index].isPaused = false
    partitions[index].needsRewind = false
    partitions[index].mutedBatch = batch
  }

  public func isPaused(_ partition: KafkaTopicPartition) throws(KafkaError) -> Bool {
    partitions[try assigned(partition)].isPaused
  }

  /// The offset of the next record to be delivered; `nil` before the first one if nobody has sought.
  public func position(_ partition: KafkaTopicPartition) throws(KafkaError) -> Offset? {
    partitions[try assigned(partition)].position
  }

  private func assigned(_ partition: KafkaTopicPartition) throws(KafkaError) -> Int {
    try checkOpen()
    if let index = partitions.index(of: partition) { return index }
    throw KafkaError(
      .notAssigned, "\(partition) is not assigned to this consumer", topic: partition.topic,
      partition: partition.partition)
  }

  private func switchPause(_ partition: KafkaTopicPartition, to paused: Bool) throws(KafkaError) {
    let list = PartitionList([partition])
    let doing = paused ? "pause" : "resume"
    let error =
      paused
      ? rd_kafka_pause_partitions(handle.pointer, list.pointer)
      : rd_kafka_resume_partitions(handle.pointer, list.pointer)
    try check(error, doing)
    try list.throwFirstError(doing: doing)
  }

  /// Makes librdkafka fetch the partition at once. Its broker thread sleeps up to a second and is not woken by seek and
  /// resume; a request to the broker wakes it. The answer does not matter, nor does it matter if there is none.
  private func wake(_ partition: KafkaTopicPartition) {
    var low: Int64 = 0
    var high: Int64 = 0
    rd_kafka_query_watermark_offsets(
      handle.pointer, partition.topic, partition.partition.value, &low, &high, 1_000)
  }

  /// Assigns everything anew, each partition where it is: the only way to start a partition again that has failed.
  private func restart(_ index: Int, at offset: Offset) throws(KafkaError) {
    let unknown = Int64(options.startPaused ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_INVALID)
    let list = PartitionList(partitions.all.map(\.topicPartition), offset: unknown)
    for i in partitions.all.indices {
      if let position = i == index ? offset : partitions[i].position { list.setOffset(position, at: i) }
    }
    try check(rd_kafka_assign(handle.pointer, list.pointer), "assign")
    partitions[index].needsRestart = false
    for other in partitions.all where other.isPaused { try switchPause(other.topicPartition, to: true) }
  }

  /// Moves librdkafka. Just after an assignment it refuses ("erroneous state") until the partition has started.
  ///
  /// Versions before 2.1 take the timeout for microseconds: they give up after 10 ms of 10,000, and a busy machine needs longer.
  /// The seek then still happens; another one to the same place waits for it.
  func moveTo(_ offset: Offset, _ partition: KafkaTopicPartition, timeoutMs: Int) throws(KafkaError) {
    let deadline = Instant.now().advanced(byMs: timeoutMs)
    while true {
      do throws(KafkaError) {
        return try moveOnce(offset, partition, timeoutMs: timeoutMs)
      } catch {
        let isUnderWay =
          error.errorCode == RD_KAFKA_RESP_ERR__TIMED_OUT.rawValue
          || error.errorCode == RD_KAFKA_RESP_ERR__STATE.rawValue
          || error.errorCode == RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS.rawValue
          || error.errorCode == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION.rawValue
        guard isUnderWay, Instant.now() < deadline else { throw error }
        usleep(1_000)
      }
    }
  }

  private func moveOnce(_ offset: Offset, _ partition: KafkaTopicPartition, timeoutMs: Int) throws(KafkaError) {
    let list = PartitionList([partition], offset: offset.value)
    if let error = rd_kafka_seek_partitions(handle.pointer, list.pointer, Int32(clamping: timeoutMs)) {
      throw KafkaError(consuming: error, doing: "seek \(partition)@\(offset)", fallback: .broker)
    }
    try list.throwFirstError(doing: "seek")
  }
}

import CRdKafka
import FreshetCore

extension KafkaConsumer {
  /// Delivers up to `maxRecords` records and whatever else has happened, in order.
  ///
  /// Waits up to `timeoutMs` for the first record or event, never for a full batch. Records are borrowed from
  /// librdkafka's memory, which is freed when the call returns. Both closures may call `seek`, `pause`, `resume`,
  /// `commit` and the rest, but not `poll` or `close`. If one of them throws, so does `poll`, and the next call begins
  /// with the record that it threw at, or after the event.
  /// - Returns: Records delivered.
  @discardableResult
  public func poll(
    maxRecords: Int, timeoutMs: Int, onEvent: (KafkaEvent) throws -> Void,
    onRecord: (borrowing KafkaRecord) throws -> Void
  ) throws -> Int {
    precondition(maxRecords > 0)
    try checkOpen()
    try rewind()
    let count = fill(maxRecords, timeoutMs: timeoutMs)
    batch += 1
    var delivered = 0
    var i = 0
    defer {
      for j in 0..<count {
        rd_kafka_message_destroy(slots[j])
        slots[j] = nil
      }
      context.endPoll()
    }
    do {
      while i < count {
        while let what = context.takeHappening(before: i) { try handle(what, onEvent) }
        if try deliver(slots[i]!, onEvent, onRecord) { delivered += 1 }
        i += 1
      }
      while let what = context.takeHappening(before: count) { try handle(what, onEvent) }
    } catch {
      for j in i..<count { keepForLater(slots[j]!) }
      throw error
    }
    return delivered
  }

  /// Moves what librdkafka has into `slots`.
  private func fill(_ maxRecords: Int, timeoutMs: Int) -> Int {
    if slots.count < maxRecords {
      slots.deallocate()
      slots = .allocate(capacity: maxRecords)
      slots.initialize(repeating: nil)
    }
    // Something that an earlier poll could not deliver is not to wait.
    let wait = context.happenings.isEmpty ? Int32(clamping: timeoutMs) : 0
    context.slots = slots
    context.isWaiting = true
    slots[0] = rd_kafka_consumer_poll(handle.pointer, wait)
    context.isWaiting = false
    // The batch call waits for a full batch if it is given time, so it is given none.
    guard slots[0] != nil, maxRecords > 1 else { return slots[0] == nil ? 0 : 1 }
    return 1 + max(0, rd_kafka_consume_batch_queue(queue, 0, slots.baseAddress! + 1, maxRecords - 1))
  }

  /// - Returns: Whether a record was delivered.
  private func deliver(
    _ message: UnsafeMutablePointer<rd_kafka_message_t>, _ onEvent: (KafkaEvent) throws -> Void,
    _ onRecord: (borrowing KafkaRecord) throws -> Void
  ) throws -> Bool {
    guard let topic = message.pointee.rkt else {
      if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR { try onEvent(.error(messageError(message))) }
      return false
    }
    let number = message.pointee.partition
    guard let index = partitions.index(topic: topic, partition: number) else {
      // An error may be about a topic that has no partition here; a record may not.
      if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR, message.pointee.err != RD_KAFKA_RESP_ERR__PARTITION_EOF {
        try onEvent(.error(messageError(message)))
      }
      return false
    }
    let offset = Offset(message.pointee.offset)
    guard partitions[index].mutedBatch != batch, !partitions[index].isPaused, !partitions[index].needsRewind else {
      if partitions[index].position == nil { partitions[index].position = offset }
      return false
    }
    if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR {
      if message.pointee.err == RD_KAFKA_RESP_ERR__PARTITION_EOF {
        partitions[index].end = offset
        try onEvent(.endOfPartition(partitions[index].topicPartition, offset: offset))
      } else {
        let error = messageError(message)
        if error.reason == .offsetOutOfRange { partitions[index].needsRestart = true }
        try onEvent(.error(error))
      }
      return false
    }
    if let position = partitions[index].position, offset < position { return false }
    let seeksBefore = seeks
    partitions[index].position = Offset(offset.value + 1)
    do {
      try onRecord(KafkaRecord(message, topic: partitions[index].topicPartition.topic))
    } catch {
      // Unless the closure has said where to go on, it is this record again.
      if seeks == seeksBefore {
        partitions[index].position = offset
        partitions[index].needsRewind = true
      }
      throw error
    }
    return true
  }

  private func messageError(_ message: UnsafeMutablePointer<rd_kafka_message_t>) -> KafkaError {
    let raw = message.pointee
    // An error's payload is its text.
    let detail = raw.payload.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: raw.len), as: UTF8.self) }
    return KafkaError(
      raw.err, doing: "consume", detail: detail, topic: raw.rkt.map { String(cString: rd_kafka_topic_name($0)) },
      partition: raw.partition < 0 ? nil : PartitionID(raw.partition), offset: raw.offset < 0 ? nil : Offset(raw.offset)
    )
  }

  private func handle(_ what: ConsumerContext.Happening, _ onEvent: (KafkaEvent) throws -> Void) throws {
    switch what {
    case .error(let error):
      try onEvent(.error(error))
    case .assign(let assigned):
      try take(assigned)
      try onEvent(.assigned(assigned))
    case .revoke(let revoked, let lost):
      // Whatever the handler does, the group waits for the partitions to be given back.
      defer {
        rd_kafka_assign(handle.pointer, nil)
        partitions.replace([])
      }
      try onEvent(lost ? .lost(revoked) : .revoked(revoked))
    }
  }

  /// Accepts what the group has assigned.
  private func take(_ assigned: [KafkaTopicPartition]) throws(KafkaError) {
    // A partition that begins paused needs no committed offset looked up: somebody will seek.
    let list = PartitionList(
      assigned, offset: Int64(options.startPaused ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_INVALID))
    try check(rd_kafka_assign(handle.pointer, list.pointer), "assign")
    partitions.replace(
      assigned.map {
        AssignedPartition(
          topicPartition: $0, position: nil, isPaused: options.startPaused, needsPosition: options.startPaused)
      })
    // What is paused delivers nothing anyway; pausing librdkafka too saves fetching in vain.
    if options.startPaused { try check(rd_kafka_pause_partitions(handle.pointer, list.pointer), "pause") }
  }

  /// Notes that librdkafka has handed out a record that nobody has seen.
  private func keepForLater(_ message: UnsafeMutablePointer<rd_kafka_message_t>) {
    guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR, let topic = message.pointee.rkt,
      let index = partitions.index(topic: topic, partition: message.pointee.partition)
    else { return }
    if partitions[index].position == nil { partitions[index].position = Offset(message.pointee.offset) }
    // A partition that was moved meanwhile is already where it has to be.
    if partitions[index].mutedBatch != batch { partitions[index].needsRewind = true }
  }

  /// Goes back to the first record that an earlier poll could not deliver.
  private func rewind() throws(KafkaError) {
    for i in partitions.all.indices where partitions[i].needsRewind {
      if let position = partitions[i].position {
        try moveTo(position, partitions[i].topicPartition, timeoutMs: 10_000)
      }
      partitions[i].needsRewind = false
    }
  }
}

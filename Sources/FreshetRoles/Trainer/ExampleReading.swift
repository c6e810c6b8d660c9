import FreshetCluster
import FreshetCore
import FreshetKafka
import FreshetModel
import Logging

/// What the feed's thread knows of the partitions that it reads, and how it reads them: from the archive, then from Kafka.
final class ExampleReading {
  private struct Partition {
    /// The stream or the pass that is read now.
    var current: PartitionID
    /// 0: nothing is read.
    var attempt: UInt64
    /// Examples that the trainer has not taken up yet.
    var outstanding = 0
    /// Of a pass, as long as its end has not been reached.
    var until: Offset?
    /// What is read before Kafka.
    var archive: ArchiveStream?

    init(_ current: PartitionID, attempt: UInt64) {
      self.current = current
      self.attempt = attempt
    }
  }

  private static let recordsPerPoll = 1024
  private static let pollMs = 5

  private let consumer: KafkaConsumer
  private let topic: String
  private let layout: ExampleLayout
  private let queuedExamples: Int
  private let archive: ArchivedExamples?
  private let deadLetters: DeadLetterWriter
  private let logger: Logger
  private let deliver: (ExampleFeed.Event) -> Void
  private let count: ((inout ExampleFeed.Statistics) -> Void) -> Void
  private var partitions: [PartitionID: Partition] = [:]
  private var batches: [PartitionID: ExampleBatch] = [:]
  /// Passes whose last example has been read and not been handed over.
  private var ended: Set<PartitionID> = []
  /// What there was when it was last asked for.
  private var archived: [PartitionID: ArchivedExamples.Part] = [:]
  private var logStarts: [PartitionID: Offset] = [:]

  init(
    consumer: KafkaConsumer, topic: String, layout: ExampleLayout, queuedExamples: Int, archive: ArchivedExamples?,
    deadLetters: DeadLetterWriter, logger: Logger, deliver: @escaping (ExampleFeed.Event) -> Void,
    count: @escaping ((inout ExampleFeed.Statistics) -> Void) -> Void
  ) {
    self.consumer = consumer
    self.topic = topic
    self.layout = layout
    self.queuedExamples = queuedExamples
    self.archive = archive
    self.deadLetters = deadLetters
    self.logger = logger
    self.deliver = deliver
    self.count = count
  }

  func begin() throws { try consumer.subscribe([topic]) }

  func end() throws {
    consumer.close()
    try deadLetters.flush(timeoutMs: 5_000)
  }

  /// Of what is assigned.
  var lags: [ConsumerLag] { consumer.lags }

  // MARK: - Commands

  /// - Returns: False if it is to be tried again.
  func perform(_ command: ExampleFeed.Command) throws -> Bool {
    switch command {
    case .locate(let partition, let attempt): return try locate(partition, attempt)
    case .fetch(let partition, let attempt, let from): return try fetch(partition, attempt, from, until: nil)
    case .fetchPass(let partition, let attempt, let from, let until):
      return try fetch(partition, attempt, from, until: until)
    case .stop(let partition): try stop(partition.stream)
    case .consumed(let partition, let attempt, let count):
      if partitions[partition.stream]?.attempt == attempt { partitions[partition.stream]!.outstanding -= count }
    case .commit(let partition, let offset):
      guard partitions[partition] != nil else { break }
      try consumer.commitLater([KafkaPosition(topic, partition, offset: offset)])
    }
    return true
  }

  private func place(_ partition: PartitionID) -> KafkaTopicPartition { KafkaTopicPartition(topic, partition) }

  private func locate(_ partition: PartitionID, _ attempt: UInt64) throws -> Bool {
    let stream = partition.stream
    let log: KafkaWatermarks
    let part: ArchivedExamples.Part?
    do {
      log = try consumer.queryWatermarks(place(stream), timeoutMs: 5_000)
      part = try archive?.part(of: stream)
    } catch let error as ArchiveError where error.kind != .store {
      throw error
    } catch {
      logger.warning("\(error)", metadata: ["partition": "\(stream)"])
      return false
    }
    var (start, end) = (log.low, log.high)
    if let part {
      guard part.end <= log.high else {
        throw ArchiveError(
          .gap,
          "\(place(stream)) ends at \(log.high), but the archive has offsets up to \(part.end): was the topic deleted and made "
            + "anew? Train without --from archive, or from the archive of this topic")
      }
      start = partition.pass > 0 ? part.start : min(log.low, part.start)
      if partition.pass > 0 { end = part.passEnd }
    } else if archive != nil, partition.pass > 0 {
      end = start
    }
    archived[stream] = part
    logStarts[stream] = log.low
    deliver(.located(partition, attempt: attempt, start: start, end: end))
    return true
  }

  private func fetch(_ partition: PartitionID, _ attempt: UInt64, _ from: Offset, until: Offset?) throws -> Bool {
    let stream = partition.stream
    guard partitions[stream] != nil else { return true }
    var state = Partition(partition, attempt: attempt)
    state.until = until
    if let until, from >= until {
      ended.insert(stream)
    } else if let archive, let part = archived[stream], part.start <= from, from < part.end {
      state.archive = archive.stream(part, from: from)
    } else if from < logStarts[stream] ?? .none {
      throw ArchiveError(
        .gap,
        "\(place(stream)) begins at \(logStarts[stream]!), and the archive has not what is before it: offsets \(from) ..< "
          + "\(logStarts[stream]!) are missing. Archive earlier, or lengthen the topic's retention")
    } else {
      guard try begin(place(stream), from) else { return false }
    }
    partitions[stream] = state
    return true
  }

  private func stop(_ partition: PartitionID) throws {
    guard partitions[partition] != nil else { return }
    partitions[partition] = Partition(partition, attempt: 0)
    ended.remove(partition)
    try consumer.pause(place(partition))
  }

  /// - Returns: False if the broker may allow it later.
  private func begin(_ partition: KafkaTopicPartition, _ from: Offset) throws -> Bool {
    do {
      try consumer.seek(partition, to: from)
      try consumer.resume(partition)
      return true
    } catch {
      // Lost meanwhile: the event that says so comes with the next poll.
      if error.reason == .notAssigned { return true }
      guard error.isRetriable || error.reason == .timedOut else { throw error }
      logger.warning("\(error); trying again", metadata: ["partition": "\(partition)"])
      return false
    }
  }

  // MARK: - Reading

  /// Reads what there is and hands it over.
  /// - Returns: False if there is no room for more.
  func step() throws -> Bool {
    guard partitions.values.allSatisfy({ $0.outstanding < queuedExamples }) else { return false }
    let readsArchive = partitions.values.contains { $0.archive != nil }
    _ = try consumer.poll(
      maxRecords: Self.recordsPerPoll, timeoutMs: readsArchive ? 0 : Self.pollMs,
      onEvent: { try handle($0) },
      onRecord: { record in
        let partition = record.partition
        if let until = partitions[partition]?.until, record.offset >= until {
          ended.insert(partition)
        } else {
          try append(record.value, partition, record.offset)
        }
      })
    if readsArchive {
      for partition in partitions.keys.sorted() where partitions[partition]!.archive != nil {
        try readArchive(partition)
      }
    }
    for partition in Array(batches.keys) { hand(partition) }
    batches.removeAll(keepingCapacity: true)
    for partition in ended { try endPass(partition) }
    ended.removeAll()
    deadLetters.poll()
    return true
  }

  private func handle(_ event: KafkaEvent) throws(KafkaError) {
    switch event {
    case .assigned(let assigned):
      logger.info("assigned", metadata: ["partitions": "\(assigned.map { "\($0.partition)" }.joined(separator: ","))"])
      for entry in assigned {
        partitions[entry.partition] = Partition(entry.partition, attempt: 0)
        deliver(.assigned(entry.partition))
      }
    case .revoked(let revoked), .lost(let revoked):
      logger.info("revoked", metadata: ["partitions": "\(revoked.map { "\($0.partition)" }.joined(separator: ","))"])
      for entry in revoked {
        partitions[entry.partition] = nil
        batches[entry.partition] = nil
        ended.remove(entry.partition)
        deliver(.revoked(entry.partition))
      }
    case .endOfPartition(let entry, let offset):
      // Beyond its last record a log may have markers of transactions.
      if let state = partitions[entry.partition], state.archive == nil, let until = state.until, offset >= until {
        ended.insert(entry.partition)
      }
    case .error(let error):
      if error.isFatal { throw error }
      logger.warning("\(error)")
      if error.reason == .offsetOutOfRange, let partition = error.partition, let state = partitions[partition] {
        deliver(.unreadable(state.current, attempt: state.attempt, reason: "\(error)"))
      }
    }
  }

  /// Reads a block of the archive; behind its last one, the stream goes on in Kafka.
  private func readArchive(_ partition: PartitionID) throws {
    let until = partitions[partition]!.until ?? Offset(.max)
    // Taken out, since the records go where the partition is.
    var stream = partitions[partition]!.archive!
    do {
      let hasMore = try stream.next { record in
        if record.offset < until { try append(record.value, partition, record.offset) }
      }
      partitions[partition]!.archive = stream
      if stream.position >= until {
        partitions[partition]!.archive = nil
        ended.insert(partition)
      } else if !hasMore, try begin(place(partition), stream.position) {
        partitions[partition]!.archive = nil
        logger.info(
          "the archive is read; going on in the log",
          metadata: ["partition": "\(partition)", "from": "\(stream.position)"])
      }
    } catch let error as ArchiveError where error.kind == .store {
      batches[partition] = nil
      let state = partitions[partition]!
      partitions[partition] = Partition(partition, attempt: 0)
      logger.warning("\(error)", metadata: ["partition": "\(partition)"])
      deliver(.unreadable(state.current, attempt: state.attempt, reason: "\(error)"))
    }
  }

  private func append(_ value: UnsafeRawBufferPointer?, _ partition: PartitionID, _ offset: Offset) throws {
    if batches[partition]?.isFull == true { hand(partition) }
    if batches[partition] == nil {
      batches[partition] = ExampleBatch(layout: layout, capacity: Self.recordsPerPoll)
    }
    do {
      guard let value else { throw ExampleError(kind: .malformed, message: "the record has no value") }
      try batches[partition]!.append(value, offset: offset.value)
      count { $0.examplesRead += 1 }
    } catch let error as ExampleError where error.kind != .schemaMismatch {
      count { $0.deadLetters += 1 }
      try deadLetters.write(
        DeadLetterRecord(
          code: error.code, reason: error.message, role: "trainer", topic: topic, partition: partition, offset: offset,
          payload: value.map { Array($0) }))
    }
  }

  private func hand(_ partition: PartitionID) {
    guard let batch = batches.removeValue(forKey: partition), !batch.isEmpty, let state = partitions[partition],
      state.attempt != 0
    else { return }
    partitions[partition]!.outstanding += batch.count
    deliver(.examples(state.current, attempt: state.attempt, batch))
  }

  private func endPass(_ partition: PartitionID) throws {
    guard let state = partitions[partition], state.attempt != 0, state.until != nil else { return }
    partitions[partition]!.until = nil
    // Until the next fetch says otherwise nothing of the partition is wanted.
    try consumer.pause(place(partition))
    deliver(.passEnded(state.current, attempt: state.attempt))
  }
}

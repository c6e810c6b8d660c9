import Foundation
import FreshetCluster
import FreshetCore
import FreshetKafka
import FreshetStore
import Logging

/// The archive's thread: reads the topics, feeds the partitions' machines, and does with the store what they want.
///
/// The store blocks the thread, and with it the reading: there is no queue between them.
final class ArchiveLoop {
  private static let recordsPerPoll = 4096
  private static let pollMs = 20
  private static let callTimeoutMs = 5_000
  /// How often a partition is asked whether something is due.
  private static let tickMs = 50.0
  /// How often a partition that could not be taken up is tried again.
  private static let retryMs = 1_000.0
  /// A store that is slow for longer than this costs the partitions.
  private static let pollIntervalMs = 60_000

  private final class Partition {
    let machine: ArchivePartition
    /// The file that is being written, and its name.
    var file: (writer: any FileStoreWriter, name: String)?
    /// Whether the broker had nothing more when it was last heard of.
    var isAtEnd = false
    var lastTick = Instant.now()

    init(_ machine: ArchivePartition) { self.machine = machine }
  }

  private let topics: [ArchivedTopic]
  private let settings: ArchiveSettings
  private let allowsGap: Bool
  private let store: any FileStore
  private let compressor = ZstdCompressor(level: 3)
  private let consumer: KafkaConsumer
  private let status: ArchiveStatus
  private let logger: Logger
  private var partitions: [KafkaTopicPartition: Partition] = [:]
  /// Assigned, but not taken up yet, and when that was last tried.
  private var waiting: [KafkaTopicPartition: Instant] = [:]
  private var lagAsked = Instant(nanoseconds: 0)

  init(
    configuration: FreshetConfiguration, topics: [ArchivedTopic], instance: String?, allowsGap: Bool,
    status: ArchiveStatus, logger: Logger
  ) throws {
    self.topics = topics
    self.allowsGap = allowsGap
    self.status = status
    self.logger = logger
    settings = configuration.archive.machine
    guard
      let store = try SnapshotStore.open(
        configuration.archive, for: .writing,
        onRetry: { [logger, status] reason in
          status.update { $0.retriedRequests += 1 }
          logger.warning("\(reason)")
        })
    else { throw UsageError("archive.store is not set") }
    self.store = store
    let kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-archive", logger: logger)
    var options = KafkaConsumer.Options(
      groupID: configuration.archive.group, offsetReset: .error, startPaused: true)
    options.endOfPartitionEvents = true
    options.groupInstanceID = instance
    options.pollIntervalMs = Self.pollIntervalMs
    consumer = try KafkaConsumer(kafka, options: options)
  }

  func run(isStopped: () -> Bool) throws {
    try consumer.subscribe(topics.map(\.name))
    while !isStopped() { try step(isStopped) }
    // A file that is not complete is written again by the next life: half of it would be cut where the log does not say.
    for key in partitions.keys { retire(key) }
    consumer.close()
  }

  private func step(_ isStopped: () -> Bool) throws {
    var events: [KafkaEvent] = []
    _ = try consumer.poll(
      maxRecords: Self.recordsPerPoll, timeoutMs: Self.pollMs,
      onEvent: { event in
        switch event {
        case .assigned(let assigned):
          for key in assigned { waiting[key] = Instant(nanoseconds: 0) }
        case .revoked(let revoked), .lost(let revoked):
          for key in revoked { retire(key) }
        case .endOfPartition(let key, _): partitions[key]?.isAtEnd = true
        case .error: events.append(event)
        }
      },
      onRecord: { record in
        let key = KafkaTopicPartition(record.topic, record.partition)
        guard let partition = partitions[key] else { return }
        partition.isAtEnd = false
        let archived = ArchivedRecord(
          offset: record.offset, time: record.timestamp ?? UnixTime(milliseconds: 0), key: record.key,
          value: record.value)
        try handle(.record(archived), partition, key)
      })
    for case .error(let error) in events { try handle(error) }
    let now = Instant.now()
    let due = waiting.filter { now.milliseconds(since: $0.value) >= Self.retryMs }.keys
    // One list of a topic's files serves all of its partitions.
    for topic in topics where !isStopped() {
      try takeUp(due.filter { $0.topic == topic.name }.sorted { $0.partition < $1.partition }, of: topic)
    }
    if now.milliseconds(since: lagAsked) >= ConsumerLag.intervalMs {
      lagAsked = now
      status.update { $0.lags = consumer.lags }
    }
    for (key, partition) in partitions where now.milliseconds(since: partition.lastTick) >= Self.tickMs {
      partition.lastTick = now
      try handle(.tick, partition, key)
      if partition.isAtEnd { try handle(.caughtUp(wallTime: UnixTime.now()), partition, key) }
      status.update {
        $0.partitions[key] = ArchiveStatus.Partition(
          statistics: partition.machine.statistics, durable: partition.machine.durable,
          openRecords: partition.machine.openRecords, isReading: partition.machine.isReading)
      }
    }
  }

  private func handle(_ error: KafkaError) throws {
    if error.isFatal { throw error }
    logger.warning("\(error)")
    guard error.reason == .offsetOutOfRange, let topic = error.topic, let number = error.partition else { return }
    // Retention has overtaken the archive: taken up again, it says what is missing.
    let key = KafkaTopicPartition(topic, number)
    guard partitions[key] != nil else { return }
    retire(key)
    waiting[key] = Instant(nanoseconds: 0)
  }

  // MARK: - Partitions

  /// Finds out where the archive of partitions ends, and goes on from there.
  private func takeUp(_ keys: [KafkaTopicPartition], of topic: ArchivedTopic) throws {
    guard !keys.isEmpty else { return }
    let catalog: ArchiveCatalog
    do throws(ArchiveError) {
      catalog = try ArchiveCatalog(topic: topic.name, content: topic.content, in: store)
    } catch {
      guard error.kind == .store else { throw error }
      for key in keys { wait(key, "\(error)") }
      return
    }
    for key in keys { try takeUp(key, of: topic, catalog) }
  }

  private func takeUp(_ key: KafkaTopicPartition, of topic: ArchivedTopic, _ catalog: ArchiveCatalog) throws {
    let archived: Range<Offset>?
    let log: KafkaWatermarks
    do {
      archived = try catalog.range(of: key.partition, in: store, compressor: compressor)
      log = try consumer.queryWatermarks(key, timeoutMs: Self.callTimeoutMs)
    } catch let error as ArchiveError where error.kind == .store {
      return wait(key, "\(error)")
    } catch let error as KafkaError where error.isRetriable || error.reason == .timedOut {
      return wait(key, "\(error)")
    }
    let (start, lost) = try ArchiveStart.position(
      of: key.partition, topic: topic.name, archived: archived, log: log.low..<max(log.low, log.high),
      allowsGap: allowsGap)
    if lost > 0 {
      logger.warning("offsets are lost", metadata: ["partition": "\(key)", "offsets": "\(lost)"])
      status.update { $0.lostOffsets += lost }
    }
    let now = Instant.now()
    let machine = ArchivePartition(
      topic: topic.name, partition: key.partition, content: topic.content, settings: settings, compressor: compressor,
      start: start, now: now, seed: UInt64.random(in: 0 ... .max))
    waiting[key] = nil
    let partition = Partition(machine)
    partitions[key] = partition
    logger.info("assigned", metadata: ["partition": "\(key)", "from": "\(start)"])
    try handle(.tick, partition, key)
  }

  private func wait(_ key: KafkaTopicPartition, _ reason: String) {
    logger.warning("cannot be taken up yet: \(reason)", metadata: ["partition": "\(key)"])
    waiting[key] = Instant.now()
  }

  private func retire(_ key: KafkaTopicPartition) {
    waiting[key] = nil
    guard let partition = partitions.removeValue(forKey: key) else { return }
    partition.file?.writer.abandon()
    status.update {
      $0.partitions[key] = nil
      $0.retired.add(partition.machine.statistics)
    }
    logger.info("revoked", metadata: ["partition": "\(key)"])
  }

  // MARK: - The machine

  private func handle(_ event: ArchiveEvent, _ partition: Partition, _ key: KafkaTopicPartition) throws {
    for action in try partition.machine.handle(event, now: Instant.now()) {
      do {
        try perform(action, partition, key)
      } catch let error as FileStoreError {
        // What was asked for after it is void.
        return try handle(.failed(ArchiveError(error)), partition, key)
      } catch let error as KafkaError where error.isRetriable || error.reason == .timedOut {
        return try handle(.failed(ArchiveError(.store, error.description)), partition, key)
      }
    }
  }

  private func perform(_ action: ArchiveAction, _ partition: Partition, _ key: KafkaTopicPartition) throws {
    switch action {
    case .read(let offset):
      try consumer.seek(key, to: offset)
      try consumer.resume(key)
    case .pause: try consumer.pause(key)
    case .create(let name): partition.file = (try store.create(name.name), name.name)
    case .write(let bytes): try bytes.withUnsafeBytes { try partition.file!.writer.write($0) }
    case .put(let name, let bytes):
      let writer = try store.create(name)
      do {
        try bytes.withUnsafeBytes { try writer.write($0) }
        try writer.finish()
      } catch {
        writer.abandon()
        throw error
      }
    case .finish(let end):
      let file = partition.file!
      try file.writer.finish()
      partition.file = nil
      logger.debug("wrote", metadata: ["file": "\(file.name)", "end": "\(end)"])
      try handle(.stored(end: end), partition, key)
    case .abandon:
      partition.file?.writer.abandon()
      partition.file = nil
    case .commit(let offset):
      do {
        try consumer.commitLater([KafkaPosition(key.topic, key.partition, offset: offset)])
      } catch {
        // For lag tools only.
        logger.warning("\(error)", metadata: ["partition": "\(key)"])
      }
    case .notice(let text): logger.warning("\(text)")
    }
  }
}

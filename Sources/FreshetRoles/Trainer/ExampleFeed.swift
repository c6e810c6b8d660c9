import Foundation
import FreshetCluster
import FreshetCore
import FreshetKafka
import FreshetModel
import Logging
import NIOConcurrencyHelpers

/// Where a trainer's examples come from. What it has to tell goes to the trainer's loop.
protocol ExampleSource: AnyObject, Sendable {
  func send(_ command: ExampleFeed.Command)
  var statistics: ExampleFeed.Statistics { get }
}

/// The thread that reads `examples`: decodes records where librdkafka holds them and hands batches to the trainer's loop.
///
/// Partitions begin paused and are read from where the trainer asks. While examples pile up nothing is polled: pausing a
/// partition would throw away what has been fetched ahead.
final class ExampleFeed: ExampleSource {
  /// What the trainer's loop asks of the thread.
  enum Command: Sendable {
    case locate(PartitionID, attempt: UInt64)
    case fetch(PartitionID, attempt: UInt64, from: Offset)
    case stop(PartitionID)
    case consumed(PartitionID, attempt: UInt64, count: Int)
    case commit(PartitionID, Offset)
  }

  /// What the thread tells the trainer's loop.
  enum Event: Sendable {
    case assigned(PartitionID)
    case revoked(PartitionID)
    case located(PartitionID, attempt: UInt64, start: Offset, end: Offset)
    case examples(PartitionID, attempt: UInt64, ExampleBatch)
    case unreadable(PartitionID, attempt: UInt64, reason: String)

    var trainerEvent: TrainerEvent {
      switch self {
      case .assigned(let partition): .assigned(partition)
      case .revoked(let partition): .revoked(partition)
      case .located(let partition, let attempt, let start, let end):
        .located(partition, attempt: attempt, start: start, end: end)
      case .examples(let partition, let attempt, let batch): .examples(partition, attempt: attempt, batch)
      case .unreadable(let partition, let attempt, let reason):
        .unreadable(partition, attempt: attempt, reason: reason)
      }
    }
  }

  private struct Partition {
    var attempt: UInt64
    /// Examples that the trainer has not taken up yet.
    var outstanding = 0
  }

  /// Counters that the loop shows.
  struct Statistics: Sendable {
    var examplesRead = 0
    var deadLetters = 0
    /// How often polling waited for the trainer.
    var waits = 0
  }

  private static let recordsPerPoll = 1024
  private static let pollMs = 5

  private let configuration: FreshetConfiguration
  /// Tells this trainer from others of the group; stable across restarts. nil where nothing does.
  private let instance: String?
  private let logger: Logger
  private let commands = NIOLockedValueBox<[Command]>([])
  private let isFinished = NIOLockedValueBox(false)
  private let shared = NIOLockedValueBox(Statistics())

  init(configuration: FreshetConfiguration, instance: String?, logger: Logger) {
    self.configuration = configuration
    self.instance = instance
    self.logger = logger
  }

  /// Ends the thread once the commands sent before are carried out.
  func finish() { isFinished.withLockedValue { $0 = true } }

  func send(_ command: Command) { commands.withLockedValue { $0.append(command) } }

  var statistics: Statistics { shared.withLockedValue { $0 } }

  /// Reads until the role ends; what goes wrong for good ends the role.
  func run(failsFast: Bool, outcome: RoleOutcome, deliver: (Event) -> Void) {
    do {
      try KafkaStartup.prepare(
        configuration.kafka, clientID: "freshet-trainer", failsFast: failsFast, logger: logger
      ) {
        outcome.isEnded
      }
      try read(outcome: outcome, deliver: deliver)
      outcome.finish()
    } catch {
      outcome.fail(error)
    }
  }

  private func read(outcome: RoleOutcome, deliver: (Event) -> Void) throws {
    let kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-trainer", logger: logger)
    // What is no longer there is not to be passed over: the trainer must know of it.
    var options = KafkaConsumer.Options(groupID: configuration.trainer.group, offsetReset: .error, startPaused: true)
    options.fetchWaitMs = 20
    options.groupInstanceID = instance
    let consumer = try KafkaConsumer(kafka, options: options)
    let deadLetters = try DeadLetterWriter(kafka, topic: configuration.kafka.topics.deadLetter)
    let topic = configuration.kafka.topics.examples
    let layout = ExampleLayout(configuration.model)
    try consumer.subscribe([topic])
    var partitions: [PartitionID: Partition] = [:]
    var batches: [PartitionID: ExampleBatch] = [:]
    while true {
      let isLast = isFinished.withLockedValue { $0 }
      for command in commands.withLockedValue({ commands in
        defer { commands.removeAll() }
        return commands
      }) {
        try perform(command, consumer, topic, &partitions, deliver)
      }
      if isLast { break }
      guard partitions.values.allSatisfy({ $0.outstanding < configuration.trainer.queuedExamples }) else {
        shared.withLockedValue { $0.waits += 1 }
        Thread.sleep(forTimeInterval: 0.001)
        continue
      }
      _ = try consumer.poll(
        maxRecords: Self.recordsPerPoll, timeoutMs: Self.pollMs,
        onEvent: { event in try handle(event, &partitions, &batches, deliver) },
        onRecord: { record in
          try append(record, layout, &batches, deadLetters)
        })
      for (partition, batch) in batches where !batch.isEmpty {
        hand(batch, of: partition, &partitions, deliver)
      }
      batches.removeAll(keepingCapacity: true)
      deadLetters.poll()
    }
    consumer.close()
    try deadLetters.flush(timeoutMs: 5_000)
  }

  private func perform(
    _ command: Command, _ consumer: KafkaConsumer, _ topic: String, _ partitions: inout [PartitionID: Partition],
    _ deliver: (Event) -> Void
  ) throws {
    switch command {
    case .locate(let partition, let attempt):
      do {
        let watermarks = try consumer.queryWatermarks(KafkaTopicPartition(topic, partition), timeoutMs: 5_000)
        deliver(.located(partition, attempt: attempt, start: watermarks.low, end: watermarks.high))
      } catch {
        logger.warning("\(error)", metadata: ["partition": "\(partition)"])
        send(command)
      }
    case .fetch(let partition, let attempt, let from):
      guard partitions[partition] != nil else { return }
      guard try begin(KafkaTopicPartition(topic, partition), from, consumer) else { return send(command) }
      partitions[partition] = Partition(attempt: attempt)
    case .stop(let partition):
      guard partitions[partition] != nil else { return }
      partitions[partition] = Partition(attempt: 0)
      try consumer.pause(KafkaTopicPartition(topic, partition))
    case .consumed(let partition, let attempt, let count):
      guard var state = partitions[partition], state.attempt == attempt else { return }
      state.outstanding -= count
      partitions[partition] = state
    case .commit(let partition, let offset):
      guard partitions[partition] != nil else { return }
      try consumer.commitLater([KafkaPosition(topic, partition, offset: offset)])
    }
  }

  /// - Returns: False if the broker may allow it later.
  private func begin(_ partition: KafkaTopicPartition, _ from: Offset, _ consumer: KafkaConsumer) throws -> Bool {
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

  private func handle(
    _ event: KafkaEvent, _ partitions: inout [PartitionID: Partition], _ batches: inout [PartitionID: ExampleBatch],
    _ deliver: (Event) -> Void
  ) throws(KafkaError) {
    switch event {
    case .assigned(let assigned):
      logger.info("assigned", metadata: ["partitions": "\(assigned.map { "\($0.partition)" }.joined(separator: ","))"])
      for entry in assigned {
        partitions[entry.partition] = Partition(attempt: 0)
        deliver(.assigned(entry.partition))
      }
    case .revoked(let revoked), .lost(let revoked):
      logger.info("revoked", metadata: ["partitions": "\(revoked.map { "\($0.partition)" }.joined(separator: ","))"])
      for entry in revoked {
        partitions[entry.partition] = nil
        batches[entry.partition] = nil
        deliver(.revoked(entry.partition))
      }
    case .endOfPartition: break
    case .error(let error):
      if error.isFatal { throw error }
      logger.warning("\(error)")
      if error.reason == .offsetOutOfRange, let partition = error.partition, let state = partitions[partition] {
        deliver(.unreadable(partition, attempt: state.attempt, reason: "\(error)"))
      }
    }
  }

  private func append(
    _ record: borrowing KafkaRecord, _ layout: ExampleLayout, _ batches: inout [PartitionID: ExampleBatch],
    _ deadLetters: DeadLetterWriter
  ) throws {
    if batches[record.partition] == nil {
      batches[record.partition] = ExampleBatch(layout: layout, capacity: Self.recordsPerPoll)
    }
    do {
      guard let value = record.value else { throw ExampleError(kind: .malformed, message: "the record has no value") }
      try batches[record.partition]!.append(value, offset: record.offset.value)
      shared.withLockedValue { $0.examplesRead += 1 }
    } catch let error as ExampleError where error.kind != .schemaMismatch {
      shared.withLockedValue { $0.deadLetters += 1 }
      try deadLetters.write(
        DeadLetterRecord(
          code: error.code, reason: error.message, role: "trainer", topic: record.topic, partition: record.partition,
          offset: record.offset, payload: record.value.map { Array($0) }))
    }
  }

  private func hand(
    _ batch: ExampleBatch, of partition: PartitionID, _ partitions: inout [PartitionID: Partition],
    _ deliver: (Event) -> Void
  ) {
    guard var state = partitions[partition], state.attempt != 0 else { return }
    state.outstanding += batch.count
    deliver(.examples(partition, attempt: state.attempt, batch))
    partitions[partition] = state
  }
}

import Foundation
import FreshetCluster
import FreshetCore
import FreshetKafka
import FreshetModel
import Logging

/// The joiner's thread: consumes both inputs, feeds the partitions' machines, and writes what they make in transactions.
///
/// Output and input positions are committed together, so every example appears exactly once for readers of committed
/// records. A partition that is taken up again is rebuilt from the log (docs/joiner.md).
final class JoinerLoop {
  private static let recordsPerPoll = 4096
  private static let pollMs = 5
  /// Positions are committed at least this often when only they move.
  private static let idleCommitMs = 1_000
  /// Of one call to the broker; those that may be repeated are, until the joiner is stopped.
  private static let callTimeoutMs = 3_000
  /// How often a state that is busy is asked for.
  private static let stateRetryMs = 500.0

  private let configuration: FreshetConfiguration
  private let topics: KafkaSettings.Topics
  private let extractor: FeatureExtractor
  private let joinerConfig: JoinerConfig
  private let status: JoinerStatus
  private let logger: Logger

  private let consumer: KafkaConsumer
  private let producer: KafkaProducer
  private let examples: KafkaProducerTopic
  private let deadLetterTopic: KafkaProducerTopic
  private let items: ItemTopicReader
  private let catalog: ItemCatalog
  /// By position in the model's list.
  private let enrichments: [(topic: ItemTopicReader, catalog: KeyedCatalog)]
  private let itemReader: JSONRecordReader
  private let itemScratch: FeatureScratch
  private var itemsAsOf = UnixTime(milliseconds: 0)
  /// Outside the transactions: items are read anew, and refused anew, in each life.
  private let itemLetters: DeadLetterWriter

  private var machines: [PartitionID: JoinerPartition] = [:]
  private let states: JoinerStateDesk
  /// Partitions whose state is busy, and when it was asked for last.
  private var waitingForState: [PartitionID: Instant] = [:]
  /// Where a partition ended when its end was last reached: beyond its last record there may be markers of transactions.
  private var ends: [KafkaTopicPartition: Offset] = [:]
  /// When an end was last asked for without being confirmed.
  private var lastEndCheck: [KafkaTopicPartition: Instant] = [:]
  private var committed: [PartitionID: JoinerCommitPoint] = [:]
  private let output = JoinerOutput()
  private var isInTransaction = false
  /// Partitions with output in the open transaction.
  private var writers: Set<PartitionID> = []
  private var lastCommit = Instant.now()
  private var mustRestart = false

  /// - Parameters:
  ///   - instance: Tells this joiner from others of the group; stable across restarts. nil where nothing does.
  ///   - transactionalID: Of this life alone (`JoinerLives`).
  init(
    configuration: FreshetConfiguration, extractor: FeatureExtractor, instance: String?, transactionalID: String,
    status: JoinerStatus, logger: Logger
  ) throws {
    self.configuration = configuration
    topics = configuration.kafka.topics
    self.extractor = extractor
    self.status = status
    self.logger = logger
    let settings = configuration.joiner
    let joinerConfig = settings.machine
    try joinerConfig.validate()
    self.joinerConfig = joinerConfig
    states = JoinerStateDesk(
      configuration, config: joinerConfig, schema: extractor.layout.fingerprint, logger: logger)

    let kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-joiner", logger: logger)
    var options = KafkaConsumer.Options(groupID: settings.group, offsetReset: .error, startPaused: true)
    options.endOfPartitionEvents = true
    options.fetchWaitMs = 20
    options.groupInstanceID = instance
    consumer = try KafkaConsumer(kafka, options: options)
    var producerOptions = KafkaProducer.Options(transactionalID: transactionalID)
    producerOptions.lingerMs = 2
    producer = try KafkaProducer(kafka, options: producerOptions)
    examples = try producer.topic(topics.examples)
    deadLetterTopic = try producer.topic(topics.deadLetter)
    itemLetters = try DeadLetterWriter(kafka, topic: topics.deadLetter)
    items = try ItemTopicReader(kafka, topic: topics.items, groupID: settings.group + "-items")
    catalog = ItemCatalog(capacity: 10_000_000)
    enrichments = try topics.enrichments.enumerated().map { position, topic in
      (
        try ItemTopicReader(kafka, topic: topic, groupID: settings.group + "-items"),
        KeyedCatalog(of: .enrichment(position), capacity: 10_000_000)
      )
    }
    itemReader = JSONRecordReader(maxBytes: 1 << 20, maxDepth: 16)
    itemScratch = extractor.makeScratch()
  }

  func run(isStopped: () -> Bool) throws {
    try retrying("start transactions", isStopped) { () throws(KafkaError) in
      try producer.initTransactions(timeoutMs: Self.callTimeoutMs)
    }
    try refreshItems(isStopped)
    logger.info("items read", metadata: ["items": "\(catalog.count)"])
    try consumer.subscribe([topics.features, topics.actions])
    while !isStopped() {
      do {
        try step(isStopped)
      } catch let error as KafkaError where error.requiresAbort || error.isRetriable {
        try abort(because: error, isStopped)
      }
    }
    if !mustRestart {
      do {
        try commit(isStopped: isStopped)
      } catch {
        // Nothing is lost: the next life ends the transaction and joins its records again.
        logger.notice("the last transaction is not committed: \(error)")
      }
    }
    consumer.close()
    items.close()
    for enrichment in enrichments { enrichment.topic.close() }
    try itemLetters.flush(timeoutMs: 2_000)
  }

  private func step(_ isStopped: () -> Bool) throws {
    if mustRestart { try restart(isStopped) }
    var assigned: [PartitionID] = []
    var failure: KafkaError?
    // A record's timestamp may be its producer's: a clock that is ahead must not vouch for event times that are.
    let wallTime = UnixTime.now()
    _ = try consumer.poll(
      maxRecords: Self.recordsPerPoll, timeoutMs: Self.pollMs,
      onEvent: { event in
        switch event {
        case .assigned(let partitions):
          assigned += partitions.map(\.partition)
        case .revoked(let partitions):
          do {
            try commit(isStopped: isStopped)
          } catch let error as KafkaError {
            failure = error
          }
          retire(partitions.map(\.partition))
        case .lost(let partitions):
          // What the open transaction has of them is another joiner's to write now.
          if isInTransaction {
            failure = KafkaError(
              .notAssigned, "the group has given the partitions to another joiner", requiresAbort: true)
          }
          retire(partitions.map(\.partition))
        case .endOfPartition(let partition, let offset):
          ends[partition] = offset
          machines[partition.partition]?.reachedEnd(input(partition.topic), now: Instant.now())
        case .error(let error):
          if error.isFatal {
            failure = error
          } else if error.reason == .offsetOutOfRange {
            // Retention has overtaken the joiner: begun again, it says what is missing.
            failure = KafkaError(.offsetOutOfRange, "\(error)", requiresAbort: true)
          } else {
            logger.warning("\(error)")
          }
        }
      },
      onRecord: { record in
        machines[record.partition]?.receive(
          input(record.topic),
          JoinerRecord(
            offset: record.offset.value,
            appendTimeMs: min(record.timestamp ?? wallTime, wallTime).milliseconds, payload: record.value),
          now: Instant.now())
      })
    if let failure { throw failure }
    let now = Instant.now()
    assigned += waitingForState.filter { now.milliseconds(since: $0.value) >= Self.stateRetryMs }.keys
    if !assigned.isEmpty { try takeUp(Array(Set(assigned)).sorted(), isStopped) }
    try items.poll(timeoutMs: 0, onError: { logger.warning("\($0)") }, onRecord: { try apply($0, to: catalog) })
    for (topic, catalog) in enrichments {
      try topic.poll(timeoutMs: 0, onError: { logger.warning("\($0)") }, onRecord: { try apply($0, to: catalog) })
    }
    for partition in machines.keys.sorted() { try join(partition, isStopped) }
    try commitIfDue(isStopped)
    producer.poll(timeoutMs: 0)
    itemLetters.poll()
  }

  private func input(_ topic: String) -> JoinerTopic { topic == topics.features ? .features : .actions }

  // MARK: - Partitions

  /// Starts the machines of newly assigned partitions where the group has committed.
  private func takeUp(_ partitions: [PartitionID], _ isStopped: () -> Bool) throws {
    for partition in partitions where machines[partition] == nil {
      let features = KafkaTopicPartition(topics.features, partition)
      let actions = KafkaTopicPartition(topics.actions, partition)
      var point = JoinerCommitPoint.start
      for position in try consumer.committed([features, actions], timeoutMs: Self.callTimeoutMs)
      where position.topicPartition == features && !position.metadata.isEmpty {
        point = try JoinerCommitPoint(text: position.metadata)
      }
      let starts = try (
        features: consumer.queryWatermarks(features, timeoutMs: Self.callTimeoutMs).low.value,
        actions: consumer.queryWatermarks(actions, timeoutMs: Self.callTimeoutMs).low.value
      )
      var state: (store: RocksJoinerState, at: JoinerCommitPoint?)?
      if states.isInUse {
        switch try states.open(partition, committed: point, logStarts: starts) {
        case .state(let store, let at): state = (store, at)
        case .busy:
          waitingForState[partition] = Instant.now()
          continue
        }
      }
      waitingForState[partition] = nil
      let machine = try JoinerPartition(
        config: joinerConfig, extractor: extractor, from: point, state: state?.store, stateAt: state?.at,
        itemsAsOf: itemsAsOf, now: Instant.now())
      machine.enrichments = enrichments.map(\.catalog)
      machines[partition] = machine
      committed[partition] = point
      states.began(partition, now: Instant.now())
      try start(features, at: machine.readFrom.features, logStart: starts.features, processed: point.featureNext)
      try start(actions, at: machine.readFrom.actions, logStart: starts.actions, processed: point.actionNext)
      logger.info(
        "assigned",
        metadata: [
          "partition": "\(partition)", "from": "\(point.text)",
          "state": "\(state.map { $0.at?.text ?? "empty" } ?? "log")",
        ])
    }
  }

  private func start(_ partition: KafkaTopicPartition, at low: Int64, logStart: Int64, processed: Int64) throws {
    if processed > 0 && logStart > low {
      logger.error(
        """
        \(partition): Kafka has deleted \(logStart - low) records that waited for their other half; their examples are \
        lost. Lengthen the topic's retention beyond joiner.window_ms
        """)
    }
    try consumer.seek(partition, to: Offset(max(low, logStart)))
    try consumer.resume(partition)
  }

  private func retire(_ partitions: [PartitionID]) {
    for partition in Set(partitions) {
      waitingForState[partition] = nil
      states.ended(partition)
      guard let machine = machines.removeValue(forKey: partition) else { continue }
      committed[partition] = nil
      status.update { state in
        state.partitions[partition] = nil
        state.retired.add(machine.counters)
        state.retiredState.add(machine.stateReport)
      }
      logger.info("revoked", metadata: ["partition": "\(partition)"])
    }
    // Else what comes next would be on top of what they had.
    ProcessMemory.returnFreed()
  }

  // MARK: - Joining

  /// Processes what a partition can, and writes what comes of it into the open transaction.
  private func join(_ partition: PartitionID, _ isStopped: () -> Bool) throws {
    guard let machine = machines[partition] else { return }
    while !isStopped() {
      output.removeAll()
      let progress = machine.run(catalog: catalog, now: Instant.now(), output: output)
      try write(partition)
      states.watch(partition, machine, now: Instant.now())
      switch progress {
      case .drained:
        guard let topic = output.needsEnd, try isAtEnd(topic, partition) else { return }
        machine.confirmedEnd(topic, now: Instant.now())
      case .outputFull: continue
      case .commitNeeded: try commit(isStopped: isStopped)
      case .diskFull: return
      case .stateFailed:
        let reason = machine.stateProblem?.message ?? "it cannot be read"
        states.discard(partition, reason)
        throw KafkaError(.transaction, "partition \(partition) is rebuilt from the log: \(reason)", requiresAbort: true)
      case .waitingForItems:
        try refreshItems(isStopped)
        for machine in machines.values { machine.itemsRefreshed(asOf: itemsAsOf) }
      }
    }
  }

  /// Asks the broker whether everything in a topic has been fed to the machine; not more often than every 20 ms.
  private func isAtEnd(_ topic: JoinerTopic, _ partition: PartitionID) throws -> Bool {
    let entry = KafkaTopicPartition(topic == .features ? topics.features : topics.actions, partition)
    let now = Instant.now()
    if let last = lastEndCheck[entry], now.milliseconds(since: last) < 20 { return false }
    lastEndCheck[entry] = now
    let reached = max(try consumer.position(entry) ?? .none, ends[entry] ?? .none)
    return try consumer.queryWatermarks(entry, timeoutMs: 5_000).high <= reached
  }

  private func write(_ partition: PartitionID) throws {
    if !output.examples.isEmpty || !output.deadLetters.isEmpty {
      try begin()
      writers.insert(partition)
    }
    for example in output.examples {
      try producer.produce(examples, partition: partition, key: output.key(example), value: output.value(example))
    }
    for letter in output.deadLetters {
      let topic = letter.topic == .features ? topics.features : topics.actions
      let record = DeadLetterRecord(
        code: letter.reason.rawValue, reason: letter.message, role: "joiner", topic: topic, partition: partition,
        offset: Offset(letter.offset), payload: letter.payload)
      try producer.produce(deadLetterTopic, partition: nil, key: Array(topic.utf8), value: record.json)
    }
    for (topic, isPaused) in output.flow {
      let name = topic == .features ? topics.features : topics.actions
      if isPaused {
        try consumer.pause(KafkaTopicPartition(name, partition))
      } else {
        try consumer.resume(KafkaTopicPartition(name, partition))
      }
    }
  }

  // MARK: - Items

  private func refreshItems(_ isStopped: () -> Bool) throws {
    itemsAsOf = try items.readToEnd(
      isStopped: isStopped, onError: { logger.warning("\($0)") }, onRecord: { try apply($0, to: catalog) })
    for (topic, catalog) in enrichments {
      _ = try topic.readToEnd(
        isStopped: isStopped, onError: { logger.warning("\($0)") }, onRecord: { try apply($0, to: catalog) })
    }
  }

  private func apply(_ record: borrowing KafkaRecord, to catalog: KeyedCatalog) throws {
    do throws(ItemError) {
      if let value = record.value {
        try catalog.upsert(value, extractor, itemReader, itemScratch)
      } else if let key = record.key {
        _ = try catalog.remove(recordKey: key, extractor, itemScratch)
      } else {
        throw ItemError(code: "null-payload", message: "the record has neither key nor value")
      }
    } catch {
      status.update { $0.badItems += 1 }
      try itemLetters.write(
        DeadLetterRecord(
          code: error.code, reason: error.message, role: "joiner", topic: record.topic, partition: record.partition,
          offset: record.offset, payload: record.value.map { Array($0) }))
    }
  }

  // MARK: - Transactions

  private func begin() throws {
    guard !isInTransaction else { return }
    try producer.beginTransaction()
    isInTransaction = true
  }

  private func commitIfDue(_ isStopped: () -> Bool) throws {
    let elapsed = Instant.now().milliseconds(since: lastCommit)
    let isDue =
      isInTransaction
      ? elapsed >= Double(configuration.joiner.commitIntervalMs) : elapsed >= Double(Self.idleCommitMs)
    guard isDue else { return }
    updateStatus()
    try commit(isStopped: isStopped)
  }

  /// Commits the output written since the last commit together with the positions that belong to it.
  private func commit(isStopped: () -> Bool) throws {
    lastCommit = Instant.now()
    var positions: [KafkaPosition] = []
    var points: [PartitionID: JoinerCommitPoint] = [:]
    for (partition, machine) in machines {
      guard let point = machine.commitPoint, point != committed[partition] else { continue }
      points[partition] = point
      positions.append(
        KafkaPosition(topics.features, partition, offset: Offset(point.featureNext), metadata: point.text))
      positions.append(
        KafkaPosition(topics.actions, partition, offset: Offset(point.actionNext), metadata: point.text))
    }
    guard isInTransaction || !positions.isEmpty else { return }
    // Stopped in the middle of a step: its output without its position would come again in the next life.
    if let half = writers.first(where: { machines[$0]?.commitPoint == nil }) {
      throw KafkaError(.transaction, "partition \(half) has output in hand that is not complete", requiresAbort: true)
    }
    try begin()
    if !positions.isEmpty {
      try retrying("send offsets", isStopped) { () throws(KafkaError) in
        try producer.sendOffsets(positions, of: consumer, timeoutMs: Self.callTimeoutMs)
      }
    }
    try retrying("commit", isStopped) { () throws(KafkaError) in
      try producer.commitTransaction(timeoutMs: Self.callTimeoutMs)
    }
    isInTransaction = false
    writers = []
    committed.merge(points) { $1 }
    for (partition, point) in points { machines[partition]?.committed(point, now: Instant.now()) }
    status.update { $0.transactions += 1 }
  }

  /// Gives up the open transaction; every partition starts again from what is committed.
  private func abort(because error: KafkaError, _ isStopped: () -> Bool) throws {
    logger.warning("transaction aborted: \(error)")
    status.update { $0.abortedTransactions += 1 }
    if isInTransaction {
      try retrying("abort", isStopped) { () throws(KafkaError) in
        try producer.abortTransaction(timeoutMs: Self.callTimeoutMs)
      }
    }
    isInTransaction = false
    writers = []
    mustRestart = true
  }

  private func restart(_ isStopped: () -> Bool) throws {
    // Not only those that have machines: taking up others may be what failed.
    let partitions = Set(consumer.assignment.map(\.partition)).sorted()
    for partition in partitions {
      for topic in [topics.features, topics.actions] { try consumer.pause(KafkaTopicPartition(topic, partition)) }
    }
    retire(partitions)
    mustRestart = false
    try takeUp(partitions, isStopped)
  }

  private func retrying(_ what: String, _ isStopped: () -> Bool, _ body: () throws(KafkaError) -> Void) throws {
    try KafkaRetry.run(what, logger: logger, isStopped: isStopped, body)
  }

  private func updateStatus() {
    status.update { state in
      state.items = catalog.count
      state.lags = consumer.lags
      for (partition, machine) in machines {
        state.partitions[partition] = JoinerStatus.Partition(
          counters: machine.counters, waitingFeatures: machine.waitingFeatureCount,
          waitingActions: machine.waitingActionCount, queued: machine.queuedRecordCount,
          streamTimeMs: machine.streamTimeMs, state: machine.stateReport)
      }
    }
  }
}

import Dispatch
import Foundation
import FreshetCore
import FreshetKafka
import FreshetModel
import Logging
import NIOPosix
import Synchronization

/// Reads all partitions of the `items` topic and of those of enrichments from the beginning on a thread of its own. It needs no
/// group and commits nothing: the topics are compacted, and a replica reads them whole when it starts.
///
/// A broker that is away and topics that do not exist yet are logged and waited for.
final class KafkaItemFeed: ItemFeed {
  static let recordsPerBatch = 128
  /// Batches handed over and not yet applied.
  static let batchesInFlight = 4
  private static let metadataTimeoutMs = 1_500

  private let configuration: KafkaConfiguration
  private let topics: [(name: String, source: FieldSpec.Source)]
  private let logger: Logger
  private let isStopped = Atomic<Bool>(false)
  private let wake = DispatchSemaphore(value: 0)
  private let room = DispatchSemaphore(value: batchesInFlight)
  private let finished = DispatchGroup()

  /// - Throws: `KafkaError` if a property is unknown or wrong.
  init(_ settings: KafkaSettings, logger: Logger) throws {
    self.logger = logger
    topics =
      [(settings.topics.items, .item)]
      + settings.topics.enrichments.enumerated().map { ($1, FieldSpec.Source.enrichment($0)) }
    configuration = KafkaConfiguration(
      bootstrapServers: settings.bootstrapServers, properties: settings.properties, clientID: "freshet-serve",
      log: { line in logger.debug("\(line.message)", metadata: ["facility": "\(line.facility)"]) })
    try configuration.validate()
  }

  /// Tries once to reach a broker.
  func checkBroker() async throws {
    let configuration = configuration
    try await NIOThreadPool.singleton.runIfActive {
      try KafkaAdmin(configuration).waitUntilReachable(
        attemptMs: 5_000, backoff: Backoff(baseMs: 100, capMs: 100, seed: 0)
      ) { _ in false }
    }
  }

  func start(deliver: @escaping @Sendable (ItemBatch, _ applied: @escaping @Sendable () -> Void) -> Void) {
    finished.enter()
    let thread = Thread { [self] in
      run(deliver)
      finished.leave()
    }
    thread.name = "items"
    thread.start()
  }

  func stop() async {
    isStopped.store(true, ordering: .releasing)
    wake.signal()
    await withCheckedContinuation { continuation in
      finished.notify(queue: .global()) { continuation.resume() }
    }
  }

  private typealias Deliver = (ItemBatch, @escaping @Sendable () -> Void) -> Void
  private var shouldStop: Bool { isStopped.load(ordering: .acquiring) }

  private func run(_ deliver: Deliver) {
    var backoff = Backoff(baseMs: 250, capMs: 5_000, seed: UInt64.random(in: 0 ... .max))
    var notices = NoticeLimiter()
    while !shouldStop {
      do {
        let admin = try KafkaAdmin(configuration)
        while !shouldStop {
          guard let partitions = try partitions(admin, &notices) else {
            wait(milliseconds: backoff.next())
            continue
          }
          backoff.reset()
          notices.forget(topic: "kafka")
          logger.info(
            "reading items",
            metadata: [
              "topics": "\(topics.map(\.name).joined(separator: ","))", "partitions": "\(partitions.count)",
            ])
          try read(partitions, deliver, &notices)
        }
      } catch {
        warn(
          "cannot read items from kafka at \(configuration.bootstrapServers): \(Self.message(error)); "
            + "serving goes on with the items it has", &notices)
        wait(milliseconds: backoff.next())
      }
    }
  }

  /// The partitions of all topics; nil as long as one does not exist.
  private func partitions(
    _ admin: KafkaAdmin, _ notices: inout NoticeLimiter
  ) throws -> [KafkaTopicPartition]? {
    var partitions: [KafkaTopicPartition] = []
    for (topic, _) in topics {
      guard let count = try admin.partitionCount(of: topic, timeoutMs: Self.metadataTimeoutMs), count > 0 else {
        warn("topic \(topic) does not exist yet; waiting for it", &notices)
        return nil
      }
      partitions += (0..<count).map { KafkaTopicPartition(topic, PartitionID(Int32($0))) }
    }
    return partitions
  }

  private static func message(_ error: any Error) -> String { (error as? any DescribedError)?.message ?? "\(error)" }

  private func warn(_ text: String, _ notices: inout NoticeLimiter) {
    if notices.admit(text, topic: "kafka", now: Instant.now()) != nil { logger.warning("\(text)") }
  }

  private func wait(milliseconds: Int) {
    guard !shouldStop else { return }
    _ = wake.wait(timeout: .now() + .milliseconds(milliseconds))
  }

  /// Reads until the feed is stopped or a topic has gone.
  private func read(
    _ partitions: [KafkaTopicPartition], _ deliver: Deliver, _ notices: inout NoticeLimiter
  ) throws {
    var options = KafkaConsumer.Options(groupID: "freshet-serve", offsetReset: .earliest, startPaused: false)
    options.endOfPartitionEvents = true
    options.prefetchKilobytes = 4_096
    let consumer = try KafkaConsumer(configuration, options: options)
    defer { consumer.close() }
    try consumer.assign(partitions.map { KafkaPosition($0.topic, $0.partition, offset: Offset(0)) })
    var waitingForEnd = Set(partitions)
    while !shouldStop {
      var batch = ItemBatch()
      try consumer.poll(maxRecords: Self.recordsPerBatch, timeoutMs: 100) { event in
        switch event {
        case .endOfPartition(let partition, _):
          if waitingForEnd.remove(partition) != nil, waitingForEnd.isEmpty { batch.isCaughtUp = true }
          notices.forget(topic: "kafka")
        case .error(let error):
          if error.isFatal || error.reason == .unknownTopic { throw error }
          warn("reading items: \(error.message); serving goes on with the items it has", &notices)
        case .assigned, .revoked, .lost: break
        }
      } onRecord: { record in
        batch.records.append(
          ItemRecord(
            source: topics.first { $0.name == record.topic }?.source ?? .item, partition: record.partition,
            offset: record.offset, key: record.key.map { Array($0) },
            value: record.value.map { Array($0) }))
      }
      if !batch.records.isEmpty || batch.isCaughtUp { handOver(batch, deliver) }
    }
  }

  /// Waits while too many batches are under way.
  private func handOver(_ batch: ItemBatch, _ deliver: Deliver) {
    while room.wait(timeout: .now() + .milliseconds(100)) == .timedOut {
      if shouldStop { return }
    }
    let room = room
    deliver(batch) { room.signal() }
  }
}

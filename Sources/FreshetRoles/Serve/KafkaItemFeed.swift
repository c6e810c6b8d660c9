import Dispatch
import Foundation
import FreshetCore
import FreshetKafka
import Logging
import NIOPosix
import Synchronization

/// Reads all partitions of the `items` topic from the beginning on a thread of its own. It needs no group and commits
/// nothing: the topic is compacted, and a replica reads it whole when it starts.
///
/// A broker that is away and a topic that does not exist yet are logged and waited for.
final class KafkaItemFeed: ItemFeed {
  static let recordsPerBatch = 128
  /// Batches handed over and not yet applied.
  static let batchesInFlight = 4
  private static let metadataTimeoutMs = 1_500

  private let configuration: KafkaConfiguration
  private let topic: String
  private let logger: Logger
  private let isStopped = Atomic<Bool>(false)
  private let wake = DispatchSemaphore(value: 0)
  private let room = DispatchSemaphore(value: batchesInFlight)
  private let finished = DispatchGroup()

  /// - Throws: `KafkaError` if a property is unknown or wrong.
  init(_ settings: KafkaSettings, logger: Logger) throws {
    self.logger = logger
    topic = settings.topics.items
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
          guard let count = try admin.partitionCount(of: topic, timeoutMs: Self.metadataTimeoutMs), count > 0 else {
            warn("topic \(topic) does not exist yet; waiting for it", &notices)
            wait(milliseconds: backoff.next())
            continue
          }
          backoff.reset()
          notices.forget(topic: "kafka")
          logger.info("reading items", metadata: ["topic": "\(topic)", "partitions": "\(count)"])
          try read(partitions: count, deliver, &notices)
        }
      } catch {
        warn(
          "cannot read items from kafka at \(configuration.bootstrapServers): \(Self.message(error)); "
            + "serving goes on with the items it has", &notices)
        wait(milliseconds: backoff.next())
      }
    }
  }

  private static func message(_ error: any Error) -> String { (error as? any DescribedError)?.message ?? "\(error)" }

  private func warn(_ text: String, _ notices: inout NoticeLimiter) {
    if notices.admit(text, topic: "kafka", now: Instant.now()) != nil { logger.warning("\(text)") }
  }

  private func wait(milliseconds: Int) {
    guard !shouldStop else { return }
    _ = wake.wait(timeout: .now() + .milliseconds(milliseconds))
  }

  /// Reads until the feed is stopped or the topic has gone.
  private func read(partitions: Int, _ deliver: Deliver, _ notices: inout NoticeLimiter) throws {
    var options = KafkaConsumer.Options(groupID: "freshet-serve", offsetReset: .earliest, startPaused: false)
    options.endOfPartitionEvents = true
    options.prefetchKilobytes = 4_096
    let consumer = try KafkaConsumer(configuration, options: options)
    defer { consumer.close() }
    let all = (0..<partitions).map { KafkaPosition(topic, PartitionID(Int32($0)), offset: Offset(0)) }
    try consumer.assign(all)
    var waitingForEnd = Set(all.map(\.topicPartition.partition))
    while !shouldStop {
      var batch = ItemBatch()
      try consumer.poll(maxRecords: Self.recordsPerBatch, timeoutMs: 100) { event in
        switch event {
        case .endOfPartition(let partition, _):
          if waitingForEnd.remove(partition.partition) != nil, waitingForEnd.isEmpty { batch.isCaughtUp = true }
          notices.forget(topic: "kafka")
        case .error(let error):
          if error.isFatal || error.reason == .unknownTopic { throw error }
          warn("reading items: \(error.message); serving goes on with the items it has", &notices)
        case .assigned, .revoked, .lost: break
        }
      } onRecord: { record in
        batch.records.append(
          ItemRecord(
            partition: record.partition, offset: record.offset, key: record.key.map { Array($0) },
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

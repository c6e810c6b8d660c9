import CRdKafka
import FreshetCore
import FreshetKafka
import Logging
import Synchronization
import Testing

@testable import FreshetRoles

/// librdkafka's mock cluster: a broker in a thread of this process.
private final class MockBroker {
  private let client: OpaquePointer
  private let cluster: OpaquePointer
  let bootstrapServers: String

  init() {
    client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), nil, 0)
    cluster = rd_kafka_mock_cluster_new(client, 1)
    bootstrapServers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
  }

  deinit {
    rd_kafka_mock_cluster_destroy(cluster)
    rd_kafka_destroy(client)
  }

  func createItems() { rd_kafka_mock_topic_create(cluster, "items", 2, 1) }
  func goDown() { rd_kafka_mock_broker_set_down(cluster, -1) }
  func comeBack() { rd_kafka_mock_broker_set_up(cluster, -1) }

  func produce(_ records: [(partition: Int32, key: String?, value: String?)]) throws {
    let producer = try KafkaProducer(
      KafkaConfiguration(bootstrapServers: bootstrapServers), options: .init(transactionalID: nil))
    let topic = try producer.topic("items")
    for record in records {
      try producer.produce(
        topic, partition: PartitionID(record.partition), key: record.key.map { Array($0.utf8) },
        value: record.value.map { Array($0.utf8) })
    }
    try producer.flush(timeoutMs: 10_000)
  }
}

/// Takes batches and, unless told to hold them, says at once that they are applied.
private final class Taker: Sendable {
  private struct State {
    var batches: [ItemBatch] = []
    var held: [@Sendable () -> Void] = []
    var mostHeld = 0
    var holds = false
  }
  private let state = Mutex(State())

  func take(_ batch: ItemBatch, _ applied: @escaping @Sendable () -> Void) {
    let isHeld = state.withLock { state in
      state.batches.append(batch)
      if state.holds { state.held.append(applied) }
      state.mostHeld = max(state.mostHeld, state.held.count)
      return state.holds
    }
    if !isHeld { applied() }
  }

  func hold() { state.withLock { $0.holds = true } }
  func release() {
    let held = state.withLock { state in
      state.holds = false
      defer { state.held = [] }
      return state.held
    }
    for applied in held { applied() }
  }

  func releaseOldest() {
    let applied = state.withLock { $0.held.isEmpty ? nil : $0.held.removeFirst() }
    applied?()
  }

  var heldCount: Int { state.withLock { $0.held.count } }
  var mostHeld: Int { state.withLock { $0.mostHeld } }
  var batches: [ItemBatch] { state.withLock { $0.batches } }
  var records: [ItemRecord] { batches.flatMap(\.records) }

  func wait(_ what: String, until condition: (Taker) -> Bool) async throws {
    let deadline = Instant.now().advanced(byMs: 20_000)
    while !condition(self) {
      try #require(Instant.now() < deadline, "\(what): \(batches.count) batches, \(records.count) records")
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

@Suite struct ServeItemFeedTests {
  private func makeFeed(_ broker: MockBroker) throws -> KafkaItemFeed {
    var settings = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: [:], environment: [:]
    ).kafka
    settings.bootstrapServers = broker.bootstrapServers
    return try KafkaItemFeed(settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  @Test func itWaitsForTheTopicReadsItFromTheStartAndGoesOnAfterTheBrokerWasAway() async throws {
    let broker = MockBroker()
    let feed = try makeFeed(broker)
    let taker = Taker()
    feed.start { taker.take($0, $1) }
    broker.createItems()
    try broker.produce([(0, "1", "a"), (1, "2", "b"), (0, "1", nil), (0, nil, "c")])
    try await taker.wait("the first records") { $0.records.count == 4 }
    try await taker.wait("the end") { $0.batches.contains { $0.isCaughtUp } }
    let first = taker.records.filter { $0.partition == PartitionID(0) }
    #expect(first.map(\.offset) == [Offset(0), Offset(1), Offset(2)])
    #expect(first.map(\.key) == [Array("1".utf8), Array("1".utf8), nil])
    #expect(first.map(\.value) == [Array("a".utf8), nil, Array("c".utf8)])
    broker.goDown()
    broker.comeBack()
    try broker.produce([(1, "3", "d")])
    try await taker.wait("a record after the broker came back") { $0.records.count == 5 }
    #expect(taker.batches.count { $0.isCaughtUp } == 1)
    await feed.stop()
  }

  @Test func itReadsNoFurtherThanAFewBatchesAheadOfWhatIsApplied() async throws {
    let broker = MockBroker()
    broker.createItems()
    let count = 4_000
    try broker.produce((0..<count).map { (Int32($0 % 2), "\($0)", "x") })
    let feed = try makeFeed(broker)
    let taker = Taker()
    taker.hold()
    feed.start { taker.take($0, $1) }
    while taker.records.count < count {
      try await taker.wait("as many batches as may be under way") {
        $0.heldCount >= KafkaItemFeed.batchesInFlight || $0.records.count == count
      }
      taker.releaseOldest()
    }
    #expect(taker.mostHeld == KafkaItemFeed.batchesInFlight)
    #expect(taker.batches.count > 3 * KafkaItemFeed.batchesInFlight)
    taker.release()
    await feed.stop()
  }

  @Test func itStopsWhileNothingIsApplied() async throws {
    let broker = MockBroker()
    broker.createItems()
    try broker.produce((0..<2_000).map { (Int32($0 % 2), "\($0)", "x") })
    let feed = try makeFeed(broker)
    let taker = Taker()
    taker.hold()
    feed.start { taker.take($0, $1) }
    try await taker.wait("the batches that may be under way") { $0.batches.count == KafkaItemFeed.batchesInFlight }
    await feed.stop()
    taker.release()
    #expect(taker.batches.count == KafkaItemFeed.batchesInFlight)
  }

  @Test func anUnknownKafkaPropertyIsRefusedBeforeAnythingStarts() throws {
    var configuration = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: [:], environment: [:])
    configuration.kafka.properties["no.such.property"] = "1"
    let error = #expect(throws: KafkaError.self) {
      try ServeRole(
        configuration: configuration, options: ServeOptions(port: 0, httpPort: 0, failFast: false),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
    #expect(error?.reason == .invalidProperty)
  }
}

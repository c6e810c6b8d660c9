import CRdKafka
import FreshetCore
import FreshetKafka
import Synchronization
import Testing

@Suite struct KafkaTrackingProducerTests {
  /// What has been told of each tag.
  private final class Deliveries: Sendable {
    private let state = Mutex<[UInt: [KafkaDelivery]]>([:])
    func add(_ tag: UInt, _ delivery: KafkaDelivery) { state.withLock { $0[tag, default: []].append(delivery) } }
    var all: [UInt: [KafkaDelivery]] { state.withLock { $0 } }
    var count: Int { all.count }
  }

  private func producer(
    _ configuration: KafkaConfiguration, _ deliveries: Deliveries, timeoutMs: Int = 20_000
  ) throws -> KafkaTrackingProducer {
    var options = KafkaProducer.Options()
    options.lingerMs = 1
    options.deliveryTimeoutMs = timeoutMs
    return try KafkaTrackingProducer(configuration, topics: ["t"], options: options, onError: { _ in }) {
      deliveries.add($0, $1)
    }
  }

  private func produce(_ producer: KafkaTrackingProducer, _ text: String, partition: Int32?, tag: UInt) throws {
    let bytes = Array(text.utf8)
    try bytes.withUnsafeBytes {
      try producer.produce("t", partition: partition.map { PartitionID($0) }, key: nil, value: $0, tag: tag)
    }
  }

  @Test func eachRecordIsToldOnceWithItsPartitionAndOffset() throws {
    let mock = MockCluster(topics: ["t": 2])
    let deliveries = Deliveries()
    let producer = try producer(mock.configuration(), deliveries)
    for i in 0..<200 { try produce(producer, "value \(i)", partition: Int32(i % 2), tag: UInt(i + 1)) }
    try eventually("200 deliveries") {
      producer.poll(timeoutMs: 100)
      return deliveries.count == 200
    }
    #expect(producer.recordsInFlight == 0 && producer.fatalError == nil)
    let consumer = try consumer(mock.configuration())
    try consumer.assign([
      KafkaPosition(partition(0), offset: Offset(0)), KafkaPosition(partition(1), offset: Offset(0)),
    ])
    for seen in try consumer.read(200) {
      let number = try #require(seen.value.flatMap { UInt($0.dropFirst("value ".count)) })
      guard case .written(let at, let offset)? = deliveries.all[number + 1]?.first else {
        Issue.record("record \(number) was not told")
        continue
      }
      #expect(at.value == seen.partition && offset.value == seen.offset && deliveries.all[number + 1]?.count == 1)
    }
  }

  @Test func aRecordThatNoBrokerWasSentWasNotWritten() throws {
    let mock = MockCluster(topics: ["t": 1])
    let deliveries = Deliveries()
    let producer = try producer(mock.configuration(), deliveries, timeoutMs: 1_000)
    mock.goDown()
    try produce(producer, "x", partition: 0, tag: 9)
    try eventually("a delivery") {
      producer.poll(timeoutMs: 100)
      return deliveries.count == 1
    }
    guard case .failed(let error, let mayBeWritten)? = deliveries.all[9]?.first else {
      Issue.record("it was written to a broker that is down")
      return
    }
    #expect(!mayBeWritten && error.isRetriable && error.topic == "t")
  }

  @Test func aRefusedRecordIsForGood() throws {
    let mock = MockCluster(topics: ["t": 1])
    let deliveries = Deliveries()
    let producer = try producer(mock.configuration(), deliveries)
    mock.fail(.produce, with: [RD_KAFKA_RESP_ERR_POLICY_VIOLATION])
    try produce(producer, "x", partition: 0, tag: 1)
    try eventually("a delivery") {
      producer.poll(timeoutMs: 100)
      return deliveries.count == 1
    }
    guard case .failed(let error, false)? = deliveries.all[1]?.first else {
      Issue.record("\(String(describing: deliveries.all[1]))")
      return
    }
    #expect(error.errorName == "POLICY_VIOLATION" && !error.isRetriable)
  }

  @Test func whatCannotBeQueuedThrowsAndIsNotTold() throws {
    let mock = MockCluster(topics: ["t": 1])
    let deliveries = Deliveries()
    let producer = try producer(mock.configuration(), deliveries)
    let error = #expect(throws: KafkaError.self) {
      try produce(producer, String(repeating: "x", count: 2_000_000), partition: 0, tag: 1)
    }
    #expect(error?.reason == .messageTooLarge && error?.message.contains("2000000") == true)
    producer.poll(timeoutMs: 100)
    #expect(deliveries.count == 0 && producer.recordsInFlight == 0)
  }

  @Test func purgedRecordsAreToldAsGivenUp() throws {
    let mock = MockCluster(topics: ["t": 1])
    let deliveries = Deliveries()
    let producer = try producer(mock.configuration(), deliveries)
    mock.goDown()
    for tag in 1...5 { try produce(producer, "x", partition: 0, tag: UInt(tag)) }
    producer.purge()
    try eventually("5 deliveries") {
      producer.poll(timeoutMs: 100)
      return deliveries.count == 5
    }
    #expect(producer.recordsInFlight == 0)
    #expect(
      deliveries.all.values.allSatisfy { if case .failed(let error, _) = $0[0] { error.isRetriable } else { false } })
  }

  @Test func aProducerThatTheBrokerLostTrackOfSaysSoAndTellsOfAllThatItHad() throws {
    let mock = MockCluster(topics: ["t": 1])
    let deliveries = Deliveries()
    let producer = try producer(mock.configuration(["enable.gapless.guarantee": "true"]), deliveries)
    mock.fail(.produce, with: [RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER])
    for tag in 1...3 { try produce(producer, "x", partition: 0, tag: UInt(tag)) }
    try eventually("a fatal error") {
      producer.poll(timeoutMs: 100)
      return producer.fatalError != nil
    }
    producer.purge()
    try eventually("3 deliveries") {
      producer.poll(timeoutMs: 100)
      return deliveries.count == 3
    }
    let error = #expect(throws: KafkaError.self) { try produce(producer, "x", partition: 0, tag: 4) }
    #expect(error?.isFatal == true && producer.recordsInFlight == 0 && deliveries.all[4] == nil)
  }

  @Test func aTopicThatIsNotThereIsNotDescribed() throws {
    let mock = MockCluster(topics: ["t": 3])
    let admin = try KafkaAdmin(mock.configuration())
    #expect(try admin.describe(["other"], timeoutMs: 10_000).isEmpty)
  }
}

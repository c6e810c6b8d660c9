import CRdKafka
import FreshetCore
import FreshetKafka
import Synchronization
import Testing

@Suite struct KafkaFailureTests {
  @Test func anOversizedRecordIsATypedErrorAndTheProducerLivesOn() throws {
    let mock = MockCluster(topics: ["t": 1])
    let producer = try KafkaProducer(mock.configuration())
    let topic = try producer.topic("t")
    let error = try #require(throws: KafkaError.self) {
      try producer.produce(topic, partition: PartitionID(0), key: nil, value: [UInt8](repeating: 0, count: 2_000_000))
    }
    #expect(error.reason == .messageTooLarge)
    #expect(error.topic == "t" && error.partition == PartitionID(0))
    #expect(error.message.contains("2000000"))
    try producer.produce(topic, partition: PartitionID(0), key: nil, value: [1])
    try producer.flush(timeoutMs: 20_000)
    #expect(producer.failedRecords == 0)
  }

  @Test func aRecordThatTheBrokerRefusesMakesFlushThrowOnce() throws {
    let mock = MockCluster(topics: ["t": 1])
    let producer = try KafkaProducer(mock.configuration())
    var reported: [KafkaError] = []
    producer.onError = { reported.append($0) }
    let topic = try producer.topic("t")
    mock.fail(.produce, with: [RD_KAFKA_RESP_ERR_POLICY_VIOLATION])
    try producer.produce(topic, partition: PartitionID(0), key: nil, value: [1])
    let error = try #require(throws: KafkaError.self) { try producer.flush(timeoutMs: 20_000) }
    #expect(error.reason == .deliveryFailed)
    #expect(error.errorName == "POLICY_VIOLATION")
    #expect(error.topic == "t" && error.partition == PartitionID(0))
    #expect(producer.failedRecords == 1)
    #expect(reported.map(\.errorName) == ["POLICY_VIOLATION"])
    try producer.produce(topic, partition: PartitionID(0), key: nil, value: [2])
    try producer.flush(timeoutMs: 20_000)
  }

  @Test func recordsThatNoBrokerTakesInTimeFail() throws {
    let mock = MockCluster(topics: ["t": 1])
    var options = KafkaProducer.Options()
    options.deliveryTimeoutMs = 1_000
    let producer = try KafkaProducer(mock.configuration(), options: options)
    let topic = try producer.topic("t")
    mock.goDown()
    for i in 0..<10 { try producer.produce(topic, partition: PartitionID(0), key: nil, value: [UInt8(i)]) }
    let error = try #require(throws: KafkaError.self) { try producer.flush(timeoutMs: 20_000) }
    #expect(error.reason == .deliveryFailed)
    #expect(error.message.contains("10 records"))
    #expect(producer.failedRecords == 10)
  }

  @Test func aFullQueueWaitsForItsBoundAndThenThrows() throws {
    let mock = MockCluster(topics: ["t": 1])
    var options = KafkaProducer.Options()
    options.queueRecords = 5
    options.maxBlockMs = 300
    let producer = try KafkaProducer(mock.configuration(), options: options)
    let topic = try producer.topic("t")
    mock.goDown()
    for i in 0..<5 { try producer.produce(topic, partition: PartitionID(0), key: nil, value: [UInt8(i)]) }
    let start = Instant.now()
    let error = try #require(throws: KafkaError.self) {
      try producer.produce(topic, partition: PartitionID(0), key: nil, value: [5])
    }
    #expect(error.reason == .queueFull && error.isRetriable)
    #expect(Instant.now().milliseconds(since: start) >= 290)
    #expect(producer.recordsInFlight == 5)
    let late = try #require(throws: KafkaError.self) { try producer.flush(timeoutMs: 100) }
    #expect(late.reason == .timedOut)
    mock.comeBack()
    try producer.flush(timeoutMs: 30_000)
    try producer.produce(topic, partition: PartitionID(0), key: nil, value: [5])
    try producer.flush(timeoutMs: 30_000)
    #expect(producer.failedRecords == 0)
  }

  @Test func aBrokerThatGoesAwayIsAnEventWithItsAddressAndReadingGoesOnWhenItIsBack() throws {
    let lines = Mutex<[KafkaLogLine]>([])
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<10)
    let reader = try consumer(mock.configuration { line in lines.withLock { $0.append(line) } })
    try reader.assign([KafkaPosition("t", PartitionID(0), offset: Offset(0))])
    #expect(try reader.read(10).count == 10)
    mock.goDown()
    var errors: [KafkaError] = []
    try eventually("a broker error") {
      try reader.poll(maxRecords: 10, timeoutMs: 100) { event in
        if case .error(let error) = event { errors.append(error) }
      } onRecord: { _ in
      }
      return errors.contains { $0.broker == mock.bootstrapServers }
    }
    #expect(errors.allSatisfy { $0.reason == .brokerUnreachable && $0.isRetriable && !$0.isFatal })
    #expect(lines.withLock { $0.contains { $0.message.contains(mock.bootstrapServers) } })
    mock.comeBack()
    try fill(mock.configuration(), values: 10..<20)
    #expect(try reader.read(10, within: 40).map(\.offset) == Array(10..<20))
  }

  @Test func aConsumerThatAsksForAnOffsetOutOfRangeIsTold() throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<10)
    let reader = try consumer(mock.configuration(), offsetReset: .error)
    try reader.assign([KafkaPosition("t", PartitionID(0), offset: Offset(500))])
    var told: KafkaError?
    try eventually("the error") {
      try reader.poll(maxRecords: 10, timeoutMs: 100) { event in
        if case .error(let error) = event { told = error }
      } onRecord: { _ in
        Issue.record("a record from nowhere")
      }
      return told != nil
    }
    #expect(told?.reason == .offsetOutOfRange)
    #expect(told?.topic == "t" && told?.partition == PartitionID(0))
    // The caller may choose another place and go on.
    try reader.seek(partition(0), to: Offset(8))
    #expect(try reader.read(2).map(\.offset) == [8, 9])
  }

  @Test func aMissingTopicIsAnEventNotACrash() throws {
    let mock = MockCluster(topics: ["t": 1])
    let reader = try consumer(mock.configuration(["allow.auto.create.topics": "false"]))
    try reader.assign([KafkaPosition("t", PartitionID(7), offset: Offset(0))])
    var told: KafkaError?
    try eventually("the error") {
      try reader.poll(maxRecords: 10, timeoutMs: 100) { event in
        if case .error(let error) = event { told = error }
      } onRecord: { _ in
      }
      return told != nil
    }
    #expect(told?.reason == .unknownTopic)
    #expect(told?.topic == "t" && told?.partition == PartitionID(7))
  }

  @Test func aCommitThatFailsLaterIsAnEvent() throws {
    let mock = MockCluster(topics: ["t": 1])
    let member = try consumer(mock.configuration())
    try member.subscribe(["t"])
    try member.waitForAssignment(1)
    mock.fail(.commitOffsets, with: [RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED])
    try member.commitLater([KafkaPosition("t", PartitionID(0), offset: Offset(1))])
    var told: KafkaError?
    try eventually("the error") {
      try member.poll(maxRecords: 10, timeoutMs: 100) { event in
        if case .error(let error) = event { told = error }
      } onRecord: { _ in
      }
      return told != nil
    }
    #expect(told?.errorName == "GROUP_AUTHORIZATION_FAILED")
    #expect(told?.topic == "t" && told?.partition == PartitionID(0))
  }

  @Test func clientsCanBeDroppedWhileNoBrokerAnswers() throws {
    let mock = MockCluster(topics: ["t": 1])
    let start: Instant
    do {
      let member = try consumer(mock.configuration())
      try member.subscribe(["t"])
      try member.waitForAssignment(1)
      let producer = try KafkaProducer(mock.configuration())
      mock.goDown()
      try producer.produce(try producer.topic("t"), partition: PartitionID(0), key: nil, value: [1])
      start = Instant.now()
      member.close()
    }
    #expect(Instant.now().milliseconds(since: start) < 10_000)
  }

  @Test func aClosedConsumerThrowsInsteadOfTrapping() throws {
    let mock = MockCluster(topics: ["t": 1])
    let reader = try consumer(mock.configuration())
    try reader.subscribe(["t"])
    reader.close()
    reader.close()
    #expect(throws: KafkaError.self) {
      try reader.poll(maxRecords: 1, timeoutMs: 1, onEvent: { _ in }, onRecord: { _ in })
    }
    #expect(throws: KafkaError.self) { try reader.commit([], timeoutMs: 1) }
  }
}

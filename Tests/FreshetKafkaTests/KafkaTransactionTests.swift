import CRdKafka
import FreshetCore
import FreshetKafka
import Testing

@Suite struct KafkaTransactionTests {
  private func producer(_ mock: MockCluster) throws -> KafkaProducer {
    let producer = try KafkaProducer(mock.configuration(), options: .init(transactionalID: "tx"))
    try producer.initTransactions(timeoutMs: 20_000)
    return producer
  }

  private func write(_ producer: KafkaProducer, _ byte: UInt8) throws {
    try producer.produce(try producer.topic("t"), partition: PartitionID(0), key: nil, value: [byte])
  }

  @Test func aFencedProducerGetsAFatalTypedError() throws {
    let mock = MockCluster(topics: ["t": 1])
    let producer = try producer(mock)
    try producer.beginTransaction()
    mock.fail(.addPartitionsToTransaction, with: [RD_KAFKA_RESP_ERR_PRODUCER_FENCED])
    try write(producer, 65)
    let error = try #require(throws: KafkaError.self) { try producer.commitTransaction(timeoutMs: 10_000) }
    #expect(error.reason == .fenced)
    #expect(error.isFatal && !error.isRetriable && !error.requiresAbort)
    let after = try #require(throws: KafkaError.self) { try producer.beginTransaction() }
    #expect(after.isFatal)
    let produced = try #require(throws: KafkaError.self) { try write(producer, 66) }
    #expect(produced.isFatal && produced.reason == .fenced)
  }

  @Test func anAbortableErrorSaysSoAndTheNextTransactionWorks() throws {
    let mock = MockCluster(topics: ["t": 1, "in": 1])
    let reader = try consumer(mock.configuration())
    try reader.subscribe(["in"])
    try reader.waitForAssignment(1)
    let producer = try producer(mock)
    try producer.beginTransaction()
    try write(producer, 65)
    mock.fail(.addOffsetsToTransaction, with: [RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED])
    let error = try #require(throws: KafkaError.self) {
      try producer.sendOffsets(
        [KafkaPosition("in", PartitionID(0), offset: Offset(1))], of: reader, timeoutMs: 10_000)
    }
    #expect(error.requiresAbort && !error.isFatal)
    try producer.abortTransaction(timeoutMs: 10_000)
    try producer.beginTransaction()
    try write(producer, 66)
    try producer.commitTransaction(timeoutMs: 10_000)
  }

  @Test func aCoordinatorThatIsStillLoadingOnlyDelays() throws {
    let mock = MockCluster(topics: ["t": 1])
    mock.fail(
      .initProducerID,
      with: [RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS])
    let producer = try producer(mock)
    try producer.beginTransaction()
    mock.fail(.endTransaction, with: [RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS])
    try write(producer, 65)
    try producer.commitTransaction(timeoutMs: 20_000)
  }

  @Test func usingTransactionsOutOfOrderIsATypedError() throws {
    let mock = MockCluster(topics: ["t": 1])
    let plain = try KafkaProducer(mock.configuration())
    let unconfigured = try #require(throws: KafkaError.self) { try plain.initTransactions(timeoutMs: 1_000) }
    #expect(unconfigured.reason == .transaction)
    let producer = try producer(mock)
    #expect(throws: KafkaError.self) { try producer.commitTransaction(timeoutMs: 1_000) }
    #expect(throws: KafkaError.self) { try write(producer, 65) }
  }
}

import FreshetCore
import FreshetKafka
import Testing

@Suite struct KafkaAdminTests {
  @Test func partitionCountsAreThoseOfTheCluster() throws {
    let mock = MockCluster(brokers: 3, topics: ["features": 4, "items": 1])
    let admin = try KafkaAdmin(mock.configuration())
    let counts = try admin.partitionCounts(timeoutMs: 10_000)
    #expect(counts["features"] == 4 && counts["items"] == 1)
    #expect(try admin.partitionCount(of: "features", timeoutMs: 10_000) == 4)
    #expect(try admin.partitionCount(of: "absent", timeoutMs: 10_000) == nil)
  }

  @Test func waitingForABrokerReportsEachFailureWithItsAddressAndEndsWhenItIsThere() throws {
    let mock = MockCluster(topics: ["t": 1])
    mock.goDown()
    let admin = try KafkaAdmin(mock.configuration())
    var attempts: [Int] = []
    try admin.waitUntilReachable(attemptMs: 300, backoff: Backoff(baseMs: 20, capMs: 100, seed: 1)) { failure in
      attempts.append(failure.attempt)
      #expect(failure.error.reason == .brokerUnreachable || failure.error.reason == .timedOut)
      #expect(failure.error.broker == mock.bootstrapServers)
      #expect(failure.error.message.contains(mock.bootstrapServers))
      #expect((10...100).contains(failure.retryInMs))
      if failure.attempt == 3 { mock.comeBack() }
      return failure.attempt < 100
    }
    #expect(attempts.count >= 3)
    #expect(attempts == Array(1...attempts.count))
  }

  @Test func waitingForABrokerGivesUpWhenTold() throws {
    let admin = try KafkaAdmin(KafkaConfiguration(bootstrapServers: "127.0.0.1:1"))
    let error = try #require(throws: KafkaError.self) {
      try admin.waitUntilReachable(attemptMs: 500, backoff: Backoff(baseMs: 10, capMs: 20, seed: 1)) { _ in false }
    }
    #expect(error.reason == .brokerUnreachable)
    #expect(error.broker == "127.0.0.1:1")
    #expect(error.message.contains("127.0.0.1:1"))
  }

  @Test func anExistingTopicWithAnotherPartitionCountIsReported() throws {
    let mock = MockCluster(topics: ["t": 4])
    let admin = try KafkaAdmin(mock.configuration())
    func topic(_ partitions: Int) -> KafkaTopicSpecification {
      KafkaTopicSpecification("t", partitions: partitions, replicationFactor: 1, properties: [:])
    }
    #expect(try admin.createTopics([topic(4)], timeoutMs: 10_000) == [])
    let error = try #require(throws: KafkaError.self) { try admin.createTopics([topic(2)], timeoutMs: 10_000) }
    #expect(error.reason == .partitionCountMismatch)
    #expect(error.topic == "t")
    #expect(error.message.contains("4") && error.message.contains("2"))
  }
}

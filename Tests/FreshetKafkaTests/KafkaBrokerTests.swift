import FreshetCore
import FreshetKafka
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

private let servers = getenv("KAFKA_BOOTSTRAP_SERVERS").map { String(cString: $0) }

/// What the mock cluster cannot do, against the broker that `KAFKA_BOOTSTRAP_SERVERS` names.
@Suite(.enabled(if: servers != nil, "needs KAFKA_BOOTSTRAP_SERVERS"))
struct KafkaBrokerTests {
  private let configuration = KafkaConfiguration(bootstrapServers: servers ?? "")
  private let run = "\(UnixTime.now().milliseconds)-\(getpid())"

  private func newTopic(_ name: String, partitions: Int) throws -> String {
    let topic = "test-\(name)-\(run)"
    let admin = try KafkaAdmin(configuration)
    let specification = KafkaTopicSpecification(topic, partitions: partitions, replicationFactor: 1, properties: [:])
    #expect(try admin.createTopics([specification], timeoutMs: 20_000) == [topic])
    return topic
  }

  private func transactional(_ id: String) throws -> KafkaProducer {
    let producer = try KafkaProducer(configuration, options: .init(transactionalID: "\(id)-\(run)"))
    try producer.initTransactions(timeoutMs: 30_000)
    return producer
  }

  @Test func topicsAreCreatedOnceAndAnotherPartitionCountIsReported() throws {
    let admin = try KafkaAdmin(configuration)
    let name = "test-create-\(run)"
    func topic(_ partitions: Int) -> KafkaTopicSpecification {
      KafkaTopicSpecification(
        name, partitions: partitions, replicationFactor: 1, properties: ["cleanup.policy": "compact"])
    }
    #expect(try admin.partitionCount(of: name, timeoutMs: 10_000) == nil)
    #expect(try admin.createTopics([topic(3)], timeoutMs: 20_000) == [name])
    #expect(try admin.partitionCount(of: name, timeoutMs: 10_000) == 3)
    #expect(try admin.createTopics([topic(3)], timeoutMs: 20_000) == [])
    let error = try #require(throws: KafkaError.self) { try admin.createTopics([topic(2)], timeoutMs: 20_000) }
    #expect(error.reason == .partitionCountMismatch && error.topic == name)
  }

  @Test func topicsAreDescribedWithTheirPartitionsAndProperties() throws {
    let admin = try KafkaAdmin(configuration)
    let name = "test-describe-\(run)"
    let specification = KafkaTopicSpecification(
      name, partitions: 3, replicationFactor: 1, properties: ["cleanup.policy": "compact"])
    _ = try admin.createTopics([specification], timeoutMs: 20_000)
    let described = try admin.describe([name, "test-none-\(run)"], timeoutMs: 20_000)
    #expect(described.keys.sorted() == [name])
    let topic = try #require(described[name])
    #expect(topic.name == name && topic.properties["cleanup.policy"] == "compact")
    #expect(topic.partitions.map(\.id.value) == [0, 1, 2])
    for partition in topic.partitions {
      #expect(partition.leader >= 0 && partition.replicas.contains(partition.leader))
      #expect(partition.inSync.contains(partition.leader))
    }
  }

  @Test func abortedRecordsAreNotSeenAndCommittedOnesAre() throws {
    let topic = try newTopic("abort", partitions: 1)
    let producer = try transactional("abort")
    for (text, commits) in [("one", true), ("two", false), ("three", true)] {
      try producer.beginTransaction()
      try producer.produce(try producer.topic(topic), partition: PartitionID(0), key: nil, value: Array(text.utf8))
      if commits {
        try producer.commitTransaction(timeoutMs: 20_000)
      } else {
        try producer.flush(timeoutMs: 20_000)
        try producer.abortTransaction(timeoutMs: 20_000)
      }
    }
    let reader = try consumer(configuration, group: "abort-\(run)")
    try reader.assign([KafkaPosition(topic, PartitionID(0), offset: Offset(0))])
    #expect(try reader.read(2).map(\.value) == ["one", "three"])
  }

  @Test func offsetsAndMetadataAreCommittedWithTheTransactionOrNotAtAll() throws {
    let topic = try newTopic("offsets", partitions: 1)
    try fill(configuration, topic: topic, values: 0..<10)
    let reader = try consumer(configuration, group: "offsets-\(run)")
    try reader.subscribe([topic])
    #expect(try reader.read(10).count == 10)
    let producer = try transactional("offsets")
    func send(_ offset: Int64, _ metadata: String) throws {
      try producer.beginTransaction()
      try producer.sendOffsets(
        [KafkaPosition(topic, PartitionID(0), offset: Offset(offset), metadata: metadata)], of: reader,
        timeoutMs: 20_000)
    }
    try send(4, "low=3")
    try producer.commitTransaction(timeoutMs: 20_000)
    try send(9, "low=8")
    try producer.abortTransaction(timeoutMs: 20_000)
    let committed = try reader.committed([partition(0, of: topic)], timeoutMs: 20_000)
    #expect(committed == [KafkaPosition(topic, PartitionID(0), offset: Offset(4), metadata: "low=3")])
  }

  @Test func aNewerProducerOfTheSameTransactionalIDFencesTheOlder() throws {
    let topic = try newTopic("fence", partitions: 1)
    let older = try transactional("fence")
    try older.beginTransaction()
    try older.produce(try older.topic(topic), partition: PartitionID(0), key: nil, value: [65])
    try older.flush(timeoutMs: 20_000)
    let newer = try transactional("fence")
    let error = try #require(throws: KafkaError.self) { try older.commitTransaction(timeoutMs: 20_000) }
    #expect(error.reason == .fenced && error.isFatal)
    try newer.beginTransaction()
    try newer.produce(try newer.topic(topic), partition: PartitionID(0), key: nil, value: [66])
    try newer.commitTransaction(timeoutMs: 20_000)
    let reader = try consumer(configuration, group: "fence-\(run)")
    try reader.assign([KafkaPosition(topic, PartitionID(0), offset: Offset(0))])
    #expect(try reader.read(1).map(\.value) == ["B"])
  }

  @Test func aMemberThatBeganPausedReadsFromWhereItWasToldAlsoAfterARestart() throws {
    let topic = try newTopic("paused", partitions: 2)
    for number in 0..<2 as Range<Int32> { try fill(configuration, topic: topic, partition: number, values: 0..<50) }
    var starts: [Int64] = [10, 30]
    for _ in 0..<3 {
      let member = try consumer(configuration, group: "paused-\(run)", startPaused: true)
      try member.subscribe([topic])
      #expect(try member.waitForAssignment(2).isEmpty)
      for number in 0..<2 as Range<Int32> {
        try member.seek(partition(number, of: topic), to: Offset(starts[Int(number)]))
        try member.resume(partition(number, of: topic))
      }
      let seen = try member.read(100 - Int(starts[0] + starts[1]))
      for number in 0..<2 as Range<Int32> {
        let offsets = seen.filter { $0.partition == number }.map(\.offset)
        #expect(offsets == Array(starts[Int(number)]..<50))
      }
      starts = starts.map { $0 + 7 }
      member.close()
    }
  }

  @Test func twoMembersShareTheTopicAndWhoLeavesHandsOverWhatItHasCommitted() throws {
    let topic = try newTopic("share", partitions: 4)
    for number in 0..<4 as Range<Int32> { try fill(configuration, topic: topic, partition: number, values: 0..<20) }
    let group = "share-\(run)"
    var seen: [Seen] = []
    func poll(_ member: KafkaConsumer) throws {
      try member.poll(maxRecords: 100, timeoutMs: 20, onEvent: { _ in }) { seen.append(Seen($0)) }
    }
    func commit(_ member: KafkaConsumer) throws {
      let positions = try member.assignment.compactMap { place in
        try member.position(place).map { KafkaPosition(place, offset: $0) }
      }
      try member.commit(positions, timeoutMs: 10_000)
    }
    let first = try consumer(configuration, group: group)
    try first.subscribe([topic])
    try eventually("all records") {
      try poll(first)
      return seen.count >= 80
    }
    try commit(first)
    let second = try consumer(configuration, group: group)
    try second.subscribe([topic])
    try eventually("two partitions each") {
      try poll(first)
      try poll(second)
      return first.assignment.count == 2 && second.assignment.count == 2
    }
    for number in 0..<4 as Range<Int32> { try fill(configuration, topic: topic, partition: number, values: 20..<25) }
    try eventually("the new records") {
      try poll(first)
      try poll(second)
      return seen.count >= 100
    }
    try commit(first)
    try commit(second)
    first.close()
    try eventually("all partitions with the second") {
      try poll(second)
      return second.assignment.count == 4
    }
    for number in 0..<4 as Range<Int32> { try fill(configuration, topic: topic, partition: number, values: 25..<26) }
    try eventually("the last records") {
      try poll(second)
      return seen.count >= 104
    }
    for number in 0..<4 as Range<Int32> {
      #expect(seen.filter { $0.partition == number }.map(\.offset) == Array(0..<26))
    }
  }

  @Test func aCommittedOffsetThatTheLogDoesNotHaveIsReportedAndAnotherPlaceCanBeChosen() throws {
    let topic = try newTopic("range", partitions: 2)
    for number in 0..<2 as Range<Int32> { try fill(configuration, topic: topic, partition: number, values: 0..<10) }
    let reader = try consumer(configuration, group: "range-\(run)", offsetReset: .error)
    try reader.assign([
      KafkaPosition(topic, PartitionID(0), offset: Offset(500)),
      KafkaPosition(topic, PartitionID(1), offset: Offset(3)),
    ])
    var told: KafkaError?
    var others: [Int64] = []
    func poll() throws {
      try reader.poll(maxRecords: 10, timeoutMs: 100) { event in
        if case .error(let error) = event { told = error }
      } onRecord: { record in
        others.append(Int64(record.partition.value) * 100 + record.offset.value)
      }
    }
    try eventually("the error and the other partition") {
      try poll()
      return told != nil && others.count == 7
    }
    #expect(told?.reason == .offsetOutOfRange && told?.topic == topic && told?.partition == PartitionID(0))
    try reader.seek(partition(0, of: topic), to: Offset(8))
    try eventually("two more records") {
      try poll()
      return others.count >= 9
    }
    #expect(others == [103, 104, 105, 106, 107, 108, 109, 8, 9])
  }

  /// Also with a broker that answers empty fetches at once.
  @Test func anIdleConsumerLeavesTheProcessorAlone() throws {
    let topic = try newTopic("idle", partitions: 1)
    try fill(configuration, topic: topic, partition: 0, values: 0..<10)
    let reader = try consumer(configuration, group: "idle-\(run)")
    try reader.assign([KafkaPosition(topic, PartitionID(0), offset: Offset(0))])
    var count = 0
    func poll(_ milliseconds: Int) throws {
      try reader.poll(maxRecords: 100, timeoutMs: milliseconds) { _ in
      } onRecord: { _ in
        count += 1
      }
    }
    try eventually("all records") {
      try poll(100)
      return count == 10
    }
    let before = processorSeconds()
    let deadline = Instant.now().advanced(byMs: 2_000)
    while Instant.now() < deadline { try poll(500) }
    #expect(processorSeconds() - before < 0.4)
    reader.close()
  }

  /// What the whole process has used.
  private func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
  }
}

import FreshetCore
import FreshetKafka
import Testing

@Suite struct KafkaGroupTests {
  @Test func committedOffsetsAndMetadataComeBack() throws {
    let mock = MockCluster(topics: ["t": 2])
    try fill(mock.configuration(), values: 0..<10)
    let member = try consumer(mock.configuration())
    try member.subscribe(["t"])
    try member.waitForAssignment(2)
    try member.commit([KafkaPosition("t", PartitionID(0), offset: Offset(4), metadata: "low=2")], timeoutMs: 10_000)
    let committed = try member.committed([partition(0), partition(1)], timeoutMs: 10_000)
    #expect(committed.map(\.offset) == [Offset(4), .none])
    #expect(committed[0].metadata == "low=2")
    member.close()

    let successor = try consumer(mock.configuration())
    try successor.subscribe(["t"])
    #expect(try successor.read(6).map(\.offset) == Array(4..<10))
  }

  @Test func metadataThatKafkaWouldRefuseIsRefusedBeforeSending() throws {
    let mock = MockCluster(topics: ["t": 1])
    let member = try consumer(mock.configuration())
    let long = String(repeating: "x", count: 4_097)
    let error = try #require(throws: KafkaError.self) {
      try member.commit([KafkaPosition("t", PartitionID(0), offset: Offset(1), metadata: long)], timeoutMs: 1_000)
    }
    #expect(error.reason == .invalidArgument)
    #expect(error.message.contains("4097") && error.message.contains("4096"))
    #expect(error.topic == "t" && error.partition == PartitionID(0))
  }

  @Test func partitionsMoveToANewMemberAndBackWithoutLossOrRepetition() throws {
    let mock = MockCluster(topics: ["t": 4])
    for number in 0..<4 { try fill(mock.configuration(), partition: Int32(number), values: 0..<10) }
    let first = try consumer(mock.configuration())
    try first.subscribe(["t"])
    var seen: [Seen] = []
    var history: [String] = []
    func poll(_ member: KafkaConsumer, _ name: String) throws {
      try member.poll(maxRecords: 100, timeoutMs: 20) { event in
        switch event {
        case .assigned(let partitions): history.append("\(name) assigned \(partitions.count)")
        case .revoked(let partitions): history.append("\(name) revoked \(partitions.count)")
        case .lost(let partitions): history.append("\(name) lost \(partitions.count)")
        case .endOfPartition, .error: break
        }
      } onRecord: {
        seen.append(Seen($0))
      }
    }
    try eventually("all records by the first") {
      try poll(first, "first")
      return seen.count >= 40
    }
    try first.commit(
      try first.assignment.map { KafkaPosition($0, offset: try first.position($0) ?? Offset(0)) }, timeoutMs: 10_000)
    let second = try consumer(mock.configuration())
    try second.subscribe(["t"])
    try eventually("two partitions each") {
      try poll(first, "first")
      try poll(second, "second")
      return first.assignment.count == 2 && second.assignment.count == 2
    }
    #expect(Set(first.assignment).isDisjoint(with: second.assignment))
    second.close()
    try eventually("all partitions with the first again") {
      try poll(first, "first")
      return first.assignment.count == 4
    }
    for number in 0..<4 { try fill(mock.configuration(), partition: Int32(number), values: 10..<12) }
    try eventually("the new records") {
      try poll(first, "first")
      return seen.count >= 48
    }
    #expect(history.prefix(2) == ["first assigned 4", "first revoked 4"])
    #expect(history.last == "first assigned 4")
    // Nothing was read twice, because what had been read was committed.
    #expect(seen.count == 48)
    for number in 0..<4 as Range<Int32> {
      #expect(seen.filter { $0.partition == number }.map(\.offset) == Array(0..<12))
    }
  }

  @Test func aPausedMemberWhoseHandlerThrowsStillGivesItsPartitionsBack() throws {
    struct Thrown: Error {}
    let mock = MockCluster(topics: ["t": 2])
    let first = try consumer(mock.configuration(), startPaused: true)
    try first.subscribe(["t"])
    try first.waitForAssignment(2)
    let second = try consumer(mock.configuration(), startPaused: true)
    try second.subscribe(["t"])
    var thrown = 0
    try eventually("one partition each") {
      do {
        try first.poll(maxRecords: 1, timeoutMs: 20) { event in
          if case .revoked = event {
            thrown += 1
            throw Thrown()
          }
        } onRecord: { _ in
        }
      } catch is Thrown {}
      try second.poll(maxRecords: 1, timeoutMs: 20, onEvent: { _ in }, onRecord: { _ in })
      return first.assignment.count == 1 && second.assignment.count == 1
    }
    // A slow machine may see more than one rebalance.
    #expect(thrown >= 1)
  }
}

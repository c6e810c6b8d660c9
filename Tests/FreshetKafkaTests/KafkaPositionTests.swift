import FreshetCore
import FreshetKafka
import Testing

@Suite struct KafkaPositionTests {
  private struct Thrown: Error {}

  private func reader(_ mock: MockCluster, from offset: Int64 = 0) throws -> KafkaConsumer {
    let reader = try consumer(mock.configuration())
    try reader.assign([KafkaPosition("t", PartitionID(0), offset: Offset(offset))])
    return reader
  }

  @Test func aGroupMemberThatBeginsPausedDeliversNothingUntilSeekAndResume() throws {
    let mock = MockCluster(topics: ["t": 2])
    try fill(mock.configuration(), partition: 0, values: 0..<20)
    try fill(mock.configuration(), partition: 1, values: 0..<20)
    let reader = try consumer(mock.configuration(), startPaused: true)
    try reader.subscribe(["t"])
    #expect(try reader.waitForAssignment(2).isEmpty)
    let refused = try #require(throws: KafkaError.self) { try reader.resume(partition(0)) }
    #expect(refused.reason == .notPositioned)
    for _ in 0..<5 {
      #expect(try reader.poll(maxRecords: 10, timeoutMs: 50, onEvent: { _ in }, onRecord: { _ in }) == 0)
    }

    try reader.seek(partition(0), to: Offset(7))
    #expect(try reader.poll(maxRecords: 10, timeoutMs: 200, onEvent: { _ in }, onRecord: { _ in }) == 0)
    try reader.resume(partition(0))
    #expect(try reader.read(13).map { [Int64($0.partition), $0.offset] } == (7..<20).map { [0, $0] })
    try reader.seek(partition(1), to: Offset(19))
    try reader.resume(partition(1))
    #expect(try reader.read(1).map { [Int64($0.partition), $0.offset] } == [[1, 19]])
  }

  @Test func theLagIsWhatHasNotBeenDelivered() throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<20)
    let reader = try reader(mock, from: 5)
    #expect(try reader.read(6).last?.offset == 10)
    #expect(reader.lags == [ConsumerLag(partition(0), records: 9)])
    _ = try reader.read(9)
    #expect(reader.lags == [ConsumerLag(partition(0), records: 0)])
    try reader.seek(partition(0), to: Offset(3))
    #expect(reader.lags == [ConsumerLag(partition(0), records: 17)])
    reader.close()
    #expect(reader.lags == [])
  }

  @Test func seekAndResumeWorkFromInsideTheAssignedEvent() throws {
    let mock = MockCluster(topics: ["t": 2])
    try fill(mock.configuration(), partition: 0, values: 0..<10)
    try fill(mock.configuration(), partition: 1, values: 0..<10)
    let reader = try consumer(mock.configuration(), startPaused: true)
    try reader.subscribe(["t"])
    var seen: [[Int64]] = []
    try eventually("10 records") {
      try reader.poll(maxRecords: 100, timeoutMs: 100) { event in
        guard case .assigned(let partitions) = event else { return }
        for partition in partitions {
          try reader.seek(partition, to: Offset(5))
          try reader.resume(partition)
        }
      } onRecord: { record in
        seen.append([Int64(record.partition.value), record.offset.value])
      }
      return seen.count >= 10
    }
    #expect(seen.filter { $0[0] == 0 }.map { $0[1] } == [5, 6, 7, 8, 9])
    #expect(seen.filter { $0[0] == 1 }.map { $0[1] } == [5, 6, 7, 8, 9])
  }

  @Test(arguments: [3, 60] as [Int64])
  func aSeekInsideABatchDeliversNothingMoreOfTheOldPlace(target: Int64) throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<100)
    let reader = try reader(mock)
    var offsets: [Int64] = []
    try eventually("the last record") {
      try reader.poll(maxRecords: 100, timeoutMs: 100, onEvent: { _ in }) { record in
        offsets.append(record.offset.value)
        if offsets.count == 10 { try reader.seek(partition(0), to: Offset(target)) }
      }
      return offsets.last == 99
    }
    #expect(offsets == Array(0..<10) + Array(target..<100))
  }

  @Test func aPauseInsideABatchHoldsTheRestAndResumeLosesNothing() throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<100)
    let reader = try reader(mock)
    var offsets: [Int64] = []
    func step() throws {
      try reader.poll(maxRecords: 100, timeoutMs: 100, onEvent: { _ in }) { record in
        offsets.append(record.offset.value)
        if offsets.count == 30 { try reader.pause(partition(0)) }
      }
    }
    try eventually("30 records") {
      try step()
      return offsets.count >= 30
    }
    for _ in 0..<5 { try step() }
    #expect(offsets.count == 30)
    #expect(try reader.position(partition(0)) == Offset(30))
    #expect(try reader.isPaused(partition(0)))
    try reader.resume(partition(0))
    try eventually("the rest") {
      try step()
      return offsets.count >= 100
    }
    #expect(offsets == Array(0..<100))
  }

  @Test func afterAThrowTheNextPollBeginsWithTheSameRecord() throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<50)
    let reader = try reader(mock)
    var offsets: [Int64] = []
    var throwsLeft = 3
    try eventually("50 records") {
      do {
        try reader.poll(maxRecords: 50, timeoutMs: 100, onEvent: { _ in }) { record in
          if record.offset.value == 20, throwsLeft > 0 {
            throwsLeft -= 1
            throw Thrown()
          }
          offsets.append(record.offset.value)
        }
      } catch is Thrown {}
      return offsets.count >= 50
    }
    #expect(throwsLeft == 0)
    #expect(offsets == Array(0..<50))
  }

  @Test func aThrowLosesNothingOfTheOtherPartitionsInTheBatch() throws {
    let mock = MockCluster(topics: ["t": 3])
    for number in 0..<3 as Range<Int32> { try fill(mock.configuration(), partition: number, values: 0..<5) }
    let reader = try consumer(mock.configuration())
    try reader.assign((0..<3).map { KafkaPosition("t", PartitionID($0), offset: Offset(0)) })
    var throwsLeft = 12
    var largestBatch = 0
    var offsets: [[Int64]] = [[], [], []]
    try eventually("15 records") {
      do {
        let count = try reader.poll(maxRecords: 100, timeoutMs: 100, onEvent: { _ in }) { record in
          if throwsLeft > 0 {
            throwsLeft -= 1
            throw Thrown()
          }
          offsets[Int(record.partition.value)].append(record.offset.value)
        }
        largestBatch = max(largestBatch, count)
      } catch is Thrown {}
      return offsets.joined().count >= 15
    }
    #expect(largestBatch > 1)
    #expect(offsets == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]])
  }

  /// Whatever is done to the partitions, the next record delivered of each is the one at its position.
  @Test(arguments: 1...2 as ClosedRange<UInt64>)
  func aRandomScriptOfSeeksPausesResumesAndThrowsNeverSkipsNorRepeats(seed: UInt64) throws {
    let mock = MockCluster(topics: ["t": 2])
    for number in 0..<2 { try fill(mock.configuration(), partition: Int32(number), values: 0..<300) }
    let reader = try consumer(mock.configuration())
    try reader.assign((0..<2).map { KafkaPosition("t", PartitionID($0), offset: Offset(0)) })
    var random = SeededGenerator(seed: seed)
    var expected: [Int64] = [0, 0]
    var paused = [false, false]
    var delivered = 0

    func act() throws {
      let p = Int(random.next() % 2)
      switch random.next() % 3 {
      case 0:
        expected[p] = Int64(random.next() % 300)
        try reader.seek(partition(Int32(p)), to: Offset(expected[p]))
      case 1:
        try reader.pause(partition(Int32(p)))
        paused[p] = true
      default:
        try reader.resume(partition(Int32(p)))
        paused[p] = false
      }
    }
    try eventually(within: 60, "1500 records") {
      if random.next() % 4 == 0 { try act() }
      if paused == [true, true] || expected == [300, 300] { try act() }
      do {
        try reader.poll(maxRecords: 1 + Int(random.next() % 60), timeoutMs: 20, onEvent: { _ in }) { record in
          let p = Int(record.partition.value)
          #expect(!paused[p])
          #expect(record.offset.value == expected[p])
          if random.next() % 100 == 0 { throw Thrown() }
          expected[p] = record.offset.value + 1
          delivered += 1
          if random.next() % 40 == 0 { try act() }
        }
      } catch is Thrown {}
      return delivered >= 1_500
    }
  }

  @Test func aPartitionThatIsNotAssignedIsATypedError() throws {
    let mock = MockCluster(topics: ["t": 2])
    let reader = try reader(mock)
    let error = try #require(throws: KafkaError.self) { try reader.seek(partition(1), to: Offset(0)) }
    #expect(error.reason == .notAssigned)
    #expect(error.topic == "t" && error.partition == PartitionID(1))
    let negative = try #require(throws: KafkaError.self) { try reader.seek(partition(0), to: .none) }
    #expect(negative.reason == .invalidArgument)
  }
}

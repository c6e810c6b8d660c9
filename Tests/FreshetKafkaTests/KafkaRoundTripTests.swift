import FreshetCore
import FreshetKafka
import Testing

@Suite struct KafkaRoundTripTests {
  @Test func nullAndEmptyKeysAndValuesComeBackAsTheyWere() throws {
    let mock = MockCluster(topics: ["t": 1])
    let producer = try KafkaProducer(mock.configuration())
    let topic = try producer.topic("t")
    let zero = PartitionID(0)
    try producer.produce(topic, partition: zero, key: nil, value: Array("a".utf8))
    try producer.produce(topic, partition: zero, key: Array("k".utf8), value: nil)
    try producer.produce(topic, partition: zero, key: [], value: [])
    // An empty buffer need not have an address.
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    try producer.produce(topic, partition: zero, key: empty, value: empty)
    try producer.produce(topic, partition: zero, key: nil as [UInt8]?, value: nil)
    try producer.flush(timeoutMs: 20_000)

    let reader = try consumer(mock.configuration())
    try reader.assign([KafkaPosition("t", zero, offset: Offset(0))])
    let seen = try reader.read(5)
    #expect(seen.map(\.key) == [nil, "k", "", "", nil])
    #expect(seen.map(\.value) == ["a", nil, "", "", nil])
    #expect(seen.map(\.offset) == [0, 1, 2, 3, 4])
  }

  @Test func recordsOfAPartitionComeInOrderAndInBoundedBatches() throws {
    let mock = MockCluster(topics: ["t": 2])
    try fill(mock.configuration(), partition: 1, values: 0..<5_000)
    let reader = try consumer(mock.configuration())
    try reader.assign([KafkaPosition("t", PartitionID(1), offset: Offset(0))])
    var next: Int64 = 0
    try eventually("5000 records") {
      let before = next
      let count = try reader.poll(maxRecords: 64, timeoutMs: 100, onEvent: { _ in }) { record in
        #expect(record.offset.value == next)
        #expect(record.value.map { String(decoding: $0, as: UTF8.self) } == "value \(next)")
        #expect(record.topic == "t" && record.partition == PartitionID(1))
        let written = record.timestamp
        #expect(abs((written?.milliseconds ?? 0) - UnixTime.now().milliseconds) < 60_000)
        next += 1
      }
      #expect(count <= 64 && Int64(count) == next - before)
      return next == 5_000
    }
  }

  @Test func aPollDoesNotWaitForAFullBatch() throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<3)
    let reader = try consumer(mock.configuration())
    try reader.assign([KafkaPosition("t", PartitionID(0), offset: Offset(0))])
    let start = Instant.now()
    #expect(try reader.poll(maxRecords: 1_000, timeoutMs: 30_000, onEvent: { _ in }, onRecord: { _ in }) > 0)
    #expect(Instant.now().milliseconds(since: start) < 15_000)
  }

  @Test func aKeyAlwaysGoesToTheSamePartitionAndKeysSpread() throws {
    let mock = MockCluster(topics: ["t": 4])
    let producer = try KafkaProducer(mock.configuration())
    let topic = try producer.topic("t")
    for round in 0..<3 {
      for key in 0..<40 {
        try producer.produce(topic, partition: nil, key: Array("\(key)".utf8), value: Array("\(round)".utf8))
      }
    }
    try producer.flush(timeoutMs: 20_000)
    let reader = try consumer(mock.configuration())
    try reader.assign((0..<4).map { KafkaPosition("t", PartitionID($0), offset: Offset(0)) })
    var partitions: [String: Set<Int32>] = [:]
    for seen in try reader.read(120) { partitions[seen.key ?? "", default: []].insert(seen.partition) }
    #expect(partitions.count == 40)
    #expect(partitions.values.allSatisfy { $0.count == 1 })
    #expect(Set(partitions.values.joined()).count == 4)
    // As Java's clients choose.
    #expect(partitions["21"] == [Int32((murmur2(Array("21".utf8)) & 0x7fff_ffff) % 4)])
  }

  @Test func theEndOfAPartitionIsReportedAfterItsLastRecord() throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<10)
    let reader = try consumer(mock.configuration(), endOfPartitionEvents: true)
    try reader.assign([KafkaPosition("t", PartitionID(0), offset: Offset(0))])
    var count = 0
    var end: KafkaEvent?
    try eventually("the end of the partition") {
      try reader.poll(maxRecords: 100, timeoutMs: 100) { event in
        end = event
        #expect(count == 10)
      } onRecord: { _ in
        count += 1
      }
      return end != nil
    }
    #expect(end == .endOfPartition(partition(0), offset: Offset(10)))
  }

  @Test func watermarksTellWhatThePartitionHolds() throws {
    let mock = MockCluster(topics: ["t": 1])
    try fill(mock.configuration(), values: 0..<7)
    let reader = try consumer(mock.configuration())
    let watermarks = try reader.queryWatermarks(partition(0), timeoutMs: 10_000)
    #expect(watermarks.low == Offset(0) && watermarks.high == Offset(7))
  }

  /// Kafka's own variant of MurmurHash2, from its published definition, to compare the partitioner with.
  private func murmur2(_ bytes: [UInt8]) -> UInt32 {
    let m: UInt32 = 0x5bd1_e995
    var h = 0x9747_b28c ^ UInt32(bytes.count)
    var i = 0
    while i + 4 <= bytes.count {
      var k = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[i + $1]) << UInt32(8 * $1) }
      k = k &* m
      k = (k ^ (k >> 24)) &* m
      h = (h &* m) ^ k
      i += 4
    }
    if bytes.count > i {
      for j in stride(from: bytes.count - 1, through: i, by: -1) { h ^= UInt32(bytes[j]) << UInt32(8 * (j - i)) }
      h = h &* m
    }
    h = (h ^ (h >> 13)) &* m
    return h ^ (h >> 15)
  }
}

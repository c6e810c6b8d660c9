import FreshetCore
import FreshetKafka
import Testing

/// A copy of what a record held.
struct Seen: Equatable, Sendable {
  var partition: Int32
  var offset: Int64
  var key: String?
  var value: String?

  init(_ record: borrowing KafkaRecord) {
    partition = record.partition.value
    offset = record.offset.value
    key = record.key.map { String(decoding: $0, as: UTF8.self) }
    value = record.value.map { String(decoding: $0, as: UTF8.self) }
  }
}

/// Calls `attempt` until it returns true; fails after `seconds`.
func eventually(
  within seconds: Int = 20, _ what: String, sourceLocation: SourceLocation = #_sourceLocation,
  _ attempt: () throws -> Bool
) throws {
  let deadline = Instant.now().advanced(byMs: seconds * 1_000)
  while Instant.now() < deadline {
    if try attempt() { return }
  }
  Issue.record("not within \(seconds) s: \(what)", sourceLocation: sourceLocation)
  throw GaveUp(what: what)
}

struct GaveUp: Error { let what: String }

func partition(_ number: Int32, of topic: String = "t") -> KafkaTopicPartition {
  KafkaTopicPartition(topic, PartitionID(number))
}

/// Writes `value 0`, `value 1`, … to one partition and waits until they are there.
func fill(_ configuration: KafkaConfiguration, topic: String = "t", partition: Int32 = 0, values: Range<Int>) throws {
  let producer = try KafkaProducer(configuration)
  let handle = try producer.topic(topic)
  for i in values {
    try producer.produce(handle, partition: PartitionID(partition), key: nil, value: Array("value \(i)".utf8))
  }
  try producer.flush(timeoutMs: 20_000)
}

extension KafkaConsumer {
  /// Polls until `count` records have come.
  func read(_ count: Int, within seconds: Int = 20, sourceLocation: SourceLocation = #_sourceLocation) throws -> [Seen]
  {
    var seen: [Seen] = []
    try eventually(within: seconds, "\(count) records", sourceLocation: sourceLocation) {
      try poll(maxRecords: max(1, count - seen.count), timeoutMs: 100, onEvent: { _ in }) { seen.append(Seen($0)) }
      return seen.count >= count
    }
    return seen
  }

  /// Polls until the group has given it `count` partitions; returns the records that came with them.
  @discardableResult
  func waitForAssignment(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) throws -> [Seen] {
    var seen: [Seen] = []
    try eventually("an assignment of \(count) partitions", sourceLocation: sourceLocation) {
      try poll(maxRecords: 100, timeoutMs: 50, onEvent: { _ in }) { seen.append(Seen($0)) }
      return assignment.count == count
    }
    return seen
  }
}

func consumer(
  _ configuration: KafkaConfiguration, group: String = "g", startPaused: Bool = false,
  offsetReset: KafkaConsumer.OffsetReset = .earliest, endOfPartitionEvents: Bool = false
) throws -> KafkaConsumer {
  var options = KafkaConsumer.Options(groupID: group, offsetReset: offsetReset, startPaused: startPaused)
  options.endOfPartitionEvents = endOfPartitionEvents
  options.sessionTimeoutMs = 6_000
  return try KafkaConsumer(configuration, options: options)
}

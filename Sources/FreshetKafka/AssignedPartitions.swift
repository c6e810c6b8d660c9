import CRdKafka
import FreshetCore

/// What the consumer knows about one partition that it reads.
struct AssignedPartition {
  let topicPartition: KafkaTopicPartition
  /// The next offset to deliver; `nil` until the first record or seek tells.
  var position: Offset?
  /// Where the partition ended when its end was last reached, beyond any markers of transactions.
  var end: Offset?
  var isPaused: Bool
  /// It began paused, and has not been told where to start.
  var needsPosition: Bool
  /// The batch whose remaining records are not to be delivered, because the partition was moved while it was.
  var mutedBatch: UInt64 = 0
  /// librdkafka has handed out more than was delivered: go back to `position`.
  var needsRewind = false
  /// librdkafka has given up on the partition (its offset was out of range) and refuses to seek in it.
  var needsRestart = false
  /// librdkafka's topic object, once a record has shown it: cheaper to compare than a name.
  var topicPointer: OpaquePointer?
}

/// The partitions that a consumer reads now. Few, so a search is linear, and the last hit is tried first.
struct AssignedPartitions {
  private(set) var all: [AssignedPartition] = []
  private var last = 0

  subscript(index: Int) -> AssignedPartition {
    get { all[index] }
    _modify { yield &all[index] }
  }

  mutating func replace(_ partitions: [AssignedPartition]) {
    all = partitions
    last = 0
  }

  func index(of topicPartition: KafkaTopicPartition) -> Int? {
    all.firstIndex { $0.topicPartition == topicPartition }
  }

  /// The partition that a record belongs to; `nil` if it is not assigned any more.
  mutating func index(topic: OpaquePointer, partition: Int32) -> Int? {
    if last < all.count, all[last].topicPointer == topic, all[last].topicPartition.partition.value == partition {
      return last
    }
    var found = all.firstIndex { $0.topicPointer == topic && $0.topicPartition.partition.value == partition }
    if found == nil {
      let name = String(cString: rd_kafka_topic_name(topic))
      found = index(of: KafkaTopicPartition(name, PartitionID(partition)))
      if let found { all[found].topicPointer = topic }
    }
    if let found { last = found }
    return found
  }
}

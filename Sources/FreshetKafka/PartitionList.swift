import CRdKafka
import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Owns an `rd_kafka_topic_partition_list_t`.
struct PartitionList: ~Copyable {
  let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  init(_ partitions: [KafkaTopicPartition], offset: Int64 = Int64(RD_KAFKA_OFFSET_INVALID)) {
    pointer = rd_kafka_topic_partition_list_new(Int32(partitions.count))
    for partition in partitions { add(partition, offset: offset) }
  }

  init(_ positions: [KafkaPosition]) throws(KafkaError) {
    pointer = rd_kafka_topic_partition_list_new(Int32(positions.count))
    for position in positions {
      let size = position.metadata.utf8.count
      guard size <= KafkaPosition.maxMetadataBytes else {
        throw KafkaError(
          .invalidArgument,
          "commit metadata of \(position.topicPartition) has \(size) bytes, Kafka takes \(KafkaPosition.maxMetadataBytes)",
          topic: position.topicPartition.topic, partition: position.topicPartition.partition, offset: position.offset)
      }
      let element = add(position.topicPartition, offset: position.offset.value)
      guard size > 0 else { continue }
      // librdkafka frees it with the list.
      element.pointee.metadata = UnsafeMutableRawPointer(strdup(position.metadata))
      element.pointee.metadata_size = size
    }
  }

  @discardableResult
  private func add(_ partition: KafkaTopicPartition, offset: Int64) -> UnsafeMutablePointer<
    rd_kafka_topic_partition_t
  > {
    let element = rd_kafka_topic_partition_list_add(pointer, partition.topic, partition.partition.value)!
    element.pointee.offset = offset
    return element
  }

  func setOffset(_ offset: Offset, at index: Int) { pointer.pointee.elems[index].offset = offset.value }

  /// Throws the first error that librdkafka has noted beside a partition.
  func throwFirstError(doing: String, fallback: KafkaError.Reason = .broker) throws(KafkaError) {
    for i in 0..<Int(pointer.pointee.cnt) {
      let element = pointer.pointee.elems[i]
      guard element.err != RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
      throw KafkaError(
        element.err, doing: doing, fallback: fallback, topic: String(cString: element.topic),
        partition: PartitionID(element.partition), offset: element.offset < 0 ? nil : Offset(element.offset))
    }
  }

  var positions: [KafkaPosition] {
    (0..<Int(pointer.pointee.cnt)).map { i in
      let element = pointer.pointee.elems[i]
      let metadata = element.metadata.map {
        String(decoding: UnsafeRawBufferPointer(start: $0, count: element.metadata_size), as: UTF8.self)
      }
      return KafkaPosition(
        String(cString: element.topic), PartitionID(element.partition),
        offset: element.offset < 0 ? .none : Offset(element.offset), metadata: metadata ?? "")
    }
  }

  static func topicPartitions(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) -> [KafkaTopicPartition] {
    (0..<Int(list.pointee.cnt)).map { i in
      let element = list.pointee.elems[i]
      return KafkaTopicPartition(String(cString: element.topic), PartitionID(element.partition))
    }
  }

  deinit { rd_kafka_topic_partition_list_destroy(pointer) }
}

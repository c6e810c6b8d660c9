import CRdKafka
import FreshetCore

/// How many offsets of a partition a consumer has not read.
public struct ConsumerLag: Sendable, Equatable {
  /// How often it is worth asking.
  public static let intervalMs = 1_000.0

  public let partition: KafkaTopicPartition
  public let records: Int64

  public init(_ partition: KafkaTopicPartition, records: Int64) {
    self.partition = partition
    self.records = records
  }
}

extension KafkaConsumer {
  /// Of each assigned partition that has a position, from what the broker's last answer to a fetch said of the partition's end:
  /// nobody is asked. Markers of transactions count until `endOfPartition` has told that nothing is behind them.
  public var lags: [ConsumerLag] {
    partitions.all.compactMap { partition in
      guard let position = partition.position else { return nil }
      let place = partition.topicPartition
      var low: Int64 = 0
      var high: Int64 = 0
      let error = rd_kafka_get_watermark_offsets(
        handle.pointer, place.topic, place.partition.value, &low, &high)
      guard error == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0 else { return nil }
      return ConsumerLag(place, records: max(0, high - max(position, partition.end ?? position).value))
    }
  }
}

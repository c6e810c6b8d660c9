import CRdKafka
import FreshetCore

/// One record, in librdkafka's own memory: valid only inside the closure that it is passed to.
public struct KafkaRecord: ~Copyable {
  public let topic: String
  public let partition: PartitionID
  public let offset: Offset
  /// `nil` is a null key; an empty key is an empty buffer.
  public let key: UnsafeRawBufferPointer?
  /// `nil` is a null value (a tombstone); an empty value is an empty buffer.
  public let value: UnsafeRawBufferPointer?
  private let message: UnsafePointer<rd_kafka_message_t>

  init(_ message: UnsafePointer<rd_kafka_message_t>, topic: String) {
    let raw = message.pointee
    self.message = message
    self.topic = topic
    partition = PartitionID(raw.partition)
    offset = Offset(raw.offset)
    key = raw.key.map { UnsafeRawBufferPointer(start: $0, count: raw.key_len) }
    value = raw.payload.map { UnsafeRawBufferPointer(start: $0, count: raw.len) }
  }

  /// When the record was written, by the broker's or the producer's clock; `nil` if neither noted it.
  public var timestamp: UnixTime? {
    var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    let time = rd_kafka_message_timestamp(message, &type)
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || time < 0 ? nil : UnixTime(milliseconds: time)
  }
}

/// What happens to a consumer beside records, in order with them.
public enum KafkaEvent: Sendable, Hashable {
  /// These partitions are this consumer's now, whatever it had before. With `startPaused` none of them delivers
  /// anything before it has been given a position with `seek` and set going with `resume`.
  case assigned([KafkaTopicPartition])
  /// These partitions go to somebody else when the handler returns. It may still try to commit what it has of them,
  /// but a broker that has already moved on refuses (`ILLEGAL_GENERATION`, `REBALANCE_IN_PROGRESS`).
  case revoked([KafkaTopicPartition])
  /// These partitions already belong to somebody else; it is too late to commit.
  case lost([KafkaTopicPartition])
  /// Everything before `offset` has been delivered. Only with `endOfPartitionEvents`.
  case endOfPartition(KafkaTopicPartition, offset: Offset)
  /// A broker in trouble, which librdkafka goes on trying, or a partition that cannot be read.
  case error(KafkaError)
}

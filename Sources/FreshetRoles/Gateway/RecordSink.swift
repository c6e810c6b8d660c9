import FreshetCore
import FreshetKafka
import NIOCore

/// A record on its way to Kafka.
struct OutgoingRecord: Sendable, Equatable {
  var topic: String
  /// nil: the key's.
  var partition: PartitionID?
  /// nil is a null key, which is not the same as an empty one.
  var key: ByteBuffer?
  /// nil is a null value, a tombstone in a compacted topic.
  var value: ByteBuffer?

  var byteCount: Int { (key?.readableBytes ?? 0) + (value?.readableBytes ?? 0) }
}

/// Why no record of a request was sent.
struct WriteRefusal: Error, Equatable {
  enum Kind: Equatable {
    /// Too much is in flight now.
    case full
    /// The request is beyond the bounds by itself.
    case tooLarge
    /// There is no broker, or the process is stopping.
    case unavailable
  }

  let kind: Kind
  let message: String
}

/// Where the gateway's records go. Safe from any task.
protocol RecordSink: Sendable {
  /// Writes records in their order; those of one partition stay in it.
  /// - Returns: For each record what became of it, once that is certain or given up: after a bounded time.
  /// - Throws: If nothing was sent.
  func write(_ records: [OutgoingRecord]) async throws(WriteRefusal) -> [KafkaDelivery]
}

/// What the gateway knows of its topics. Safe from any task.
protocol TopicSource: Sendable {
  /// Those of the gateway's topics that exist, as they were lately; nil while the broker has not been asked yet.
  var topics: [String: KafkaTopicDescription]? { get }
}

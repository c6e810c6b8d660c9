import FreshetCore

/// What went wrong between Freshet and Kafka, and where.
public struct KafkaError: DescribedError, Hashable {
  /// What the caller can act on. The raw value is the stable `code`.
  public enum Reason: String, Sendable {
    /// An unknown librdkafka property, a bad value, or one that the adapter has to set itself.
    case invalidProperty = "kafka-invalid-property"
    case invalidArgument = "kafka-invalid-argument"
    /// librdkafka refused to build the client, e.g. because a certificate cannot be read.
    case clientCreation = "kafka-client-creation"
    /// A broker cannot be reached or has closed the connection. librdkafka keeps trying by itself.
    case brokerUnreachable = "kafka-broker-unreachable"
    case authentication = "kafka-authentication"
    case timedOut = "kafka-timed-out"
    case messageTooLarge = "kafka-message-too-large"
    /// The producer's queue stayed full for longer than its bound.
    case queueFull = "kafka-queue-full"
    /// A record has not been written, and librdkafka has given up on it.
    case deliveryFailed = "kafka-delivery-failed"
    /// A newer producer with the same transactional id exists. This one is done for.
    case fenced = "kafka-fenced"
    case transaction = "kafka-transaction"
    case unknownTopic = "kafka-unknown-topic"
    case partitionCountMismatch = "kafka-partition-count-mismatch"
    /// The log no longer has, or does not have yet, the offset asked for, and the caller chose to be told.
    case offsetOutOfRange = "kafka-offset-out-of-range"
    /// The partition is not assigned to this consumer (any more).
    case notAssigned = "kafka-not-assigned"
    /// A partition that began paused has been resumed before anybody said from where.
    case notPositioned = "kafka-not-positioned"
    case commitFailed = "kafka-commit-failed"
    case broker = "kafka-broker"
  }

  public let reason: Reason
  public let message: String
  public let topic: String?
  public let partition: PartitionID?
  public let offset: Offset?
  /// `host:port` of the broker that the error is about, if it is about one.
  public let broker: String?
  /// librdkafka's `rd_kafka_resp_err_t`; 0 if the adapter itself raised the error.
  public let errorCode: Int32
  /// The same by name, e.g. `_TRANSPORT` or `MSG_SIZE_TOO_LARGE`.
  public let errorName: String
  /// Doing the same again may succeed.
  public let isRetriable: Bool
  /// The client can do nothing any more: close it and create a new one.
  public let isFatal: Bool
  /// The current transaction can only be aborted.
  public let requiresAbort: Bool

  public var code: String { reason.rawValue }

  public init(
    _ reason: Reason, _ message: String, topic: String? = nil, partition: PartitionID? = nil, offset: Offset? = nil,
    broker: String? = nil, errorCode: Int32 = 0, errorName: String = "", isRetriable: Bool = false,
    isFatal: Bool = false, requiresAbort: Bool = false
  ) {
    self.reason = reason
    self.message = message
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.broker = broker
    self.errorCode = errorCode
    self.errorName = errorName
    self.isRetriable = isRetriable
    self.isFatal = isFatal
    self.requiresAbort = requiresAbort
  }
}

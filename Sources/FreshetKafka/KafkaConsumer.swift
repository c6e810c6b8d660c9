import CRdKafka
import FreshetCore

/// Reads records, in a consumer group or from given partitions. Commits nothing by itself.
///
/// One thread at a time may use it, and has to call `poll` more often than every `max.poll.interval.ms` (5 minutes),
/// paused or not. The adapter keeps the position of each partition itself: after `seek`, `pause`, `resume` or an error
/// thrown by a closure, the next record delivered is exactly the one at that position, none is lost and none from
/// before is seen, whatever librdkafka had already fetched.
public final class KafkaConsumer {
  public enum OffsetReset: String, Sendable {
    /// Begin with the oldest record that is left.
    case earliest
    case latest
    /// Report `offsetOutOfRange` and deliver nothing.
    case error
  }

  public struct Options: Sendable {
    public var groupID: String
    /// Where to read from when there is no committed offset or it is not in the log.
    public var offsetReset: OffsetReset
    /// Partitions assigned by the group deliver nothing until `seek` and `resume`.
    public var startPaused: Bool
    /// Only records of committed transactions, and those outside transactions.
    public var readCommitted = true
    public var endOfPartitionEvents = false
    /// Bound of what is fetched ahead, all partitions together (payloads; librdkafka needs some 300 bytes a record more).
    public var prefetchKilobytes = 16_384
    /// A partition is fetched ahead only while fewer of its records wait.
    public var prefetchRecords = 20_000
    /// How long a broker that has nothing new keeps a fetch. A partition just resumed may wait that long.
    public var fetchWaitMs = 100
    /// The broker gives the partitions of a silent consumer to another one after that.
    public var sessionTimeoutMs = 10_000
    /// How long a consumer may go without a poll before it loses its partitions, and how long a rebalance waits for a
    /// member. Some brokers wait that long for one that has died, whatever the session timeout says.
    public var pollIntervalMs = 15_000
    /// Names this member for good (KIP-345): a process that comes back under it within the session timeout takes up its
    /// partitions at once, without a rebalance, however it ended. It does not leave the group by closing either. Of two
    /// members with one name the older one gets a fatal error. nil: a new member each time.
    public var groupInstanceID: String?

    public init(groupID: String, offsetReset: OffsetReset, startPaused: Bool) {
      self.groupID = groupID
      self.offsetReset = offsetReset
      self.startPaused = startPaused
    }
  }

  public let options: Options
  let handle: ClientHandle
  let context: ConsumerContext
  let queue: OpaquePointer
  var partitions = AssignedPartitions()
  var slots: ConsumerContext.Slots
  /// Counts polls, from 1.
  var batch: UInt64 = 0
  /// Counts calls of `seek`.
  var seeks = 0
  private var isClosed = false

  public init(_ configuration: KafkaConfiguration, options: Options) throws(KafkaError) {
    self.options = options
    context = ConsumerContext(log: configuration.log)
    var settings = [
      "group.id": options.groupID,
      "enable.auto.commit": "false",
      "enable.auto.offset.store": "false",
      "auto.offset.reset": options.offsetReset.rawValue,
      "isolation.level": options.readCommitted ? "read_committed" : "read_uncommitted",
      "enable.partition.eof": options.endOfPartitionEvents ? "true" : "false",
      // Keeps co-partitioned topics together.
      "partition.assignment.strategy": "range",
      "queued.max.messages.kbytes": String(options.prefetchKilobytes),
      "queued.min.messages": String(options.prefetchRecords),
      "fetch.wait.max.ms": String(options.fetchWaitMs),
      "fetch.max.bytes": String(max(1_000_000, options.prefetchKilobytes * 1024 / 2)),
      // Some brokers ignore `fetch.max.bytes` and answer with all they have; that must not end the connection.
      "receive.message.max.bytes": "1000000000",
      "session.timeout.ms": String(options.sessionTimeoutMs),
      "max.poll.interval.ms": String(max(options.pollIntervalMs, options.sessionTimeoutMs)),
      "heartbeat.interval.ms": String(max(1, min(3_000, options.sessionTimeoutMs / 5))),
    ]
    settings["group.instance.id"] = options.groupInstanceID
    handle = try ClientHandle(
      RD_KAFKA_CONSUMER, configuration, settings: settings, context: context,
      fetchPauseMs: FetchPacing.pauseMs(fetchWaitMs: options.fetchWaitMs))
    rd_kafka_poll_set_consumer(handle.pointer)
    queue = rd_kafka_queue_get_consumer(handle.pointer)
    slots = .allocate(capacity: 1)
    slots.initialize(repeating: nil)
  }

  deinit {
    close()
    slots.deallocate()
  }

  /// Joins the group for these topics. `poll` tells which partitions it is given.
  public func subscribe(_ topics: [String]) throws(KafkaError) {
    let list = PartitionList(topics.map { KafkaTopicPartition($0, PartitionID(RD_KAFKA_PARTITION_UA)) })
    try check(rd_kafka_subscribe(handle.pointer, list.pointer), "subscribe")
  }

  /// Reads these partitions from these offsets on, outside the group's rebalancing.
  public func assign(_ positions: [KafkaPosition]) throws(KafkaError) {
    if let unset = positions.first(where: { $0.offset < Offset(0) }) {
      throw KafkaError(.invalidArgument, "assign \(unset.topicPartition): an offset is needed")
    }
    let list = try PartitionList(positions)
    try check(rd_kafka_assign(handle.pointer, list.pointer), "assign")
    partitions.replace(
      positions.map {
        AssignedPartition(
          topicPartition: $0.topicPartition, position: $0.offset, isPaused: false, needsPosition: false)
      })
  }

  /// The partitions that it reads now.
  public var assignment: [KafkaTopicPartition] { partitions.all.map(\.topicPartition) }

  /// Leaves the group and closes the connections. Partitions still held go to others without a `revoked` event.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    context.isClosing = true
    rd_kafka_assign(handle.pointer, nil)
    rd_kafka_consumer_close(handle.pointer)
    rd_kafka_queue_destroy(queue)
    partitions.replace([])
  }

  func check(_ error: rd_kafka_resp_err_t, _ doing: String) throws(KafkaError) {
    guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    throw KafkaError(error, doing: doing)
  }

  /// Throws unless the consumer is open.
  func checkOpen() throws(KafkaError) {
    guard !isClosed else { throw KafkaError(.invalidArgument, "the kafka consumer has been closed") }
  }
}

import FreshetCluster
import FreshetCore
import FreshetKafka
import NIOConcurrencyHelpers

/// What the archive's thread tells its status port.
final class ArchiveStatus: Sendable {
  struct Partition: Sendable {
    var statistics = ArchiveStatistics()
    /// Everything below is in the store.
    var durable = Offset.none
    /// Of the file that is being written.
    var openRecords = 0
    var isReading = false
  }

  struct State: Sendable {
    /// Whether records are read: the broker is reached and the topics are there.
    var isRunning = false
    var partitions: [KafkaTopicPartition: Partition] = [:]
    /// Of partitions that have gone to another process.
    var retired = ArchiveStatistics()
    /// Offsets that Kafka deleted before they were archived, under `allowsGap`.
    var lostOffsets: Int64 = 0
    var retriedRequests = 0
    var lags: [ConsumerLag] = []
  }

  private let state = NIOLockedValueBox(State())
  private let startedAt = Instant.now()

  func update(_ body: (inout State) -> Void) { state.withLockedValue { body(&$0) } }

  /// What the archive waits for before it writes; nil if nothing.
  var notReady: String? {
    state.withLockedValue { $0.isRunning } ? nil : "the broker has not been reached yet"
  }

  var info: InfoText {
    let state = state.withLockedValue { $0 }
    var info = InfoText()
    info.addProcess(role: "archive", startedAt: startedAt, now: Instant.now())
    info.add(notReady: notReady)
    info.section("archive")
    var all = state.retired
    for partition in state.partitions.values { all.add(partition.statistics) }
    info.add("records", all.records)
    info.add("files", all.files)
    info.add("stored_bytes", all.storedBytes)
    info.add("open_records", state.partitions.values.reduce(0) { $0 + $1.openRecords })
    info.add("store_failures", all.failures)
    info.add("store_retries", state.retriedRequests)
    info.add("lost_offsets", state.lostOffsets)
    info.section("partitions")
    for (partition, status) in state.partitions.sorted(by: {
      ($0.key.topic, $0.key.partition) < ($1.key.topic, $1.key.partition)
    }) {
      let key = InfoKey.of(["topic": partition.topic, "partition": partition.partition])
      info.add(
        "\(partition.topic)_\(partition.partition)",
        [
          InfoField("archived", status.durable, key), InfoField("open_records", status.openRecords, key),
          InfoField("reading", status.isReading ? 1 : 0, key),
        ])
    }
    info.add(state.lags)
    return info
  }
}

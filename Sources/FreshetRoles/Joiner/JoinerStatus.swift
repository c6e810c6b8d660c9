import FreshetCluster
import FreshetCore
import FreshetKafka
import NIOConcurrencyHelpers

/// What the joiner's thread tells its status port.
final class JoinerStatus: Sendable {
  struct Partition: Sendable {
    var counters = JoinerCounters()
    var waitingFeatures = 0
    var waitingActions = 0
    var queued = 0
    var streamTimeMs: Int64?
    var state = JoinerStateReport()
  }

  struct State: Sendable {
    /// Whether records are read: the broker is reached and the topics are there.
    var isRunning = false
    var partitions: [PartitionID: Partition] = [:]
    /// Of partitions that have gone to another joiner.
    var retired = JoinerCounters()
    var retiredState = JoinerStateTotals()
    var items = 0
    var badItems = 0
    var transactions = 0
    var abortedTransactions = 0
    var lags: [ConsumerLag] = []
  }

  private let state = NIOLockedValueBox(State())
  private let startedAt = Instant.now()

  func update(_ body: (inout State) -> Void) { state.withLockedValue { body(&$0) } }

  /// What the joiner waits for before it joins; nil if nothing.
  var notReady: String? {
    state.withLockedValue { $0.isRunning } ? nil : "the broker has not been reached yet"
  }

  var info: InfoText {
    let state = state.withLockedValue { $0 }
    var info = InfoText()
    info.addProcess(role: "joiner", startedAt: startedAt, now: Instant.now())
    info.add(notReady: notReady)
    info.section("join")
    var all = state.retired
    for partition in state.partitions.values { all.add(partition.counters) }
    info.add("features", all.features)
    info.add("actions", all.actions)
    info.add("matched", all.matched)
    info.add("joined", all.joined)
    info.add("expired", all.expired)
    info.add("negatives", all.negatives)
    info.add("negatives_dropped", all.negativesDropped)
    info.add("duplicate_features", all.duplicateFeatures)
    info.add("duplicate_actions", all.duplicateActions)
    info.add("orphaned", all.deadLetters(.orphanAction))
    info.add("late", all.late)
    info.add("late_unchanged", all.lateUnchanged)
    info.add("corrections", all.corrections)
    info.add("dead_lettered", all.deadLetters.reduce(0, +))
    info.add("evicted_features", all.evictedFeatures)
    info.add("unknown_items", all.unknownItems)
    info.add("unknown_enrichments", all.unknownEnrichments)
    info.add("item_refreshes", all.itemRefreshes)
    info.add("items", state.items)
    info.add("waiting_features", state.partitions.values.reduce(0) { $0 + $1.waitingFeatures })
    info.add("waiting_actions", state.partitions.values.reduce(0) { $0 + $1.waitingActions })
    info.add("queued_records", state.partitions.values.reduce(0) { $0 + $1.queued })
    info.add("transactions", state.transactions)
    info.add("aborted_transactions", state.abortedTransactions)
    addState(state, to: &info)
    info.addDelays(all.joinDelays)
    info.section("dead_letters")
    for reason in DeadLetterReason.allCases {
      info.add(
        reason.rawValue.replacing("-", with: "_"), all.deadLetters(reason),
        as: .named("records", of: ["reason": reason.rawValue]))
    }
    info.add("bad_items", state.badItems)
    info.section("partitions")
    let wallTime = UnixTime.now().milliseconds
    for (partition, status) in state.partitions.sorted(by: { $0.key < $1.key }) {
      info.add(
        "partition_\(partition)",
        [
          InfoField("joined", status.counters.joined, .of(["partition": partition])),
          InfoField(
            "stream_time_ms", status.streamTimeMs.map { "\($0)" } ?? "none", .of(["partition": partition])),
          InfoField(
            "watermark_lag_ms", status.streamTimeMs.map { "\(wallTime - $0)" } ?? "none",
            .of(["partition": partition])),
        ])
    }
    info.add(state.lags)
    return info
  }
}

/// What partitions counted of their disks, over all lives.
struct JoinerStateTotals: Sendable {
  var lookups = JoinerLookups()
  var writes = 0
  var fullCount = 0

  mutating func add(_ report: JoinerStateReport) {
    lookups.add(report.lookups)
    writes += report.writes
    fullCount += report.fullCount
  }
}

extension JoinerStatus {
  /// How much is kept where.
  private func addState(_ state: State, to info: inout InfoText) {
    let reports = state.partitions.values.map(\.state)
    var totals = state.retiredState
    for report in reports { totals.add(report) }
    info.section("state")
    info.add("state_memory_features", reports.reduce(0) { $0 + $1.memoryFeatures })
    info.add("state_memory_bytes", reports.reduce(0) { $0 + $1.memoryBytes })
    info.add("state_disk_features", reports.reduce(0) { $0 + $1.diskFeatures })
    info.add("state_disk_bytes", reports.reduce(0) { $0 + $1.diskBytes })
    info.add("state_unwritten_bytes", reports.reduce(0) { $0 + $1.unwrittenBytes })
    info.add("state_full_partitions", reports.count(where: \.isFull))
    info.add("state_full", totals.fullCount)
    info.add("state_writes", totals.writes)
    info.add("state_memory_hits", totals.lookups.inMemory)
    info.add("state_disk_lookups", totals.lookups.onDisk)
    info.add("state_disk_hits", totals.lookups.found)
  }
}

extension InfoText {
  /// Quantiles for readers, and cumulative counters by upper bound.
  fileprivate mutating func addDelays(_ delays: DelayHistogram) {
    section("join_delay")
    add("count", delays.count)
    add("sum_ms", delays.sumMs)
    add("p50_ms", rounded: delays.quantileMs(0.5))
    add("p99_ms", rounded: delays.quantileMs(0.99))
    var buckets: [String] = []
    var below = 0
    for (bucket, count) in delays.counts.enumerated() {
      below += count
      let bound = bucket < DelayHistogram.boundsMs.count ? "\(DelayHistogram.boundsMs[bucket])" : "+Inf"
      buckets.append("le_\(bound)=\(below)")
    }
    let histogram = MetricHistogram(
      bounds: DelayHistogram.boundsMs.map { UInt64($0) }, unitsPerSecond: 1000,
      counts: delays.counts.map { UInt64($0) },
      sum: UInt64(delays.sumMs))
    add("buckets", text: buckets.joined(separator: ","), histogram, as: InfoKey())
  }
}

extension JoinerCounters {
  fileprivate static let keys: [WritableKeyPath<JoinerCounters, Int> & Sendable] = [
    \.features, \.actions, \.matched, \.joined, \.corrections, \.late, \.lateUnchanged, \.expired, \.negatives,
    \.negativesDropped, \.duplicateFeatures, \.duplicateActions, \.unknownItems, \.unknownEnrichments,
    \.itemRefreshes, \.evictedFeatures,
  ]

  /// Adds what another partition counted.
  mutating func add(_ other: JoinerCounters) {
    for key in Self.keys { self[keyPath: key] += other[keyPath: key] }
    joinDelays.merge(other.joinDelays)
    for index in deadLetters.indices { deadLetters[index] += other.deadLetters[index] }
  }
}

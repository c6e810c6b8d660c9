import FreshetCluster
import FreshetCore
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
    info.section("join")
    var all = state.retired
    for partition in state.partitions.values { all.add(partition.counters) }
    info.add("features", all.features, as: .counter)
    info.add("actions", all.actions, as: .counter)
    info.add("matched", all.matched, as: .counter)
    info.add("joined", all.joined, as: .counter)
    info.add("expired", all.expired, as: .counter)
    info.add("negatives", all.negatives, as: .counter)
    info.add("negatives_dropped", all.negativesDropped, as: .counter)
    info.add("duplicate_features", all.duplicateFeatures, as: .counter)
    info.add("duplicate_actions", all.duplicateActions, as: .counter)
    info.add("orphaned", all.deadLetters(.orphanAction), as: .counter)
    info.add("late", all.late, as: .counter)
    info.add("late_unchanged", all.lateUnchanged, as: .counter)
    info.add("corrections", all.corrections, as: .counter)
    info.add("dead_lettered", all.deadLetters.reduce(0, +), as: .counter)
    info.add("evicted_features", all.evictedFeatures, as: .counter)
    info.add("unknown_items", all.unknownItems, as: .counter)
    info.add("unknown_enrichments", all.unknownEnrichments, as: .counter)
    info.add("item_refreshes", all.itemRefreshes, as: .counter)
    info.add("items", state.items)
    info.add("waiting_features", state.partitions.values.reduce(0) { $0 + $1.waitingFeatures })
    info.add("waiting_actions", state.partitions.values.reduce(0) { $0 + $1.waitingActions })
    info.add("queued_records", state.partitions.values.reduce(0) { $0 + $1.queued })
    info.add("transactions", state.transactions, as: .counter)
    info.add("aborted_transactions", state.abortedTransactions, as: .counter)
    addState(state, to: &info)
    info.addDelays(all.joinDelays)
    info.section("dead_letters")
    for reason in DeadLetterReason.allCases {
      info.add(
        reason.rawValue.replacing("-", with: "_"), all.deadLetters(reason),
        as: .counter.named("records", of: ["reason": reason.rawValue]))
    }
    info.add("bad_items", state.badItems, as: .counter)
    info.section("partitions")
    let wallTime = UnixTime.now().milliseconds
    for (partition, status) in state.partitions.sorted(by: { $0.key < $1.key }) {
      info.add(
        "partition_\(partition)",
        [
          InfoField("joined", status.counters.joined, .counter.of(["partition": partition])),
          InfoField(
            "stream_time_ms", status.streamTimeMs.map { "\($0)" } ?? "none", .gauge.of(["partition": partition])),
          InfoField(
            "watermark_lag_ms", status.streamTimeMs.map { "\(wallTime - $0)" } ?? "none",
            .gauge.of(["partition": partition])),
        ])
    }
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
    info.add("state_full", totals.fullCount, as: .counter)
    info.add("state_writes", totals.writes, as: .counter)
    info.add("state_memory_hits", totals.lookups.inMemory, as: .counter)
    info.add("state_disk_lookups", totals.lookups.onDisk, as: .counter)
    info.add("state_disk_hits", totals.lookups.found, as: .counter)
  }
}

extension InfoText {
  /// Quantiles for readers, and for Prometheus cumulative counters by upper bound, as its `histogram_quantile` takes them.
  fileprivate mutating func addDelays(_ delays: DelayHistogram) {
    section("join_delay")
    add("count", delays.count, as: .counter)
    add("sum_ms", delays.sumMs, as: .counter)
    add("p50_ms", rounded: delays.quantileMs(0.5))
    add("p99_ms", rounded: delays.quantileMs(0.99))
    var buckets: [InfoField] = []
    var below = 0
    for (bucket, count) in delays.counts.enumerated() {
      below += count
      let bound = bucket < DelayHistogram.boundsMs.count ? "\(DelayHistogram.boundsMs[bucket])" : "+Inf"
      buckets.append(InfoField("le_\(bound)", below, .counter.named("bucket", of: ["le": bound])))
    }
    add("buckets", buckets)
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

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
  }

  struct State: Sendable {
    var partitions: [PartitionID: Partition] = [:]
    /// Of partitions that have gone to another joiner.
    var retired = JoinerCounters()
    var items = 0
    var badItems = 0
    var transactions = 0
    var abortedTransactions = 0
  }

  private let state = NIOLockedValueBox(State())
  private let startedAt = Instant.now()

  func update(_ body: (inout State) -> Void) { state.withLockedValue { body(&$0) } }

  var info: InfoText {
    let state = state.withLockedValue { $0 }
    var info = InfoText()
    info.addProcess(role: "joiner", startedAt: startedAt, now: Instant.now())
    info.section("join")
    var all = state.retired
    for partition in state.partitions.values { all.add(partition.counters) }
    info.add("features", all.features)
    info.add("actions", all.actions)
    info.add("joined", all.joined)
    info.add("negatives", all.negatives)
    info.add("negatives_dropped", all.negativesDropped)
    info.add("duplicate_features", all.duplicateFeatures)
    info.add("duplicate_actions", all.duplicateActions)
    info.add("evicted_features", all.evictedFeatures)
    info.add("unknown_items", all.unknownItems)
    info.add("item_refreshes", all.itemRefreshes)
    info.add("items", state.items)
    info.add("waiting_features", state.partitions.values.reduce(0) { $0 + $1.waitingFeatures })
    info.add("waiting_actions", state.partitions.values.reduce(0) { $0 + $1.waitingActions })
    info.add("queued_records", state.partitions.values.reduce(0) { $0 + $1.queued })
    info.add("transactions", state.transactions)
    info.add("aborted_transactions", state.abortedTransactions)
    info.section("dead_letters")
    for reason in DeadLetterReason.allCases {
      info.add(
        reason.rawValue.replacing("-", with: "_"), all.deadLetters(reason))
    }
    info.add("bad_items", state.badItems)
    info.section("partitions")
    for (partition, status) in state.partitions.sorted(by: { $0.key < $1.key }) {
      info.add(
        "partition_\(partition)",
        "joined=\(status.counters.joined),stream_time_ms=\(status.streamTimeMs.map { "\($0)" } ?? "none")")
    }
    return info
  }
}

extension JoinerCounters {
  fileprivate static let keys: [WritableKeyPath<JoinerCounters, Int> & Sendable] = [
    \.features, \.actions, \.joined, \.negatives, \.negativesDropped, \.duplicateFeatures, \.duplicateActions,
    \.unknownItems, \.itemRefreshes, \.evictedFeatures,
  ]

  /// Adds what another partition counted.
  mutating func add(_ other: JoinerCounters) {
    for key in Self.keys { self[keyPath: key] += other[keyPath: key] }
    for index in deadLetters.indices { deadLetters[index] += other.deadLetters[index] }
  }
}

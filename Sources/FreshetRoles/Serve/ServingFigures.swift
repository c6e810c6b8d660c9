import FreshetCluster
import FreshetCore

/// What one serving thread has done, and what it sees of the replica, at one instant.
struct ServingFigures: Sendable {
  var statistics: ServingStatistics
  var unknownFids: UInt64
  /// In microseconds.
  var latency: RecentHistogram
  var replica: ReplicaStatus
  var catalog: CatalogFigures
}

/// What INFO tells of the catalog.
struct CatalogFigures: Sendable {
  let items: Int
  let capacity: Int
  let isCaughtUp: Bool
  let records: UInt64
  let deletions: UInt64
  let badRecords: [String: UInt64]
  /// Records of each enrichment.
  let enrichments: [(name: String, count: Int)]

  /// To be called inside `ReplicaReader.read`, or on the thread that changes the catalog.
  init(_ catalog: ServingCatalog) {
    items = catalog.items.count
    capacity = catalog.items.capacity
    isCaughtUp = catalog.isCaughtUp
    records = catalog.records
    deletions = catalog.deletions
    badRecords = catalog.badRecords
    enrichments = catalog.enrichmentCounts
  }
}

extension InfoText {
  /// Which model answers, and where it is learned.
  mutating func add(model configuration: FreshetConfiguration) {
    section("model")
    add("model", configuration.model.name, as: .description)
    add("model_version", configuration.model.version)
    add("model_servers", configuration.cluster.servers.map(\.description).joined(separator: ","), as: .description)
  }

  mutating func add(_ replica: ReplicaStatus, now: Instant) {
    section("replica")
    add("ready", replica.isReady ? 1 : 0)
    add("servers_connected", replica.connectedServers)
    add("shards", replica.positions.count)
    add("shards_complete", replica.positions.count { $0.isComplete })
    if let age = replica.ageMs(now: now) { add("age_ms", Int(age)) }
    for position in replica.positions {
      add(
        "shard_\(position.shard)", text: "\(position.generation):\(position.sequence)",
        [InfoField("shard_sequence", position.sequence, .gauge.of(["shard": position.shard]))])
    }
    let statistics = replica.statistics
    add("frames", statistics.frames, as: .counter)
    add("frame_bytes", statistics.frameBytes, as: .counter)
    add("rows_received", statistics.rows, as: .counter)
    add("tombstones", statistics.tombstones, as: .counter)
    add("duplicates", statistics.duplicates, as: .counter)
    add("gaps", statistics.gaps, as: .counter)
    add("malformed", statistics.malformed, as: .counter)
    add("bases", statistics.basesCompleted, as: .counter)
    for table in replica.tables {
      add("\(table.name)_rows", table.rows, as: .gauge.named("rows", of: ["table": table.name]))
      add("\(table.name)_bytes", table.bytes, as: .gauge.named("bytes", of: ["table": table.name]))
    }
    section("watermarks")
    for (partition, offset) in replica.watermarks {
      add("partition_\(partition)", offset, as: .gauge.named("offset", of: ["partition": partition]))
    }
  }

  mutating func add(_ catalog: CatalogFigures) {
    section("catalog")
    add("items", catalog.items)
    for (name, count) in catalog.enrichments {
      add("enrichment_\(name)", count, as: .gauge.named("enrichment_records", of: ["enrichment": name]))
    }
    add("capacity", catalog.capacity)
    add("caught_up", catalog.isCaughtUp ? 1 : 0)
    add("records", catalog.records, as: .counter)
    add("deletions", catalog.deletions, as: .counter)
    add("bad_records", catalog.badRecords.values.reduce(0, +), as: .counter)
    for (reason, count) in catalog.badRecords.sorted(by: { $0.key < $1.key }) {
      add("bad_\(reason)", count, as: .counter.named("bad_records_by", of: ["reason": reason]))
    }
  }

  /// The sums over all serving threads, and the requests of each.
  mutating func add(_ threads: [ServingFigures], now: Instant) {
    var sum = threads[0]
    for other in threads.dropFirst() {
      sum.statistics.add(other.statistics)
      sum.unknownFids += other.unknownFids
      sum.latency.add(other.latency)
    }
    section("scoring")
    add("requests", sum.statistics.requests, as: .counter)
    add("refused", sum.statistics.refused, as: .counter)
    add("candidates", sum.statistics.candidates, as: .counter)
    add("unknown_fids", sum.unknownFids, as: .counter)
    add("unknown_items", sum.statistics.unknownItems, as: .counter)
    add("unknown_users", sum.statistics.unknownUsers, as: .counter)
    add("unknown_enrichments", sum.statistics.unknownEnrichments, as: .counter)
    add(sum.latency.summary, prefix: "latency_", unit: "us")
    add(sum.latency.recent(now: now), prefix: "recent_latency_", unit: "us")
    add("threads", threads.count)
    for (number, thread) in threads.enumerated() {
      add(
        "thread_\(number)_requests", thread.statistics.requests,
        as: .counter.named("thread_requests", of: ["thread": number]))
    }
  }
}

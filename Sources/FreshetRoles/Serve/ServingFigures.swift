import FreshetCluster
import FreshetCore

/// What one serving thread has done, and what it sees of the replica, at one instant.
struct ServingFigures: Sendable {
  var statistics: ServingStatistics
  var unknownFids: UInt64
  var scores: RecentHistogram
  var recommendations: RecentHistogram
  var replica: ReplicaStatus
  var catalog: CatalogFigures
  /// Why scores would be refused, if they would be.
  var notReady: String?
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
    add("model", configuration.model.name)
    add("model_version", configuration.model.version)
    add("model_servers", configuration.cluster.servers.map(\.description).joined(separator: ","))
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
        [InfoField("shard_sequence", position.sequence, .of(["shard": position.shard]))])
    }
    let statistics = replica.statistics
    add("frames", statistics.frames)
    add("frame_bytes", statistics.frameBytes)
    add("rows_received", statistics.rows)
    add("tombstones", statistics.tombstones)
    add("duplicates", statistics.duplicates)
    add("gaps", statistics.gaps)
    add("malformed", statistics.malformed)
    add("bases", statistics.basesCompleted)
    for table in replica.tables {
      add("\(table.name)_rows", table.rows, as: .named("rows", of: ["table": table.name]))
      add("\(table.name)_bytes", table.bytes, as: .named("bytes", of: ["table": table.name]))
    }
    section("watermarks")
    for (partition, offset) in replica.watermarks {
      add("partition_\(partition)", offset, as: .named("offset", of: ["partition": partition]))
    }
  }

  mutating func add(_ catalog: CatalogFigures) {
    section("catalog")
    add("items", catalog.items)
    for (name, count) in catalog.enrichments {
      add("enrichment_\(name)", count, as: .named("enrichment_records", of: ["enrichment": name]))
    }
    add("capacity", catalog.capacity)
    add("caught_up", catalog.isCaughtUp ? 1 : 0)
    add("records", catalog.records)
    add("deletions", catalog.deletions)
    add("bad_records", catalog.badRecords.values.reduce(0, +))
    for (reason, count) in catalog.badRecords.sorted(by: { $0.key < $1.key }) {
      add("bad_\(reason)", count, as: .named("bad_records_by", of: ["reason": reason]))
    }
  }

  /// The sums over all serving threads, and the requests of each.
  mutating func add(_ threads: [ServingFigures]) {
    var sum = threads[0]
    for other in threads.dropFirst() {
      sum.statistics.add(other.statistics)
      sum.unknownFids += other.unknownFids
      sum.scores.add(other.scores)
      sum.recommendations.add(other.recommendations)
    }
    var all = sum.scores
    all.add(sum.recommendations)
    section("scoring")
    add("requests", sum.statistics.requests)
    add("refused", sum.statistics.refused)
    add("candidates", sum.statistics.candidates)
    add("unknown_fids", sum.unknownFids)
    add("unknown_items", sum.statistics.unknownItems)
    add("unknown_users", sum.statistics.unknownUsers)
    add("unknown_enrichments", sum.statistics.unknownEnrichments)
    add(all.summary, prefix: "latency_", unit: "us")
    add(all.recent(now: .now()), prefix: "recent_latency_", unit: "us")
    add("", text: nil, sum.scores.buckets, as: .named("request_duration", of: ["command": "score"]))
    add("", text: nil, sum.recommendations.buckets, as: .named("request_duration", of: ["command": "recommend"]))
    add("threads", threads.count)
    for (number, thread) in threads.enumerated() {
      add(
        "thread_\(number)_requests", thread.statistics.requests,
        as: .named("thread_requests", of: ["thread": number]))
    }
  }
}

import FreshetCluster
import FreshetCore
import FreshetNet

extension ServeEndpoint {
  func info(now: Instant) -> InfoText {
    var info = InfoText()
    info.addProcess(role: "serve", startedAt: startedAt, now: now)
    if let listener { info.add(listener.statistics) }
    if let http { info.add(http.statistics) }
    addReplica(to: &info, now: now)
    info.section("watermarks")
    for (partition, offset) in engine.reader.status.watermarks { info.add("partition_\(partition)", offset) }
    info.section("freshness")
    info.add(freshness.summary, prefix: "", unit: "ms")
    info.add(freshness.recent(now: now), prefix: "recent_", unit: "ms")
    info.add("unmeasured_examples", engine.reader.status.statistics.unmeasuredExamples)
    state?.status.add(to: &info)
    addCatalog(to: &info)
    addScoring(to: &info, now: now)
    return info
  }

  private func addReplica(to info: inout InfoText, now: Instant) {
    let replica = engine.reader.status
    let positions = replica.positions
    info.section("replica")
    info.add("ready", replica.isReady ? 1 : 0)
    info.add("servers_connected", replica.connectedServers)
    info.add("shards", positions.count)
    info.add("shards_complete", positions.count { $0.isComplete })
    if let age = replica.ageMs(now: now) { info.add("age_ms", Int(age)) }
    for position in positions {
      info.add("shard_\(position.shard)", "\(position.generation):\(position.sequence)")
    }
    let statistics = replica.statistics
    info.add("frames", statistics.frames)
    info.add("frame_bytes", statistics.frameBytes)
    info.add("rows_received", statistics.rows)
    info.add("tombstones", statistics.tombstones)
    info.add("duplicates", statistics.duplicates)
    info.add("gaps", statistics.gaps)
    info.add("malformed", statistics.malformed)
    info.add("bases", statistics.basesCompleted)
    for table in replica.tables {
      info.add("\(table.name)_rows", table.rows)
      info.add("\(table.name)_bytes", table.bytes)
    }
  }

  private func addCatalog(to info: inout InfoText) {
    let catalog = engine.catalog
    info.section("catalog")
    info.add("items", catalog.items.count)
    info.add("capacity", catalog.items.capacity)
    info.add("caught_up", catalog.isCaughtUp ? 1 : 0)
    info.add("records", catalog.records)
    info.add("deletions", catalog.deletions)
    info.add("bad_records", catalog.badRecords.values.reduce(0, +))
    for (reason, count) in catalog.badRecords.sorted(by: { $0.key < $1.key }) { info.add("bad_\(reason)", count) }
  }

  private func addScoring(to info: inout InfoText, now: Instant) {
    let statistics = engine.statistics
    info.section("scoring")
    info.add("requests", statistics.requests)
    info.add("refused", statistics.refused)
    info.add("candidates", statistics.candidates)
    info.add("unknown_fids", engine.scorer.unknownFids)
    info.add("unknown_items", statistics.unknownItems)
    info.add("unknown_users", statistics.unknownUsers)
    info.add(latency.summary, prefix: "latency_", unit: "us")
    info.add(latency.recent(now: now), prefix: "recent_latency_", unit: "us")
  }
}

import FreshetCluster
import FreshetCore

extension ParameterServerEndpoint {
  var info: InfoText {
    var info = InfoText()
    info.addProcess(role: "ps", startedAt: startedAt, now: Instant.now())
    if let listener { info.add(listener.statistics) }
    switch phase {
    case .loading(let restoration):
      info.section("snapshot")
      info.add("loading", 1)
      info.add("store", restoration.storeName)
      info.add("restore_bytes_read", restoration.readBytes)
      info.add("restore_ms", Int(restoration.elapsedMs))
    case .open(let shards, let desk):
      addTables(of: shards, to: &info)
      addTraining(of: shards, to: &info)
      addSync(of: shards, to: &info)
      addSnapshots(of: shards, desk, to: &info)
      info.section("validation")
      for (number, task) in shards.validation(taskCount: taskCount).tasks.enumerated() {
        info.add(task: number, total: task.total, recent: task.recent, examples: .counter)
      }
    }
    return info
  }

  /// What keeps the server from its work; nil if nothing does.
  var notReady: String? {
    if case .loading(let restoration) = phase {
      return "the shards are being restored, \(restoration.readBytes >> 20) MiB of \(restoration.storeName) are read"
    }
    return isStopping ? "the server is stopping" : nil
  }

  private func addTables(of shards: ShardServer, to info: inout InfoText) {
    info.section("tables")
    for table in shards.tableTotals() { info.add(table) }
  }

  private func addTraining(of shards: ShardServer, to info: inout InfoText) {
    let statistics = shards.statistics
    info.section("training")
    info.add("stopping", isStopping ? 1 : 0)
    info.add("claims", statistics.claims, as: .counter)
    info.add("pulls", statistics.pulls, as: .counter)
    info.add("rows_pulled", statistics.rowsPulled, as: .counter)
    info.add("pushes", statistics.pushes, as: .counter)
    info.add("rows_pushed", statistics.rowsPushed, as: .counter)
    info.add("duplicate_pushes", statistics.duplicates, as: .counter)
    info.add("fenced_pushes", statistics.fenced, as: .counter)
    info.add("watermark_refusals", statistics.watermarkRefusals, as: .counter)
    for (shard, partition, offset) in shards.watermarks {
      guard partition.pass == 0 else {
        info.add(
          "pass_\(shard)_\(partition.stream)_\(partition.pass)",
          text: offset.finishedEnd.map { "finished_at=\($0)" } ?? "watermark=\(offset)", [])
        continue
      }
      info.add(
        "watermark_\(shard)_\(partition)", offset,
        as: .gauge.named("watermark", of: ["shard": shard, "partition": partition]))
    }
  }

  private func addSync(of shards: ShardServer, to info: inout InfoText) {
    let statistics = shards.statistics
    info.section("sync")
    info.add("replicas_waiting", sync.waitingCount)
    info.add("replicas_refused", sync.statistics.refusedWaits, as: .counter)
    info.add("replicas_rebased", statistics.replicasRebased, as: .counter)
    info.add("deltas_sealed", statistics.deltasSealed, as: .counter)
    info.add("deltas_sealed_early", sync.statistics.earlySeals, as: .counter)
    info.add("deltas_split", statistics.deltasSplit, as: .counter)
    info.add("deltas_dropped", statistics.deltasDropped, as: .counter)
    info.add("delta_bytes", statistics.deltaBytes, as: .counter)
    info.add("receipts_merged", statistics.receiptsMerged, as: .counter)
    info.add("base_chunks", statistics.baseChunks, as: .counter)
    info.add("base_chunks_shared", statistics.baseChunksShared, as: .counter)
    info.add("answer_bytes", sync.statistics.answerBytes, as: .counter)
    info.add("capped_requests", sync.statistics.cappedRequests, as: .counter)
    info.add("capped_ms", sync.statistics.cappedMs, as: .counter)
    info.add("capped_refusals", sync.statistics.cappedRefusals, as: .counter)
  }

  private func addSnapshots(of shards: ShardServer, _ desk: SnapshotDesk?, to info: inout InfoText) {
    info.section("snapshot")
    info.add("loading", 0)
    guard let desk, let restored else { return }
    let keeper = desk.keeper
    let statistics = keeper.statistics
    info.add("store", desk.storeName)
    info.add("restored_shards", restored.shards)
    info.add("restored_rows", restored.rows)
    info.add("restored_bytes", restored.bytes)
    info.add("restored_skipped", restored.skipped.count)
    info.add("restore_ms", Int(restored.elapsedMs))
    info.add("bases", statistics.bases, as: .counter)
    info.add("deltas", statistics.deltas, as: .counter)
    info.add("snapshot_rows", statistics.rows, as: .counter)
    info.add("bytes_written", statistics.bytesWritten, as: .counter)
    info.add("raw_bytes", statistics.rawBytes, as: .counter)
    info.add("failures", statistics.failures, as: .counter)
    info.add("abandoned", statistics.abandoned, as: .counter)
    info.add("pauses", statistics.pauses, as: .counter)
    info.add("requests_refused", statistics.requestsRefused, as: .counter)
    info.add("side_bytes", keeper.sideBytes(shards: shards))
    info.add("last_duration_ms", rounded: statistics.lastDurationMs)
    if let failure = statistics.lastFailure {
      info.add("last_failure", failure.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
    if let (shard, copied, count) = keeper.underWay {
      info.add(
        "under_way",
        [
          InfoField("shard", shard, .gauge.named("under_way_shard", of: [:])),
          InfoField("rows", copied, .gauge.named("under_way_rows", of: [:])),
          InfoField("of", count, .gauge.named("under_way_of", of: [:])),
        ])
    }
    for status in keeper.status(shards: shards, now: .now()) { info.add(status) }
  }
}

extension InfoText {
  fileprivate mutating func add(_ status: ShardSnapshotStatus) {
    func field(_ name: String, _ value: some CustomStringConvertible) -> InfoField {
      InfoField(name, value, .gauge.named("shard_\(name)", of: ["shard": status.shard]))
    }
    var fields = [field("number", status.number ?? 0), field("files", status.files), field("bytes", status.bytes)]
    if let age = status.ageMs { fields.append(field("age_ms", Int(age))) }
    fields.append(field("current", status.isCurrent ? 1 : 0))
    add("shard_\(status.shard)", fields)
  }

  fileprivate mutating func add(_ table: TableTotals) {
    let statistics = table.statistics
    func add(_ key: String, _ metric: InfoMetric, _ value: some CustomStringConvertible) {
      self.add("\(table.name)_\(key)", value, as: metric.named(key, of: ["table": table.name]))
    }
    func add(_ key: String, rounded value: Double?) {
      self.add("\(table.name)_\(key)", rounded: value, as: .gauge.named(key, of: ["table": table.name]))
    }
    add("rows", .gauge, table.rows)
    add("bytes", .gauge, table.bytes)
    add("load_factor", rounded: table.loadFactor)
    add("mean_probes", rounded: table.meanProbes)
    add("maximum_probes", .gauge, table.maximumProbes)
    add("updates", .counter, statistics.updates)
    add("inserts", .counter, statistics.inserts)
    add("removals", .counter, statistics.removals)
    add("expired", .counter, statistics.expired)
    add("evicted", .counter, statistics.evicted)
    add("rejected", .counter, statistics.rejected)
    add("nonfinite_gradients", .counter, statistics.nonFiniteGradients)
  }
}

import FreshetCluster
import FreshetCore

extension ParameterServerEndpoint {
  var info: InfoText {
    var info = InfoText()
    info.addProcess(role: "ps", startedAt: startedAt, now: Instant.now())
    info.add(notReady: notReady)
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
      info.section("latency")
      info.add(pulls, prefix: "pull_", unit: "us", as: .named("request_duration", of: ["command": "pull"]))
      info.add(pushes, prefix: "push_", unit: "us", as: .named("request_duration", of: ["command": "push"]))
      addSync(of: shards, to: &info)
      addSnapshots(of: shards, desk, to: &info)
      info.section("validation")
      for (number, task) in shards.validation(taskCount: taskCount).tasks.enumerated() {
        info.add(task: number, total: task.total, recent: task.recent)
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
    info.add("claims", statistics.claims)
    info.add("pulls", statistics.pulls)
    info.add("rows_pulled", statistics.rowsPulled)
    info.add("pushes", statistics.pushes)
    info.add("rows_pushed", statistics.rowsPushed)
    info.add("duplicate_pushes", statistics.duplicates)
    info.add("fenced_pushes", statistics.fenced)
    info.add("watermark_refusals", statistics.watermarkRefusals)
    for (shard, partition, offset) in shards.watermarks {
      guard partition.pass == 0 else {
        info.add(
          "pass_\(shard)_\(partition.stream)_\(partition.pass)",
          offset.finishedEnd.map { "finished_at=\($0)" } ?? "watermark=\(offset)", as: .named("pass"))
        continue
      }
      info.add(
        "watermark_\(shard)_\(partition)", offset,
        as: .named("watermark", of: ["shard": shard, "partition": partition]))
    }
  }

  private func addSync(of shards: ShardServer, to info: inout InfoText) {
    let statistics = shards.statistics
    info.section("sync")
    info.add("replicas_waiting", sync.waitingCount)
    info.add("replicas_refused", sync.statistics.refusedWaits)
    info.add("replicas_rebased", statistics.replicasRebased)
    info.add("deltas_sealed", statistics.deltasSealed)
    info.add("deltas_sealed_early", sync.statistics.earlySeals)
    info.add("deltas_split", statistics.deltasSplit)
    info.add("deltas_dropped", statistics.deltasDropped)
    info.add("delta_bytes", statistics.deltaBytes)
    info.add("receipts_merged", statistics.receiptsMerged)
    info.add("base_chunks", statistics.baseChunks)
    info.add("base_chunks_shared", statistics.baseChunksShared)
    info.add("answer_bytes", sync.statistics.answerBytes)
    info.add("capped_requests", sync.statistics.cappedRequests)
    info.add("capped_ms", sync.statistics.cappedMs)
    info.add("capped_refusals", sync.statistics.cappedRefusals)
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
    info.add("bases", statistics.bases)
    info.add("deltas", statistics.deltas)
    info.add("snapshot_rows", statistics.rows)
    info.add("bytes_written", statistics.bytesWritten)
    info.add("raw_bytes", statistics.rawBytes)
    info.add("failures", statistics.failures)
    info.add("abandoned", statistics.abandoned)
    info.add("pauses", statistics.pauses)
    info.add("requests_refused", statistics.requestsRefused)
    info.add("side_bytes", keeper.sideBytes(shards: shards))
    info.add("last_duration_ms", rounded: statistics.lastDurationMs)
    if let failure = statistics.lastFailure {
      info.add("last_failure", failure.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
    if let (shard, copied, count) = keeper.underWay {
      info.add(
        "under_way",
        [
          InfoField("shard", shard, .named("under_way_shard")),
          InfoField("rows", copied, .named("under_way_rows")),
          InfoField("of", count, .named("under_way_of")),
        ])
    }
    for status in keeper.status(shards: shards, now: .now()) { info.add(status) }
  }
}

extension InfoText {
  fileprivate mutating func add(_ status: ShardSnapshotStatus) {
    func field(_ name: String, _ value: some CustomStringConvertible) -> InfoField {
      InfoField(name, value, .named("shard_\(name)", of: ["shard": status.shard]))
    }
    var fields = [field("number", status.number ?? 0), field("files", status.files), field("bytes", status.bytes)]
    if let age = status.ageMs { fields.append(field("age_ms", Int(age))) }
    fields.append(field("current", status.isCurrent ? 1 : 0))
    add("shard_\(status.shard)", fields)
  }

  fileprivate mutating func add(_ table: TableTotals) {
    let statistics = table.statistics
    func add(_ key: String, _ value: some CustomStringConvertible) {
      self.add("\(table.name)_\(key)", value, as: .named(key, of: ["table": table.name]))
    }
    func add(_ key: String, rounded value: Double?) {
      self.add("\(table.name)_\(key)", rounded: value, as: .named(key, of: ["table": table.name]))
    }
    add("rows", table.rows)
    add("bytes", table.bytes)
    add("load_factor", rounded: table.loadFactor)
    add("mean_probes", rounded: table.meanProbes)
    add("maximum_probes", table.maximumProbes)
    add("updates", statistics.updates)
    add("inserts", statistics.inserts)
    add("removals", statistics.removals)
    add("expired", statistics.expired)
    add("evicted", statistics.evicted)
    add("rejected", statistics.rejected)
    add("nonfinite_gradients", statistics.nonFiniteGradients)
  }
}

import FreshetCore
import FreshetHTTP

/// One table on one parameter server.
struct TableFigures: Equatable, Sendable {
  let server: String
  let address: String
  let table: String
  let rows: Double?
  let bytes: Double?
  let insertsPerSecond: Double?
  let expired: Double?
  let evicted: Double?
  let rejected: Double?
  let nonFinite: Double?
}

extension ClusterView {
  func tables(now: Instant) -> [TableFigures] {
    records(.ps).filter(\.isReachable).flatMap { record in
      record.info.tables.map { table in
        func number(_ key: String) -> Double? { record.info.number("\(table)_\(key)") }
        return TableFigures(
          server: record.process.id, address: record.process.address, table: table, rows: number("rows"),
          bytes: number("bytes"), insertsPerSecond: record.perSecond("\(table)_inserts", now: now),
          expired: number("expired"), evicted: number("evicted"), rejected: number("rejected"),
          nonFinite: number("nonfinite_gradients"))
      }
    }
  }

  /// What is shown of a process beside its health, by its role.
  func figures(of record: ProcessRecord, now: Instant) -> [(name: String, value: Double?)] {
    guard record.isReachable else { return [] }
    let info = record.info
    func number(_ key: String) -> (String, Double?) { (key, info.number(key)) }
    func rate(_ name: String, _ counters: String...) -> (String, Double?) {
      let rates = counters.compactMap { record.perSecond($0, now: now) }
      return (name, rates.isEmpty ? nil : rates.reduce(0, +))
    }
    func sum(_ field: String) -> Double {
      info.partitions.values.reduce(0) { $0 + ($1[field].flatMap(Double.init) ?? 0) }
    }
    let partitions = ("partitions", Double(info.partitions.count) as Double?)
    switch record.process.role {
    case .joiner:
      return [
        rate("joined_per_second", "joined", "negatives"), partitions, number("waiting_features"),
        number("waiting_actions"), number("orphaned"), number("dead_lettered"), number("items"),
      ]
    case .trainer:
      return [
        rate("examples_per_second", "examples"), partitions, ("queued", sum("queued")), number("restarts"),
        number("holds"),
      ]
    case .ps:
      let rows = info.tables.compactMap { info.number($0 + "_rows") }.reduce(0, +)
      return [
        rate("rows_pushed_per_second", "rows_pushed"), rate("rows_pulled_per_second", "rows_pulled"), ("rows", rows),
        number("replicas_waiting"),
      ]
    case .serve:
      return [
        number("model_version"), number("age_ms"), ("lag_examples", lag(ofReplica: record).map(Double.init)),
        number("shards"), number("shards_complete"), number("items"), number("recent_p50_ms"),
        number("recent_p99_ms"), rate("requests_per_second", "requests"), number("recent_latency_p99_us"),
        rate("rows_per_second", "rows_received"),
      ]
    case .archive:
      return [
        rate("records_per_second", "records"), number("records"), number("files"), number("stored_bytes"),
        number("open_records"), number("store_failures"),
      ]
    }
  }
}

extension JSONWriter {
  mutating func write(_ record: ProcessRecord, of view: ClusterView, now: Instant) {
    let finding = view.health(of: record, now: now)
    beginObject()
    member("id", record.process.id)
    member("role", record.process.role.rawValue)
    member("address", record.process.address)
    member("health", finding.health.rawValue)
    member("reason", finding.reason.map { VisibleText.excerpt($0, limit: 200).text })
    member("age_ms", record.answeredAt.map { Int64(now.milliseconds(since: $0)) })
    member("uptime_s", record.isReachable ? record.info.number("uptime_in_seconds") : nil)
    member("resident_bytes", record.isReachable ? record.info.number("resident_bytes") : nil)
    object("figures") { writer in
      for (name, value) in view.figures(of: record, now: now) { writer.member(name, value) }
    }
    endObject()
  }

  mutating func write(_ table: TableFigures) {
    beginObject()
    member("server", table.server)
    member("address", table.address)
    member("table", table.table)
    member("rows", table.rows)
    member("bytes", table.bytes)
    member("inserts_per_second", table.insertsPerSecond)
    member("expired", table.expired)
    member("evicted", table.evicted)
    member("rejected", table.rejected)
    member("nonfinite_gradients", table.nonFinite)
    endObject()
  }
}

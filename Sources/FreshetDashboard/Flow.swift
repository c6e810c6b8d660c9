import FreshetCore
import FreshetHTTP

/// An arrow of the pipeline.
struct Flow: Equatable, Sendable {
  let from: String
  let to: String
  let perSecond: Double?
  /// What passes.
  let unit: String
  /// What is at its beginning and has not passed yet; nil where nothing waits or it is not known.
  var waiting: Int64?
  /// What those are.
  var waitingUnit = "records"
}

extension ClusterView {
  /// In the order of the data's way. Those to an archive only if there is one.
  func flows(now: Instant) -> [Flow] {
    let replicas = records(.serve)
    let deadLettered = [
      perSecond(.joiner, "dead_lettered", now: now), perSecond(.trainer, "dead_letters", now: now),
    ].compactMap { $0 }
    var flows = [
      Flow(
        from: "features", to: "joiner", perSecond: topicPerSecond("features", now: now), unit: "records",
        waiting: uncommitted("features")),
      Flow(
        from: "actions", to: "joiner", perSecond: topicPerSecond("actions", now: now), unit: "records",
        waiting: uncommitted("actions")),
      Flow(from: "items", to: "joiner", perSecond: topicPerSecond("items", now: now), unit: "records"),
      Flow(
        from: "joiner", to: "examples", perSecond: perSecond(.joiner, "joined", "negatives", now: now),
        unit: "examples"),
      Flow(
        from: "joiner", to: "dead_letter", perSecond: deadLettered.isEmpty ? nil : deadLettered.reduce(0, +),
        unit: "records"),
      Flow(
        from: "examples", to: "trainer", perSecond: perSecond(.trainer, "examples", now: now), unit: "examples",
        waiting: unlearned, waitingUnit: "examples"),
      Flow(from: "trainer", to: "ps", perSecond: perSecond(.ps, "rows_pushed", now: now), unit: "rows"),
      Flow(
        from: "ps", to: "serve",
        perSecond: replicas.compactMap { $0.perSecond("rows_received", now: now) }.max(), unit: "rows",
        waiting: replicas.compactMap { lag(ofReplica: $0) }.max(), waitingUnit: "examples"),
      Flow(from: "items", to: "serve", perSecond: topicPerSecond("items", now: now), unit: "records"),
    ]
    if !records(.archive).isEmpty {
      flows.append(
        Flow(
          from: "examples", to: "archive", perSecond: perSecond(.archive, "records", now: now), unit: "examples",
          waiting: unarchived, waitingUnit: "examples"))
    }
    return flows
  }
}

extension JSONWriter {
  mutating func write(_ flow: Flow) {
    beginObject()
    member("from", flow.from)
    member("to", flow.to)
    member("per_second", flow.perSecond)
    member("unit", flow.unit)
    member("waiting", flow.waiting)
    member("waiting_unit", flow.waitingUnit)
    endObject()
  }
}

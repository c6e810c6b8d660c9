import FreshetCore
import FreshetModel
import NIOCore

@testable import FreshetCluster
@testable import FreshetDashboard

/// A small cluster, and what its processes answer.
enum Fixture {
  static let start = Instant(nanoseconds: 1_000_000_000)
  static func after(_ ms: Int) -> Instant { start.advanced(byMs: ms) }
  static let time = UnixTime(milliseconds: 1_760_000_000_000)

  /// Positions: joiner 0, trainer 1, servers 2 and 3, replicas 4 and 5, archive 6.
  static let cluster = ClusterDescription(
    version: "0.1.0", model: "movielens", modelVersion: 1, userKey: "user_id", itemKey: "item_id", tasks: ["like"],
    topics: .init(
      features: "features", actions: "actions", items: "items", examples: "examples", deadLetter: "dead-letter"),
    processes: [
      .init(role: .joiner, number: 0, address: "127.0.0.1:7300"),
      .init(role: .trainer, number: 0, address: "127.0.0.1:7200"),
      .init(role: .ps, number: 0, address: "127.0.0.1:7100"),
      .init(role: .ps, number: 1, address: "127.0.0.1:7101"),
      .init(role: .serve, number: 0, address: "127.0.0.1:7000"),
      .init(role: .serve, number: 1, address: "127.0.0.1:7001"),
      .init(role: .archive, number: 0, address: "127.0.0.1:7400"),
    ], intervalMs: 1000)

  static func info(_ role: String, pid: Int = 100, _ more: [String: String] = [:]) -> [String: String] {
    ["role": role, "process_id": "\(pid)", "uptime_in_seconds": "24", "resident_bytes": "64000000"]
      .merging(more) { $1 }
  }

  static func joiner(joined: Int) -> [String: String] {
    info(
      "joiner",
      [
        "joined": "\(joined)", "negatives": "0", "dead_lettered": "2", "waiting_features": "30", "waiting_actions": "4",
        "orphaned": "1", "items": "3883", "partition_0": "joined=5,stream_time_ms=1,watermark_lag_ms=2",
        "partition_1": "joined=5,stream_time_ms=none,watermark_lag_ms=none",
      ])
  }

  static func trainer(examples: Int, phase: String = "running") -> [String: String] {
    info(
      "trainer",
      [
        "examples": "\(examples)", "dead_letters": "0", "restarts": "0", "holds": "0", "held": "0",
        "partition_0": "phase=\(phase),applied=90,queued=3", "partition_1": "phase=\(phase),applied=190,queued=0",
      ])
  }

  static func server(pushed: Int, watermarks: [String: Int]) -> [String: String] {
    var more = [
      "loading": "0", "stopping": "0", "rows_pushed": "\(pushed)", "pushes": "10", "rows_pulled": "50", "pulls": "10",
      "replicas_waiting": "2", "embedding_rows": "1200", "embedding_bytes": "400000", "embedding_inserts": "\(pushed)",
      "embedding_expired": "1", "embedding_evicted": "2", "embedding_rejected": "3",
      "embedding_nonfinite_gradients": "0", "embedding_maximum_probes": "2",
    ]
    for (key, value) in watermarks { more["watermark_\(key)"] = "\(value)" }
    return info("ps", more)
  }

  static func replica(_ more: [String: String] = [:]) -> [String: String] {
    info(
      "serve",
      [
        "ready": "1", "age_ms": "80", "shards": "16", "shards_complete": "16", "model_version": "1", "items": "3883",
        "recent_p50_ms": "160", "recent_p99_ms": "480.5", "requests": "100", "candidates": "900",
        "recent_latency_p99_us": "850", "rows_received": "5000", "partition_0": "90", "partition_1": "185",
      ].merging(more) { $1 })
  }

  static let archive = info(
    "archive",
    [
      "records": "250", "files": "3", "stored_bytes": "9000", "open_records": "20", "store_failures": "0",
      "examples_0": "archived=80,open_records=20,reading=1", "examples_1": "archived=150,open_records=0,reading=1",
    ])

  /// So many predictions, of which the right ones are sure.
  static func validation(_ examples: Int) -> ValidationReport {
    var report = ValidationReport(taskCount: 1)
    var validation = ProgressiveValidation()
    for number in 0..<examples {
      let label = number % 2 == 0
      validation.add(
        [Prediction(logit: label ? 1.5 : -1.5, isPositive: label)], loss: 0.2, predicted: label ? 0.8 : 0.2)
    }
    report.add(validation, task: 0)
    return report
  }

  static func log(features: Int64 = 200, examples: Int64 = 100) -> LogFigures {
    func topic(_ ends: [Int: Int64], committed: [Int: Int64]? = nil) -> TopicFigures {
      TopicFigures(starts: [:], ends: ends, committed: committed)
    }
    return LogFigures(topics: [
      "features": topic([0: features, 1: 300], committed: [0: 190, 1: 300]),
      "actions": topic([0: 200, 1: 290], committed: [0: 200, 1: -1001]),
      "items": topic([0: 3883]), "examples": topic([0: examples, 1: 201]), "dead_letter": topic([0: 2]),
    ])
  }

  /// All processes up and answering, twice with a second between, and two ticks.
  static func running() -> ClusterView {
    var view = ClusterView(cluster, now: start)
    for second in 1...2 {
      let now = after(second * 1000)
      answer(&view, second, at: now)
      view.handle(.tick(UnixTime(milliseconds: time.milliseconds + Int64(second) * 1000)), now: now)
    }
    return view
  }

  static func answer(_ view: inout ClusterView, _ second: Int, at now: Instant) {
    view.handle(.answered(0, info: joiner(joined: second * 40), validation: nil), now: now)
    view.handle(.answered(1, info: trainer(examples: second * 36), validation: nil), now: now)
    view.handle(
      .answered(
        2, info: server(pushed: second * 500, watermarks: ["0_0": 95, "1_0": 90, "0_1": 200]),
        validation: validation(60)),
      now: now)
    view.handle(
      .answered(
        3, info: server(pushed: second * 700, watermarks: ["2_0": 99, "2_1": 190]), validation: validation(40)),
      now: now)
    view.handle(.answered(4, info: replica(), validation: nil), now: now)
    view.handle(
      .answered(5, info: replica(["recent_p50_ms": "240", "rows_received": "\(second * 300)"]), validation: nil),
      now: now)
    view.handle(.answered(6, info: archive, validation: nil), now: now)
    view.handle(.log(log(features: 200 + Int64(second) * 50)), now: now)
  }
}

import FreshetCluster
import FreshetCore

/// Which figures have a past, and what they are now.
enum HistoryColumns {
  private static let ofTasks: [(name: String, value: @Sendable (ValidationReport.Task) -> Double?)] = [
    ("auc", { $0.recent.auc }), ("auc_total", { $0.total.auc }), ("logloss", { $0.recent.logloss }),
    ("logloss_total", { $0.total.logloss }), ("calibration", { $0.recent.calibration }),
    ("calibration_total", { $0.total.calibration }),
  ]

  private static let ofCluster: [(name: String, fold: SeriesFold, value: @Sendable (ClusterView, Instant) -> Double?)] =
    [
      ("freshness_p50_ms", .mean, { view, _ in view.freshness("p50") }),
      ("freshness_p99_ms", .maximum, { view, _ in view.freshness("p99") }),
      ("actions_per_second", .mean, { view, now in view.topicPerSecond("actions", now: now) }),
      ("examples_per_second", .mean, { view, now in view.perSecond(.trainer, "examples", now: now) }),
      ("requests_per_second", .mean, { view, now in view.perSecond(.serve, "requests", now: now) }),
      ("unjoined", .maximum, { view, _ in view.uncommitted("actions").map(Double.init) }),
      ("unlearned", .maximum, { view, _ in view.unlearned.map(Double.init) }),
    ]

  /// Of each task `<figure>.<number>`, then those of the cluster.
  static func series(of cluster: ClusterDescription) -> [(name: String, fold: SeriesFold)] {
    let tasks = cluster.tasks.indices.flatMap { task in
      ofTasks.map { (name: "\($0.name).\(task)", fold: SeriesFold.mean) }
    }
    return tasks + ofCluster.map { ($0.name, $0.fold) }
  }

  /// In the order of `series(of:)`.
  static func values(of view: ClusterView, now: Instant) -> [Double?] {
    let tasks: [Double?] = view.cluster.tasks.indices.flatMap { task in
      ofTasks.map { column in view.validation.flatMap { column.value($0.tasks[task]) } }
    }
    return tasks + ofCluster.map { $0.value(view, now) }
  }
}

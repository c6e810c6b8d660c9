/// What a value of `INFO` is for Prometheus.
struct MetricDescription: Sendable {
  enum Kind: Sendable, Equatable {
    case gauge
    /// Only rises while the process lives.
    case counter
    case histogram
    /// Text that says what the process is: a label of a gauge that is always 1.
    case label(String)
    /// In INFO alone: text, or what another metric says in Prometheus' way.
    case infoOnly
  }

  /// What INFO counts in; Prometheus wants base units.
  enum Unit: Sendable {
    case base
    case milliseconds
  }

  /// Of INFO, as the next one.
  private(set) var section = ""
  let key: String
  let kind: Kind
  /// Behind `freshet_<role>_`, unless it is one that every program has (`process_…`).
  let name: String
  let unit: Unit
  /// Names of the labels, in their order.
  let labels: [String]
  /// A sentence.
  let help: String

  static func gauge(
    _ key: String, _ name: String, _ help: String, in unit: Unit = .base, by labels: String...
  ) -> MetricDescription {
    MetricDescription(key: key, kind: .gauge, name: name, unit: unit, labels: labels, help: help)
  }

  static func counter(
    _ key: String, _ name: String, _ help: String, in unit: Unit = .base, by labels: String...
  ) -> MetricDescription {
    MetricDescription(key: key, kind: .counter, name: name, unit: unit, labels: labels, help: help)
  }

  /// Its values are in seconds.
  static func histogram(_ key: String, _ name: String, _ help: String, by labels: String...) -> MetricDescription {
    MetricDescription(key: key, kind: .histogram, name: name, unit: .base, labels: labels, help: help)
  }

  /// - Parameter name: Of the gauge that has the label.
  static func label(_ key: String, _ label: String, of name: String, _ help: String) -> MetricDescription {
    MetricDescription(key: key, kind: .label(label), name: name, unit: .base, labels: [label], help: help)
  }

  static func infoOnly(_ keys: String...) -> [MetricDescription] { keys.map(infoOnly) }

  /// What `InfoText.add(_:prefix:unit:)` prints of a distribution: a histogram says it.
  static func percentiles(_ prefix: String, _ unit: String) -> [MetricDescription] {
    ["", "recent_"].flatMap { period in
      ["count"].map { infoOnly("\(period)\(prefix)\($0)") }
        + ["p50", "p90", "p99", "max"].map { infoOnly("\(period)\(prefix)\($0)_\(unit)") }
    }
  }

  private static func infoOnly(_ key: String) -> MetricDescription {
    MetricDescription(key: key, kind: .infoOnly, name: "", unit: .base, labels: [], help: "")
  }

  static func section(_ section: String, _ metrics: [MetricDescription]...) -> [MetricDescription] {
    metrics.joined().map { metric in
      var metric = metric
      metric.section = section
      return metric
    }
  }

  /// As Prometheus has it.
  func fullName(role: String) -> String {
    name.hasPrefix("process_") || name.hasPrefix("freshet_") ? name : "freshet_\(role)_\(name)"
  }

  /// Prometheus' word.
  var type: String {
    switch kind {
    case .counter: "counter"
    case .histogram: "histogram"
    case .gauge, .label, .infoOnly: "gauge"
    }
  }

  /// - Returns: nil for text that is no number.
  func value(of text: String) -> String? {
    guard let number = MetricNumber.value(of: text) else { return nil }
    switch unit {
    case .base: return text
    case .milliseconds: return MetricNumber.text(number / 1000)
    }
  }
}

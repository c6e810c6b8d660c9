/// What a value of `INFO` is for Prometheus.
public struct InfoMetric: Sendable {
  enum Kind: Sendable {
    case gauge
    /// Only rises while the process lives.
    case counter
    /// Text that says what the process is: a label of the section's `…_info`.
    case description
  }

  let kind: Kind
  /// Instead of the key.
  private(set) var name: String?
  /// Which of several this is.
  private(set) var labels: [(name: String, value: String)] = []

  private init(_ kind: Kind) { self.kind = kind }

  public static let gauge = InfoMetric(.gauge)
  public static let counter = InfoMetric(.counter)
  public static let description = InfoMetric(.description)

  /// For keys that carry which of several they are of, such as `partition_3`.
  /// - Parameter name: The key without that.
  public func named(_ name: String, of labels: KeyValuePairs<String, any CustomStringConvertible>) -> InfoMetric {
    var metric = of(labels)
    metric.name = name
    return metric
  }

  public func of(_ labels: KeyValuePairs<String, any CustomStringConvertible>) -> InfoMetric {
    var metric = self
    metric.labels = labels.map { ($0.key, "\($0.value)") }
    return metric
  }
}

/// One of several values in one line of `INFO`.
public struct InfoField: Sendable {
  let name: String
  let text: String
  let metric: InfoMetric

  public init(_ name: String, _ value: some CustomStringConvertible, _ metric: InfoMetric) {
    self.name = name
    text = "\(value)"
    self.metric = metric
  }
}

import NIOCore

/// The text format of Prometheus, version 0.0.4.
extension InfoText {
  static let prometheusContentType = "text/plain; version=0.0.4; charset=utf-8"

  /// What is said of a number that the catalog does not have: it is shown all the same.
  static let undescribed = "Not described yet; see INFO."

  /// All values of all sections that the catalog has as metrics.
  func prometheus(_ catalog: MetricCatalog) -> ByteBuffer {
    let role = role ?? "unknown"
    var families: [Family] = []
    var positions: [String: Int] = [:]
    /// The family of this name, which may have been begun in another section.
    func position(of name: String, _ type: String, _ help: String) -> Int {
      if let position = positions[name] { return position }
      positions[name] = families.count
      families.append(Family(name: name, type: type, help: help))
      return families.count - 1
    }
    for section in sections {
      for sample in section.lines.flatMap(\.samples) {
        guard let metric = catalog.description(role: role, section: section.name, key: sample.name) else {
          guard let text = sample.number else { continue }
          let name = Self.identifier("freshet_\(role)_\(section.name)_\(sample.name)")
          families[position(of: name, "untyped", Self.undescribed)].add(sample.labels, text)
          continue
        }
        let name = metric.fullName(role: role)
        switch (metric.kind, sample.value) {
        case (.infoOnly, _): break
        case (.label(let label), .text(let text)):
          families[position(of: name, metric.type, metric.help)].labels.append((label, text))
        case (_, .text(let text)):
          guard let value = metric.value(of: text) else { continue }
          families[position(of: name, metric.type, metric.help)].add(sample.labels, value)
        case (_, .histogram(let histogram)):
          families[position(of: name, metric.type, metric.help)].add(sample.labels, histogram)
        }
      }
    }
    var buffer = ByteBuffer()
    for family in families { family.write(to: &buffer) }
    return buffer
  }

  /// Values that the catalog says nothing of, as `section.key`.
  func undescribed(in catalog: MetricCatalog) -> [String] {
    sections.flatMap { section in
      section.lines.flatMap(\.samples).map(\.name)
        .filter { catalog.description(role: role ?? "", section: section.name, key: $0) == nil }
        .map { "\(section.name).\($0)" }
    }
  }

  /// All samples of one name, which the format wants together.
  private struct Family {
    let name: String
    let type: String
    let help: String
    /// Of a gauge that is always 1.
    var labels: [(name: String, value: String)] = []
    private var lines: [String] = []

    init(name: String, type: String, help: String) {
      self.name = name
      self.type = type
      self.help = help
    }

    mutating func add(_ labels: [(name: String, value: String)], _ value: String) {
      lines.append("\(name)\(InfoText.labels(labels)) \(value)")
    }

    mutating func add(_ labels: [(name: String, value: String)], _ histogram: MetricHistogram) {
      let buckets = histogram.cumulative
      for bucket in buckets {
        lines.append("\(name)_bucket\(InfoText.labels(labels + [("le", bucket.bound)])) \(bucket.count)")
      }
      lines.append("\(name)_sum\(InfoText.labels(labels)) \(MetricNumber.text(histogram.sumSeconds))")
      lines.append("\(name)_count\(InfoText.labels(labels)) \(buckets[buckets.count - 1].count)")
    }

    func write(to buffer: inout ByteBuffer) {
      buffer.writeString("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n")
      if !labels.isEmpty { buffer.writeString("\(name)\(InfoText.labels(labels)) 1\n") }
      for line in lines { buffer.writeString("\(line)\n") }
    }
  }

  private static func identifier(_ text: String) -> String {
    String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
  }

  private static func labels(_ labels: [(name: String, value: String)]) -> String {
    guard !labels.isEmpty else { return "" }
    let pairs = labels.map { "\(identifier($0.name))=\"\(escaped($0.value))\"" }
    return "{" + pairs.joined(separator: ",") + "}"
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}

extension InfoText.Sample {
  /// nil for text that is no number, and for histograms.
  fileprivate var number: String? {
    guard case .text(let text) = value, MetricNumber.value(of: text) != nil else { return nil }
    return text
  }
}

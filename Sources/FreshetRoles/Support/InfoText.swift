import FreshetCore
import FreshetNet

/// State and counters of a process, in sections: `INFO` prints them as `key:value` lines, as Redis clients expect, and
/// `/metrics` prints for Prometheus what `MetricCatalog` says of them.
public struct InfoText: Sendable {
  struct Line: Sendable {
    let key: String
    /// What INFO prints; nil for what is a metric alone.
    let text: String?
    let samples: [Sample]
  }

  /// A value by the name that the catalog has it under.
  struct Sample: Sendable {
    enum Value: Sendable {
      case text(String)
      case histogram(MetricHistogram)
    }

    let name: String
    let labels: [(name: String, value: String)]
    let value: Value

    init(_ key: InfoKey, otherwise name: String, _ value: Value) {
      self.name = key.name ?? name
      labels = key.labels
      self.value = value
    }
  }

  struct Section: Sendable {
    let name: String
    var lines: [Line]
  }

  /// Of the process; nil in a part of a text.
  private(set) var role: String?
  private(set) var sections: [Section] = []

  public init() {}

  public mutating func section(_ name: String) { sections.append(Section(name: name, lines: [])) }

  /// Adds the sections of another one behind these.
  mutating func append(contentsOf other: InfoText) { sections += other.sections }

  public mutating func add(_ key: String, _ value: some CustomStringConvertible) { add(key, value, as: InfoKey()) }

  public mutating func add(_ key: String, _ value: some CustomStringConvertible, as name: InfoKey) {
    let text = "\(value)"
    append(Line(key: key, text: text, samples: [Sample(name, otherwise: key, .text(text))]))
  }

  /// A number with three decimals, or nothing where there is none.
  public mutating func add(_ key: String, rounded value: Double?) { add(key, rounded: value, as: InfoKey()) }

  public mutating func add(_ key: String, rounded value: Double?, as name: InfoKey) {
    guard let value, value.isFinite else { return }
    add(key, (value * 1000).rounded() / 1000, as: name)
  }

  /// Several values in one line, `name=value,name=value`.
  public mutating func add(_ key: String, _ fields: [InfoField]) {
    add(key, text: fields.map { "\($0.name)=\($0.text)" }.joined(separator: ","), fields)
  }

  /// A line whose text is no list of its fields.
  public mutating func add(_ key: String, text: String, _ fields: [InfoField]) {
    append(
      Line(
        key: key, text: text, samples: fields.map { Sample($0.key, otherwise: $0.name, .text($0.text)) }))
  }

  /// A line whose fields are the buckets of a histogram, or nothing where INFO has its percentiles.
  mutating func add(_ key: String, text: String?, _ histogram: MetricHistogram, as name: InfoKey) {
    append(Line(key: key, text: text, samples: [Sample(name, otherwise: key, .histogram(histogram))]))
  }

  /// What is a metric and not in INFO.
  mutating func addMetric(_ key: String, _ value: some CustomStringConvertible) {
    append(Line(key: key, text: nil, samples: [Sample(InfoKey(), otherwise: key, .text("\(value)"))]))
  }

  private mutating func append(_ line: Line) {
    precondition(!sections.isEmpty, "a line needs a section")
    sections[sections.count - 1].lines.append(line)
  }

  public mutating func addProcess(role: String, startedAt: Instant, now: Instant) {
    self.role = role
    section("server")
    add("freshet_version", FreshetVersion.current)
    add("role", role)
    add("process_id", ProcessMemory.processID)
    add("uptime_in_seconds", Int(now.milliseconds(since: startedAt) / 1000))
    add("resident_bytes", ProcessMemory.residentBytes)
    add("peak_resident_bytes", ProcessMemory.peakResidentBytes)
  }

  /// To follow `addProcess`.
  /// - Parameter notReady: What the role waits for before it does its work; nil if it does.
  mutating func add(notReady: String?) {
    if let notReady { add("waits_for", notReady.split(whereSeparator: \.isNewline).joined(separator: " ")) }
  }

  public mutating func add(_ statistics: RESPServerStatistics) {
    section("clients")
    add("connected_clients", statistics.connected)
    add("accepted_connections", statistics.accepted)
    add("rejected_connections", statistics.rejected)
    add("protocol_errors", statistics.protocolErrors)
    add("paused_connections", statistics.pauses)
    add("slow_readers_closed", statistics.slowReaders)
    add("unknown_commands", statistics.unknownCommands)
    add("bytes_in", statistics.bytesIn)
    add("bytes_out", statistics.bytesOut)
    section("commandstats")
    for command in statistics.commands where command.count > 0 {
      let name = command.name.lowercased()
      add("cmdstat_\(name)", [InfoField("calls", command.count, .of(["command": name]))])
    }
  }

  /// - Parameter name: Only this section; nil or `all` for all of them.
  public func text(section name: String?) -> String {
    let wanted = name.map { $0.lowercased() }
    return
      sections
      .filter { wanted == nil || wanted == "all" || wanted == "default" || wanted == $0.name }
      .map { section in
        let lines = section.lines.compactMap { line in line.text.map { "\(line.key):\($0)\r\n" } }
        return "# \(section.name)\r\n" + lines.joined()
      }
      .joined(separator: "\r\n")
  }
}

public enum FreshetVersion {
  public static let current = "0.1.0"
}

import FreshetCore
import FreshetNet

/// State and counters of a process, in sections: `INFO` prints them as `key:value` lines, as Redis clients expect, and
/// `/metrics` prints the numbers among them for Prometheus.
public struct InfoText: Sendable {
  struct Line: Sendable {
    let key: String
    /// What INFO prints.
    let text: String
    /// What of it is a metric.
    let samples: [Sample]
  }

  struct Sample: Sendable {
    let metric: InfoMetric
    /// Behind the section's.
    let name: String
    let text: String
  }

  struct Section: Sendable {
    let name: String
    var lines: [Line]
  }

  private(set) var sections: [Section] = []

  public init() {}

  public mutating func section(_ name: String) { sections.append(Section(name: name, lines: [])) }

  /// Adds the sections of another one behind these.
  mutating func append(contentsOf other: InfoText) { sections += other.sections }

  /// A gauge if it is a number, and text otherwise.
  public mutating func add(_ key: String, _ value: some CustomStringConvertible) { add(key, value, as: .gauge) }

  /// - Parameter metric: What the number is for Prometheus.
  public mutating func add(_ key: String, _ value: some CustomStringConvertible, as metric: InfoMetric) {
    let text = "\(value)"
    append(Line(key: key, text: text, samples: [Sample(metric: metric, name: metric.name ?? key, text: text)]))
  }

  /// A number with three decimals, or nothing where there is none.
  public mutating func add(_ key: String, rounded value: Double?) { add(key, rounded: value, as: .gauge) }

  public mutating func add(_ key: String, rounded value: Double?, as metric: InfoMetric) {
    guard let value, value.isFinite else { return }
    add(key, (value * 1000).rounded() / 1000, as: metric)
  }

  /// Several values in one line, `name=value,name=value`. Each is a metric of its own.
  public mutating func add(_ key: String, _ fields: [InfoField]) {
    add(key, text: fields.map { "\($0.name)=\($0.text)" }.joined(separator: ","), fields)
  }

  /// A line whose text is no list of its metrics.
  public mutating func add(_ key: String, text: String, _ metrics: [InfoField]) {
    append(
      Line(
        key: key, text: text,
        samples: metrics.map { Sample(metric: $0.metric, name: $0.metric.name ?? $0.name, text: $0.text) }))
  }

  private mutating func append(_ line: Line) {
    precondition(!sections.isEmpty, "a line needs a section")
    sections[sections.count - 1].lines.append(line)
  }

  public mutating func addProcess(role: String, startedAt: Instant, now: Instant) {
    section("server")
    add("freshet_version", FreshetVersion.current, as: .description)
    add("role", role, as: .description)
    add("process_id", ProcessMemory.processID)
    add("uptime_in_seconds", Int(now.milliseconds(since: startedAt) / 1000))
    add("resident_bytes", ProcessMemory.residentBytes)
    add("peak_resident_bytes", ProcessMemory.peakResidentBytes)
  }

  public mutating func add(_ statistics: RESPServerStatistics) {
    section("clients")
    add("connected_clients", statistics.connected)
    add("accepted_connections", statistics.accepted, as: .counter)
    add("rejected_connections", statistics.rejected, as: .counter)
    add("protocol_errors", statistics.protocolErrors, as: .counter)
    add("paused_connections", statistics.pauses, as: .counter)
    add("slow_readers_closed", statistics.slowReaders, as: .counter)
    add("unknown_commands", statistics.unknownCommands, as: .counter)
    add("bytes_in", statistics.bytesIn, as: .counter)
    add("bytes_out", statistics.bytesOut, as: .counter)
    section("commandstats")
    for command in statistics.commands where command.count > 0 {
      let name = command.name.lowercased()
      add("cmdstat_\(name)", [InfoField("calls", command.count, .counter.of(["command": name]))])
    }
  }

  /// - Parameter name: Only this section; nil or `all` for all of them.
  public func text(section name: String?) -> String {
    let wanted = name.map { $0.lowercased() }
    return
      sections
      .filter { wanted == nil || wanted == "all" || wanted == "default" || wanted == $0.name }
      .map { "# \($0.name)\r\n" + $0.lines.map { "\($0.key):\($0.text)\r\n" }.joined() }
      .joined(separator: "\r\n")
  }
}

public enum FreshetVersion {
  public static let current = "0.1.0"
}

import FreshetCore
import FreshetNet

/// The text that `INFO` answers with: sections of `key:value` lines, as Redis clients expect.
public struct InfoText {
  private var sections: [(name: String, lines: [String])] = []

  public init() {}

  public mutating func section(_ name: String) { sections.append((name, [])) }

  public mutating func add(_ key: String, _ value: some CustomStringConvertible) {
    precondition(!sections.isEmpty, "a line needs a section")
    sections[sections.count - 1].lines.append("\(key):\(value)")
  }

  /// A number with three decimals, or nothing where there is none.
  public mutating func add(_ key: String, rounded value: Double?) {
    guard let value, value.isFinite else { return }
    add(key, (value * 1000).rounded() / 1000)
  }

  public mutating func addProcess(role: String, startedAt: Instant, now: Instant) {
    section("server")
    add("freshet_version", FreshetVersion.current)
    add("role", role)
    add("process_id", ProcessMemory.processID)
    add("uptime_in_seconds", Int(now.milliseconds(since: startedAt) / 1000))
    add("resident_bytes", ProcessMemory.residentBytes)
    add("peak_resident_bytes", ProcessMemory.peakResidentBytes)
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
      add("cmdstat_\(command.name.lowercased())", "calls=\(command.count)")
    }
  }

  /// - Parameter name: Only this section; nil or `all` for all of them.
  public func text(section name: String?) -> String {
    let wanted = name.map { $0.lowercased() }
    return
      sections
      .filter { wanted == nil || wanted == "all" || wanted == "default" || wanted == $0.name }
      .map { "# \($0.name)\r\n" + $0.lines.map { $0 + "\r\n" }.joined() }
      .joined(separator: "\r\n")
  }
}

public enum FreshetVersion {
  public static let current = "0.1.0"
}

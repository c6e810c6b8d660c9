/// What is worth a column of a role's INFO: how much it does, what it has left to do, how good and how fresh it is.
public struct RoleFigures: Sendable, Equatable {
  public var uptimeSeconds: Int?
  public var residentBytes: Int?
  /// Rises with the work that is done, and what its unit is called.
  public var work: UInt64?
  public var workUnit = ""
  /// Offsets of Kafka that have not been read.
  public var lag: Int?
  /// Of the first task: over everything, and over the recent window.
  public var auc: Double?
  public var recentAUC: Double?
  /// From an action's append to Kafka, of the last seconds.
  public var freshnessP50Ms: Double?
  public var freshnessP99Ms: Double?
  /// What somebody should know; empty if nothing.
  public var note = ""

  /// - Parameter text: Of `INFO`, all sections.
  public init(role: String, info text: String) {
    let sections = Self.sections(of: text)
    func number(_ section: String, _ key: String) -> Double? { sections[section]?[key].flatMap { Double($0) } }
    func sum(_ section: String, _ keys: String...) -> UInt64? {
      let values = keys.compactMap { sections[section]?[$0].flatMap { UInt64($0) } }
      return values.isEmpty ? nil : values.reduce(0, +)
    }
    uptimeSeconds = number("server", "uptime_in_seconds").map { Int($0) }
    residentBytes = number("server", "resident_bytes").map { Int($0) }
    if let lags = sections["lag"], !lags.isEmpty { lag = lags.values.reduce(0) { $0 + (Int($1) ?? 0) } }
    auc = number("validation", "task0_auc")
    recentAUC = number("validation", "task0_recent_auc")
    freshnessP50Ms = number("freshness", "recent_p50_ms")
    freshnessP99Ms = number("freshness", "recent_p99_ms")
    switch role {
    case "ps": (work, workUnit) = (sum("training", "rows_pushed"), "rows")
    case "trainer": (work, workUnit) = (sum("training", "examples"), "examples")
    case "joiner": (work, workUnit) = (sum("join", "features", "actions"), "events")
    case "archive": (work, workUnit) = (sum("archive", "records"), "records")
    default: (work, workUnit) = (sum("scoring", "requests") ?? sum("http", "requests"), "requests")
    }
    if let reason = sections["server"]?["waits_for"] { note = reason }
    if number("guard", "held") == 1 { note = "HELD: \(sections["guard"]?["reason"] ?? "")" }
    if let full = number("state", "state_full_partitions"), full > 0 { note = "its disk is full" }
  }

  /// Section → key → value.
  static func sections(of text: String) -> [String: [String: String]] {
    var sections: [String: [String: String]] = [:]
    var section = ""
    for line in text.split(whereSeparator: \.isNewline) {
      if line.hasPrefix("# ") {
        section = String(line.dropFirst(2))
      } else if let colon = line.firstIndex(of: ":") {
        sections[section, default: [:]][String(line[..<colon])] = String(line[line.index(after: colon)...])
      }
    }
    return sections
  }

  // MARK: - For people

  public static func count(_ value: Double?) -> String {
    guard let value else { return "-" }
    switch value {
    case ..<10_000: return "\(Int(value.rounded()))"
    case ..<1_000_000: return "\(Int((value / 1_000).rounded()))k"
    default: return decimal(value / 1_000_000, 1) + "M"
    }
  }

  public static func duration(ms: Double?) -> String {
    guard let ms else { return "-" }
    return ms < 1_000 ? "\(Int(ms.rounded())) ms" : decimal(ms / 1_000, 1) + " s"
  }

  public static func duration(seconds: Int?) -> String {
    guard let seconds else { return "-" }
    switch seconds {
    case ..<120: return "\(seconds) s"
    case ..<7_200: return "\(seconds / 60) min"
    case ..<172_800: return "\(seconds / 3_600) h"
    default: return "\(seconds / 86_400) d"
    }
  }

  public static func bytes(_ bytes: Int?) -> String { bytes.map { "\($0 >> 20) MB" } ?? "-" }

  public static func score(_ value: Double?) -> String { value.map { decimal($0, 4) } ?? "-" }

  /// - Parameter places: At most four.
  private static func decimal(_ value: Double, _ places: Int) -> String {
    var scale = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = Int((value.magnitude * Double(scale)).rounded())
    let rest = String(scaled % scale)
    let zeros = String(repeating: "0", count: places - rest.count)
    return (value < 0 ? "-" : "") + "\(scaled / scale)." + zeros + rest
  }
}

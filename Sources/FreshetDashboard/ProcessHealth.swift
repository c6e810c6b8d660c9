/// How a process is.
public enum ProcessHealth: String, Sendable, CaseIterable {
  /// It has never answered, and the dashboard has just begun to ask.
  case waiting
  case up
  /// It answers, and does not have yet what it needs for its work.
  case loading
  /// What it shows or does is old: it answers late, or it has not been told news for a while.
  case stale
  /// It cannot be reached, or another process answers in its place.
  case down
  /// The guard holds its training.
  case held
}

/// A process's health and, where there is something to say, why.
struct HealthFinding: Equatable, Sendable {
  let health: ProcessHealth
  let reason: String?

  init(_ health: ProcessHealth, _ reason: String? = nil) {
    self.health = health
    self.reason = reason
  }
}

extension HealthFinding {
  /// A replica whose copy is older is stale. While all servers answer it is some seconds at most.
  static let staleCopyMs = 6_000.0

  /// Of a process that has answered lately.
  init(_ process: MonitoredProcess, _ info: InfoValues) {
    let role = process.role
    guard info["role"] == role.rawValue else {
      let other = info["role"].map { "a process of the role \($0)" } ?? "something else than a role of Freshet"
      self.init(.down, "\(other) answers at \(process.address)")
      return
    }
    switch role {
    case .ps: self.init(server: info)
    case .trainer: self.init(trainer: info)
    case .serve: self.init(replica: info)
    case .joiner: self.init(.up, info.partitions.isEmpty ? "no partitions assigned" : nil)
    case .archive:
      let waits = info.values.contains { $0.value.contains("reading=0") }
      self = waits ? HealthFinding(.stale, "waits for its store") : HealthFinding(.up)
    }
  }

  private init(server info: InfoValues) {
    if info["loading"] == "1" {
      let read = info.number("restore_bytes_read") ?? 0
      self.init(.loading, "restores its shards, \(Int(read / 1e6)) MB read")
    } else if info["stopping"] == "1" {
      self.init(.loading, "is stopping")
    } else {
      self.init(.up)
    }
  }

  private init(trainer info: InfoValues) {
    if info["held"] == "1" {
      self.init(.held, info["reason"])
      return
    }
    let phases = info.partitions.values.map { $0["phase"] ?? "" }
    let others = phases.filter { !$0.hasSuffix("running") }
    if phases.isEmpty {
      self.init(.up, "no partitions assigned")
    } else if others.count == phases.count, let phase = others.first {
      self.init(.loading, phase)
    } else {
      self.init(.up, others.first.map { "\(others.count) of \(phases.count) partitions \($0)" })
    }
  }

  private init(replica info: InfoValues) {
    if info["ready"] != "1" {
      let (complete, all) = (info["shards_complete"] ?? "0", info["shards"] ?? "?")
      self.init(.loading, "\(complete) of \(all) shards copied")
    } else if let age = info.number("age_ms"), age > Self.staleCopyMs {
      self.init(.stale, "its copy is \(Int(age / 1000)) s old")
    } else if let phase = info["promotion"], let version = info["candidate_version"] {
      self.init(.up, "version \(version) \(phase)")
    } else {
      self.init(.up)
    }
  }
}

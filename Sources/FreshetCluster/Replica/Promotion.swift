import FreshetCore

/// The promotion of a second model on one replica, without its copies and sockets: whether the candidate may answer, and when it
/// is given up. The live model answers until `beginSwitch` has been granted.
public struct Promotion: Sendable {
  /// A candidate whose servers have not all been reached by then is given up: an address is wrong, or nothing runs there.
  public static let connectMs = 10_000.0
  /// Two models take twice the memory: one that nobody asks about any more is given up.
  public static let leaseMs = 60_000.0
  /// What must stay free on the machine, or in its control group, while a candidate is copied.
  public static let reserveBytes = 64 << 20
  private static let samples = 50.0

  public enum Phase: String, Sendable {
    case copying
    /// It may take over.
    case ready
    case switching
  }

  public struct Settings: Sendable, Equatable {
    /// Of the candidate.
    public var version: Int
    /// How far the candidate's scores may be behind those of the live model, and its copy behind its servers.
    public var maximumLagMs: Double
    /// Whether it may take over however far it is behind.
    public var isForced: Bool

    public init(version: Int, maximumLagMs: Double, isForced: Bool) {
      self.version = version
      self.maximumLagMs = maximumLagMs
      self.isForced = isForced
    }
  }

  /// What is to be seen of both models at one instant.
  public struct Observation: Sendable {
    public var live: ReplicaStatus
    public var candidate: ReplicaStatus
    public var serverCount: Int
    /// Whether the candidate has read the items, as far as the live model has.
    public var hasItems: Bool
    /// The last trouble of the candidate's copy.
    public var trouble: String?
    /// Memory that can still be had; nil if the system does not tell.
    public var availableBytes: Int?

    public init(
      live: ReplicaStatus, candidate: ReplicaStatus, serverCount: Int, hasItems: Bool, trouble: String?,
      availableBytes: Int?
    ) {
      self.live = live
      self.candidate = candidate
      self.serverCount = serverCount
      self.hasItems = hasItems
      self.trouble = trouble
      self.availableBytes = availableBytes
    }
  }

  public let settings: Settings
  public private(set) var phase = Phase.copying
  /// Why the candidate may not take over, most important first; empty if it may.
  public private(set) var obstacles = ["nothing is copied yet"]
  /// How long ago the live scores knew no more than the candidate's do now; nil if longer than it has been watched.
  public private(set) var lagMs: Double?
  /// Examples of all partitions that the live scores reflect and the candidate's do not.
  public private(set) var lagExamples: Int64 = 0

  private let startedAt: Instant
  private var askedAt: Instant
  private var hasReachedAll = false
  /// What the live scores knew, oldest first: as far back as matters, and one before that.
  private var history: [(at: Instant, watermarks: [PartitionID: Offset])] = []

  public init(_ settings: Settings, now: Instant) {
    self.settings = settings
    startedAt = now
    askedAt = now
  }

  /// Somebody waits for the outcome.
  public mutating func noteInterest(now: Instant) { askedAt = now }

  /// Takes note of where both models are.
  /// - Returns: Why the candidate is to be given up; nil if it is not. Never while it takes over.
  public mutating func observe(_ seen: Observation, now: Instant) -> String? {
    guard phase != .switching else { return nil }
    noteLag(seen, now: now)
    let connected = seen.candidate.connectedServers
    if connected == seen.serverCount { hasReachedAll = true }
    obstacles = findObstacles(seen, now: now)
    phase = obstacles.isEmpty ? .ready : .copying
    if !hasReachedAll, now.milliseconds(since: startedAt) >= Self.connectMs {
      return "only \(connected) of its \(seen.serverCount) parameter servers could be reached within "
        + "\(Int(Self.connectMs / 1000)) s" + (seen.trouble.map { ": \($0)" } ?? "")
    }
    if now.milliseconds(since: askedAt) >= Self.leaseMs {
      return "nobody has asked about it for \(Int(Self.leaseMs / 1000)) s"
    }
    if let available = seen.availableBytes, available < Self.reserveBytes {
      return "\(available >> 20) MiB of memory are left, and \(Self.reserveBytes >> 20) must stay free"
    }
    return nil
  }

  /// The candidate is to take over.
  /// - Throws: `refused` unless it is ready and the one that is meant. On success nothing but `switching` follows.
  public mutating func beginSwitch(version: Int) throws(ClusterError) {
    guard version == settings.version else {
      throw ClusterError(.refused, "version \(settings.version) is being promoted, not \(version)")
    }
    guard phase != .switching else { throw ClusterError(.refused, "version \(version) is taking over already") }
    guard phase == .ready else {
      throw ClusterError(.loading, "version \(version) is not ready: \(obstacles.joined(separator: "; "))")
    }
    phase = .switching
  }

  /// Taking over has failed before anything was switched.
  public mutating func cancelSwitch() {
    if phase == .switching { phase = .ready }
  }

  private func findObstacles(_ seen: Observation, now: Instant) -> [String] {
    var found: [String] = []
    let complete = seen.candidate.positions.count { $0.isComplete }
    if !seen.candidate.isReady {
      found.append("\(complete) of \(seen.candidate.positions.count) shards are copied")
    }
    guard !settings.isForced else { return found }
    let bound = Int(settings.maximumLagMs)
    if let age = seen.candidate.ageMs(now: now), age > settings.maximumLagMs {
      found.append("the copy is \(Int(age)) ms behind its servers, at most \(bound) are allowed")
    }
    if lagMs.map({ $0 > settings.maximumLagMs }) ?? true {
      found.append("its scores lack \(lagExamples) examples, and are more than \(bound) ms behind")
    }
    if !seen.hasItems { found.append("the items are not read yet") }
    return found
  }

  private mutating func noteLag(_ seen: Observation, now: Instant) {
    let live = Self.stream(seen.live.watermarks)
    let candidate = Self.stream(seen.candidate.watermarks)
    lagExamples = live.reduce(0) { sum, mark in
      sum + max(0, mark.value.value - max(0, candidate[mark.key]?.value ?? 0))
    }
    if history.last.map({ now.milliseconds(since: $0.at) >= settings.maximumLagMs / Self.samples }) ?? true {
      history.append((now, live))
      // One that is older than the bound tells that the bound is kept.
      while history.count > 1, now.milliseconds(since: history[1].at) > settings.maximumLagMs {
        history.removeFirst()
      }
    }
    func knows(_ marks: [PartitionID: Offset]) -> Bool { marks.allSatisfy { candidate[$0.key] ?? .none >= $0.value } }
    if knows(live) {
      lagMs = 0
    } else {
      lagMs = history.last { knows($0.watermarks) }.map { now.milliseconds(since: $0.at) }
    }
  }

  /// Of the streams alone: passes of a batch stage are nobody else's.
  private static func stream(_ watermarks: [(partition: PartitionID, offset: Offset)]) -> [PartitionID: Offset] {
    Dictionary(uniqueKeysWithValues: watermarks.filter { $0.partition.pass == 0 }.map { ($0.partition, $0.offset) })
  }
}

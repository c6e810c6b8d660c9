import FreshetCluster
import FreshetCore

/// What the dashboard knows of the cluster: folds what processes and broker answer into what is shown. Without I/O.
public struct ClusterView: Sendable {
  public enum Event: Sendable {
    /// `INFO` of the process at a position of `ClusterDescription.processes`; of a parameter server its validation too.
    case answered(Int, info: [String: String], validation: ValidationReport?)
    /// - `isLate`: It did not answer in time; otherwise it was refused or lost.
    case failed(Int, reason: String, isLate: Bool)
    case log(LogFigures)
    case logFailed(reason: String)
    case deadLetter(DeadLetter)
    /// Once an interval: a point for the history.
    case tick(UnixTime)
  }

  public let cluster: ClusterDescription
  let startedAt: Instant
  private(set) var records: [ProcessRecord]
  private(set) var log: LogFigures?
  private(set) var logAnsweredAt: Instant?
  private(set) var logFailure: String?
  private var topicMeters: [String: RateMeter] = [:]
  private(set) var deadLetters = DeadLetterTail()
  private(set) var history: History
  /// Of all parameter servers together.
  private(set) var validation: ValidationReport?
  /// Why there is none, if that is not only because a server does not answer.
  private(set) var validationFailure: String?
  public private(set) var counts = Counts()

  /// Of what was asked.
  public struct Counts: Sendable, Equatable {
    public var answers = 0
    public var failures = 0
    public var logFailures = 0
  }

  public init(_ cluster: ClusterDescription, now: Instant) {
    self.cluster = cluster
    startedAt = now
    records = cluster.processes.map { ProcessRecord($0) }
    history = History(series: HistoryColumns.series(of: cluster), stepMs: cluster.intervalMs)
  }

  public mutating func handle(_ event: Event, now: Instant) {
    switch event {
    case .answered(let position, let info, let validation):
      counts.answers += 1
      records[position].answered(info, validation, at: now)
    case .failed(let position, let reason, let isLate):
      counts.failures += 1
      records[position].failed(reason, isLate: isLate, at: now)
    case .log(let figures):
      log = figures
      logAnsweredAt = now
      logFailure = nil
      for (purpose, topic) in figures.topics {
        topicMeters[purpose, default: RateMeter()].note(Double(topic.end), at: now)
      }
    case .logFailed(let reason):
      counts.logFailures += 1
      logFailure = reason
    case .deadLetter(let letter): deadLetters.append(letter)
    case .tick(let time):
      mergeValidation()
      history.append(HistoryColumns.values(of: self, now: now), at: time)
    }
  }

  /// A part of the servers' validation would be taken for the whole: it needs all of them.
  private mutating func mergeValidation() {
    validation = nil
    validationFailure = nil
    let servers = records(.ps)
    guard !servers.isEmpty, servers.allSatisfy(\.isReachable) else { return }
    var merged = ValidationReport(taskCount: cluster.tasks.count)
    for server in servers {
      guard let report = server.validation else { return }
      do throws(ClusterError) {
        try merged.merge(report)
      } catch {
        validationFailure = "\(server.process.address): \(error.message)"
        return
      }
    }
    validation = merged
  }

  // MARK: - Figures

  func records(_ role: MonitoredProcess.Role) -> [ProcessRecord] { records.filter { $0.process.role == role } }

  func health(of record: ProcessRecord, now: Instant) -> HealthFinding {
    record.health(intervalMs: cluster.intervalMs, since: startedAt, now: now)
  }

  /// The sum over the reachable processes of a role; nil if none of them has a rate.
  func perSecond(_ role: MonitoredProcess.Role, _ counters: String..., now: Instant) -> Double? {
    let rates = records(role).flatMap { record in counters.compactMap { record.perSecond($0, now: now) } }
    return rates.isEmpty ? nil : rates.reduce(0, +)
  }

  func topicPerSecond(_ purpose: String, now: Instant) -> Double? { topicMeters[purpose]?.perSecond(now: now) }

  /// Records of a topic that its group has not committed.
  func uncommitted(_ purpose: String) -> Int64? {
    guard let topic = log?.topics[purpose], let committed = topic.committed else { return nil }
    return topic.waiting(behind: committed, isTransactional: false)
  }

  /// By partition, up to where all shards have applied the examples; nil unless all servers answer and have their shards.
  var applied: [Int: Int64]? {
    let servers = records(.ps)
    guard !servers.isEmpty, servers.allSatisfy({ $0.isReachable && $0.info["loading"] == "0" }) else { return nil }
    var lowest: [Int: Int64] = [:]
    for server in servers { lowest.merge(server.info.watermarks) { min($0, $1) } }
    return lowest
  }

  /// Examples that are not learned yet.
  var unlearned: Int64? {
    guard let topic = log?.topics["examples"], let applied else { return nil }
    return topic.waiting(behind: applied, isTransactional: true)
  }

  /// Examples that are learned and not in a replica's copy.
  func lag(ofReplica record: ProcessRecord) -> Int64? {
    guard record.isReachable, let applied else { return nil }
    let partitions = record.info.partitions
    return applied.reduce(0) { sum, end in
      sum + max(0, end.value - (partitions[end.key]?[""].flatMap { Int64($0) } ?? 0))
    }
  }

  /// Examples that are not in a file of the archive's store; nil without an archive of them.
  var unarchived: Int64? {
    guard let topic = log?.topics["examples"] else { return nil }
    var archived: [Int: Int64] = [:]
    for record in records(.archive) where record.isReachable {
      for partition in topic.ends.keys {
        let line = record.info["\(cluster.topics.examples)_\(partition)"].map { InfoValues.fields(of: $0) }
        if let offset = line?["archived"].flatMap({ Int64($0) }) { archived[partition] = offset }
      }
    }
    return archived.isEmpty ? nil : topic.waiting(behind: archived, isTransactional: true)
  }

  /// All replicas, in the order in which it is worth asking them for scores.
  public func replicasByHealth(now: Instant) -> [MonitoredProcess] {
    let order: [ProcessHealth] = [.up, .stale, .waiting, .loading, .held, .down]
    let replicas = records(.serve).map { (process: $0.process, health: health(of: $0, now: now).health) }
    return order.flatMap { health in replicas.filter { $0.health == health }.map(\.process) }
  }

  /// The worst of the replicas, over the last seconds; nil while nothing is learned.
  func freshness(_ quantile: String) -> Double? {
    records(.serve).filter(\.isReachable).compactMap { $0.info.number("recent_\(quantile)_ms") }.max()
  }
}

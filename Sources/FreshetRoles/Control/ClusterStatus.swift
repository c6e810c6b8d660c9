import Foundation
import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore

/// What `ctl status` shows: every process that answers, and progressive validation over all servers.
public struct ClusterStatus: Sendable, Encodable {
  public struct Process: Sendable, Encodable {
    public var role: String
    public var address: String
    public var isUp: Bool
    /// Why it is not up.
    public var error: String?
    /// What its `INFO` says, key → value.
    public var info: [String: String]
    /// What of it has a column.
    public var figures: RoleFigures

    enum CodingKeys: String, CodingKey {
      case role, address, error, info
      case isUp = "up"
    }
  }

  public struct Task: Sendable, Encodable {
    public var name: String
    public var examples: UInt64
    public var positives: UInt64
    public var auc: Double?
    public var aucErrorBound: Double?
    public var aucLastHalf: Double?
    public var aucRecent: Double?
    public var logloss: Double?
    public var normalizedEntropy: Double?
    public var calibration: Double?
    public var loglossRecent: Double?
    public var normalizedEntropyRecent: Double?
    public var calibrationRecent: Double?

    enum CodingKeys: String, CodingKey {
      case name, examples, positives, auc, logloss, calibration
      case aucErrorBound = "auc_error_bound"
      case aucLastHalf = "auc_last_half"
      case aucRecent = "auc_recent"
      case normalizedEntropy = "normalized_entropy"
      case loglossRecent = "logloss_recent"
      case normalizedEntropyRecent = "normalized_entropy_recent"
      case calibrationRecent = "calibration_recent"
    }
  }

  public var processes: [Process]
  /// Empty unless every parameter server answered: a part of the metrics would be taken for the whole.
  public var tasks: [Task]

  /// Asks every process of the configuration, and the further ones given.
  public static func collect(
    _ configuration: FreshetConfiguration, replicas: [ServerAddress], others: [(role: String, address: ServerAddress)],
    on group: any EventLoopGroup
  ) async -> ClusterStatus {
    var status = ClusterStatus(processes: [], tasks: [])
    var report: ValidationReport? = ValidationReport(taskCount: configuration.model.tasks.count)
    for address in configuration.cluster.servers {
      let (process, validation) = await ask("ps", address, configuration, wantsValidation: true, on: group)
      status.processes.append(process)
      do {
        if let validation { try report?.merge(validation) } else { report = nil }
      } catch {
        status.processes[status.processes.count - 1].error = "\(error)"
        report = nil
      }
    }
    for (role, address) in replicas.map({ ("serve", $0) }) + others {
      status.processes.append(await ask(role, address, configuration, wantsValidation: false, on: group).process)
    }
    status.tasks = report.map { tasks(of: $0, names: configuration.model.tasks.map(\.name)) } ?? []
    return status
  }

  private static func tasks(of report: ValidationReport, names: [String]) -> [Task] {
    zip(names, report.tasks).map { name, task in
      Task(
        name: name, examples: task.total.count, positives: task.total.positives, auc: task.total.auc,
        aucErrorBound: task.total.aucErrorBound, aucLastHalf: task.lastHalf.auc, aucRecent: task.recent.auc,
        logloss: task.total.logloss, normalizedEntropy: task.total.normalizedEntropy,
        calibration: task.total.calibration, loglossRecent: task.recent.logloss,
        normalizedEntropyRecent: task.recent.normalizedEntropy, calibrationRecent: task.recent.calibration)
    }
  }

  private static func ask(
    _ role: String, _ address: ServerAddress, _ configuration: FreshetConfiguration, wantsValidation: Bool,
    on group: any EventLoopGroup
  ) async -> (process: Process, validation: ValidationReport?) {
    var process = Process(
      role: role, address: address.description, isUp: false, error: nil, info: [:],
      figures: RoleFigures(role: role, info: ""))
    let probe = ProcessProbe(
      address, password: configuration.cluster.password, wantsValidation: wantsValidation, replyTimeoutMs: 30_000,
      on: group)
    do {
      let answer = try await probe.ask()
      await probe.close()
      process.info = answer.info
      process.figures = RoleFigures(role: role, info: answer.text)
      process.isUp = true
      process.error = answer.validationFailure
      return (process, answer.validation)
    } catch {
      process.error = "\(error)"
      return (process, nil)
    }
  }

  static func parse(info text: String) -> [String: String] {
    var values: [String: String] = [:]
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      values[String(line[..<colon])] = String(line[line.index(after: colon)...])
    }
    return values
  }

  public var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }

  private static func note(_ process: Process) -> String {
    let held = process.info["held"] == "1" ? "; `freshet ctl trainer resume` goes on" : ""
    return [models(process.info), process.figures.note + held].filter { !$0.isEmpty }.joined(separator: "; ")
  }

  /// Of a replica which model answers, and what becomes of a second one.
  private static func models(_ info: [String: String]) -> String {
    guard let model = info["model"], let version = info["model_version"] else { return "" }
    let answering = "\(model) version \(version) of \(info["model_servers"] ?? "?")"
    guard let phase = info["promotion"], let candidate = info["candidate_version"] else { return answering }
    return answering + "; version \(candidate): \(phase)" + (info["promotion_error"].map { ", \($0)" } ?? "")
  }

  /// For people.
  public var text: String {
    let rows = processes.map { process in
      guard process.isUp else {
        return [process.role, process.address, "DOWN", "-", "-", "-", "-", "-", process.error ?? ""]
      }
      let figures = process.figures
      return [
        process.role, process.address, "up", RoleFigures.duration(seconds: figures.uptimeSeconds),
        RoleFigures.bytes(figures.residentBytes), RoleFigures.count(figures.lag.map(Double.init)),
        RoleFigures.score(figures.auc), RoleFigures.duration(ms: figures.freshnessP50Ms),
        Self.note(process),
      ]
    }
    var lines = TextTable.lines(
      head: ["ROLE", "ADDRESS", "STATE", "UPTIME", "MEMORY", "LAG", "AUC", "FRESHNESS", ""], rows: rows,
      alignRight: [3, 4, 5, 6, 7])
    for task in tasks {
      func number(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
      lines.append(
        "task \(task.name): \(task.examples) examples, AUC \(number(task.auc)) (last half \(number(task.aucLastHalf)), "
          + "recent \(number(task.aucRecent))), logloss \(number(task.logloss)) (recent \(number(task.loglossRecent))), "
          + "normalized entropy \(number(task.normalizedEntropy)) (recent \(number(task.normalizedEntropyRecent))), "
          + "calibration \(number(task.calibration)) (recent \(number(task.calibrationRecent)))"
      )
    }
    if tasks.isEmpty { lines.append("no validation metrics: not every parameter server answered") }
    return lines.joined(separator: "\n")
  }
}

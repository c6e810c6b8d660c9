import Foundation
import FreshetCluster
import FreshetCore
import FreshetModel
import Logging

/// The states of a joiner's partitions on disk: a directory each. Finds them when partitions come, sets aside those that are
/// of no use, and says what becomes of them.
final class JoinerStateDesk {
  enum Found {
    case state(RocksJoinerState, at: JoinerCommitPoint?)
    /// Somebody else has it open, or there is no room to open it: to be asked again.
    case busy
  }

  private struct Watch {
    var since: Instant
    var isRestored = false
    var isFull = false
  }

  private let directory: String?
  private let settings: RocksJoinerState.Settings
  private let config: JoinerConfig
  private let schema: UInt32
  private let place: String
  private let logger: Logger
  /// States that turned out to be of no use while they were open.
  private var useless: [PartitionID: String] = [:]
  private var busy: [PartitionID: String] = [:]
  private var watches: [PartitionID: Watch] = [:]

  init(_ configuration: FreshetConfiguration, config: JoinerConfig, schema: UInt32, logger: Logger) {
    let joiner = configuration.joiner
    directory = joiner.state
    settings = RocksJoinerState.Settings(diskBytes: joiner.diskBytes, memoryBytes: joiner.stateBytes)
    self.config = config
    self.schema = schema
    place = "group \(joiner.group) of \(configuration.kafka.topics.features) and \(configuration.kafka.topics.actions)"
    self.logger = logger
  }

  /// Whether there is a disk.
  var isInUse: Bool { directory != nil }

  private func path(_ partition: PartitionID) -> String { "\(directory ?? "")/partition-\(partition)" }

  // MARK: - Opening

  /// Opens the state of a partition, or an empty one if there is none that is of use.
  /// - Precondition: `isInUse`.
  func open(
    _ partition: PartitionID, committed: JoinerCommitPoint, logStarts: (features: Int64, actions: Int64)
  ) throws -> Found {
    let path = path(partition)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    if let reason = useless.removeValue(forKey: partition) { try setAside(partition, reason) }
    for _ in 0..<2 {
      do throws(JoinerStateError) {
        let state = try RocksJoinerState(path: path, settings: settings)
        let check = try JoinerStateCheck.run(
          state, identity: config.stateIdentity(schema: schema, place: "\(place) partition \(partition)"),
          committed: committed, logStarts: logStarts)
        switch check {
        case .empty: return found(partition, state, nil)
        case .usable(let point): return found(partition, state, point)
        case .useless(let reason): throw JoinerStateError(.damaged, reason)
        }
      } catch {
        switch error.kind {
        case .locked, .noSpace: return wait(partition, error)
        case .damaged: try setAside(partition, error.message)
        case .failed: throw error
        }
      }
    }
    throw JoinerStateError(.failed, "\(path): a new state cannot be opened either")
  }

  private func found(_ partition: PartitionID, _ state: RocksJoinerState, _ at: JoinerCommitPoint?) -> Found {
    busy[partition] = nil
    return .state(state, at: at)
  }

  private func wait(_ partition: PartitionID, _ error: JoinerStateError) -> Found {
    if busy.updateValue(error.code, forKey: partition) != error.code {
      logger.warning("the partition waits for its state: \(error)", metadata: ["partition": "\(partition)"])
    }
    return .busy
  }

  /// Keeps one for whoever wants to know what was wrong with it.
  private func setAside(_ partition: PartitionID, _ reason: String) throws {
    let path = path(partition)
    let aside = path + ".aside"
    logger.warning(
      "the state on disk is set aside, the partition is rebuilt from the log: \(reason)",
      metadata: ["partition": "\(partition)", "aside": "\(aside)"])
    if FileManager.default.fileExists(atPath: aside) { try FileManager.default.removeItem(atPath: aside) }
    try FileManager.default.moveItem(atPath: path, toPath: aside)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  /// The state of a partition cannot be used any more: it is set aside when it is opened next.
  func discard(_ partition: PartitionID, _ reason: String) { useless[partition] = reason }

  // MARK: - Watching

  func began(_ partition: PartitionID, now: Instant) { watches[partition] = Watch(since: now) }

  func ended(_ partition: PartitionID) {
    watches[partition] = nil
    busy[partition] = nil
  }

  /// Says what has changed with a partition.
  func watch(_ partition: PartitionID, _ machine: JoinerPartition, now: Instant) {
    guard var watch = watches[partition] else { return }
    if !watch.isRestored, machine.isRestored {
      watch.isRestored = true
      let seconds = now.milliseconds(since: watch.since) / 1000
      logger.info(
        "restored",
        metadata: [
          "partition": "\(partition)", "records": "\(machine.restoredCount)",
          "seconds": "\((seconds * 1000).rounded() / 1000)",
          "records_per_second": "\(Int(Double(machine.restoredCount) / max(seconds, 0.001)))",
          "waiting": "\(machine.waitingFeatureCount)",
        ])
    }
    let problem = machine.stateProblem
    if !watch.isFull, let problem, problem.kind == .noSpace {
      watch.isFull = true
      logger.error(
        "the disk is full: the partition stands still until there is room. \(problem)",
        metadata: ["partition": "\(partition)"])
    } else if watch.isFull, problem == nil {
      watch.isFull = false
      logger.notice("the disk has room again: the partition goes on", metadata: ["partition": "\(partition)"])
    }
    watches[partition] = watch
  }
}

import Foundation
import FreshetCluster
import FreshetCore
import FreshetKafka
import FreshetModel
import Logging
import NIOConcurrencyHelpers

/// Where a trainer's examples come from. What it has to tell goes to the trainer's loop.
protocol ExampleSource: AnyObject, Sendable {
  func send(_ command: ExampleFeed.Command)
  var statistics: ExampleFeed.Statistics { get }
}

/// The thread that reads `examples`: decodes records where librdkafka holds them and hands batches to the trainer's loop.
///
/// Partitions begin paused and are read from where the trainer asks, from the archive as far as it goes if there is to be a
/// batch stage. While examples pile up nothing is polled: pausing a partition would throw away what has been fetched ahead.
final class ExampleFeed: ExampleSource {
  /// What the trainer's loop asks of the thread.
  enum Command: Sendable {
    case locate(PartitionID, attempt: UInt64)
    case fetch(PartitionID, attempt: UInt64, from: Offset)
    case fetchPass(PartitionID, attempt: UInt64, from: Offset, until: Offset)
    case stop(PartitionID)
    case consumed(PartitionID, attempt: UInt64, count: Int)
    case commit(PartitionID, Offset)
  }

  /// What the thread tells the trainer's loop.
  enum Event: Sendable {
    case assigned(PartitionID)
    case revoked(PartitionID)
    case located(PartitionID, attempt: UInt64, start: Offset, end: Offset)
    case examples(PartitionID, attempt: UInt64, ExampleBatch)
    case unreadable(PartitionID, attempt: UInt64, reason: String)
    case passEnded(PartitionID, attempt: UInt64)

    var trainerEvent: TrainerEvent {
      switch self {
      case .assigned(let partition): .assigned(partition)
      case .revoked(let partition): .revoked(partition)
      case .located(let partition, let attempt, let start, let end):
        .located(partition, attempt: attempt, start: start, end: end)
      case .examples(let partition, let attempt, let batch): .examples(partition, attempt: attempt, batch)
      case .unreadable(let partition, let attempt, let reason):
        .unreadable(partition, attempt: attempt, reason: reason)
      case .passEnded(let partition, let attempt): .passEnded(partition, attempt: attempt)
      }
    }
  }

  /// Counters that the loop shows.
  struct Statistics: Sendable {
    var examplesRead = 0
    var deadLetters = 0
    /// How often polling waited for the trainer.
    var waits = 0
    var lags: [ConsumerLag] = []
  }

  private let configuration: FreshetConfiguration
  /// Tells this trainer from others of the group; stable across restarts. nil where nothing does.
  private let instance: String?
  private let stage: BatchStage
  private let logger: Logger
  private let commands = NIOLockedValueBox<[Command]>([])
  private let isFinished = NIOLockedValueBox(false)
  private let shared = NIOLockedValueBox(Statistics())

  init(configuration: FreshetConfiguration, instance: String?, stage: BatchStage, logger: Logger) {
    self.configuration = configuration
    self.instance = instance
    self.stage = stage
    self.logger = logger
  }

  /// Ends the thread once the commands sent before are carried out.
  func finish() { isFinished.withLockedValue { $0 = true } }

  func send(_ command: Command) { commands.withLockedValue { $0.append(command) } }

  var statistics: Statistics { shared.withLockedValue { $0 } }

  /// Reads until the role ends; what goes wrong for good ends the role.
  func run(failsFast: Bool, outcome: RoleOutcome, deliver: @escaping (Event) -> Void) {
    do {
      try KafkaStartup.prepare(
        configuration.kafka, clientID: "freshet-trainer", failsFast: failsFast, logger: logger
      ) {
        outcome.isEnded
      }
      try read(outcome: outcome, deliver: deliver)
      outcome.finish()
    } catch {
      outcome.fail(error)
    }
  }

  private func read(outcome: RoleOutcome, deliver: @escaping (Event) -> Void) throws {
    let kafka = KafkaStartup.configuration(configuration.kafka, clientID: "freshet-trainer", logger: logger)
    // What is no longer there is not to be passed over: the trainer must know of it.
    var options = KafkaConsumer.Options(groupID: configuration.trainer.group, offsetReset: .error, startPaused: true)
    options.fetchWaitMs = 20
    options.groupInstanceID = instance
    // Ends of passes, and of the log: beyond its last record there are markers of transactions, which are no lag.
    options.endOfPartitionEvents = true
    let archive = try stage.open(configuration, logger: logger)
    let deadLetters = try DeadLetterWriter(kafka, topic: configuration.kafka.topics.deadLetter)
    let reading = ExampleReading(
      consumer: try KafkaConsumer(kafka, options: options), topic: configuration.kafka.topics.examples,
      layout: ExampleLayout(configuration.model), queuedExamples: configuration.trainer.queuedExamples,
      archive: archive, deadLetters: deadLetters, logger: logger, deliver: deliver
    ) { [shared] change in shared.withLockedValue { change(&$0) } }
    try reading.begin()
    var lagAsked = Instant(nanoseconds: 0)
    while true {
      if Instant.now().milliseconds(since: lagAsked) >= ConsumerLag.intervalMs {
        lagAsked = Instant.now()
        shared.withLockedValue { $0.lags = reading.lags }
      }
      let isLast = isFinished.withLockedValue { $0 }
      for command in commands.withLockedValue({ commands in
        defer { commands.removeAll() }
        return commands
      }) where try !reading.perform(command) {
        send(command)
      }
      if isLast { break }
      if try !reading.step() {
        shared.withLockedValue { $0.waits += 1 }
        Thread.sleep(forTimeInterval: 0.001)
      }
    }
    try reading.end()
  }
}

import Foundation
import FreshetCluster
import FreshetCore
import FreshetModel

/// `freshet bench train`: one pass over MovieLens, each example predicted before it is learned.
public struct TrainBenchmark: Sendable {
  public struct Settings: Sendable {
    /// A directory of MovieLens data.
    public var data: String
    /// Ratings, in the order of time; nil for all.
    public var limit: Int?
    public var batchSize: Int
    public var microBatchSize: Int
    /// Passes from an empty model, of which the median's speed is reported.
    public var runs: Int
    /// What the trainer counts meanwhile, as the role does; nil: nothing.
    public var validation: PartitionValidation.Settings?

    public init(
      data: String, limit: Int?, batchSize: Int, microBatchSize: Int, runs: Int,
      validation: PartitionValidation.Settings?
    ) {
      self.data = data
      self.limit = limit
      self.batchSize = batchSize
      self.microBatchSize = microBatchSize
      self.runs = runs
      self.validation = validation
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    /// `memory`, or `tcp` with the number of servers.
    public var transport: String
    public var servers: Int
    public var examples: Int
    public var batch_size: Int
    public var micro_batch_size: Int
    /// Slots by whose values the trainer divided its validation meanwhile.
    public var slices: [String]
    public var runs: Int
    /// Median of the runs.
    public var seconds: Double
    public var examples_per_second: Double
    /// Processor time of this process, and of the servers where they are others.
    public var cpu_seconds: Double
    public var examples_per_core_second: Double
    public var auc: Double
    public var auc_last_half: Double
    public var logloss: Double
    public var logloss_last_half: Double
    /// Calls of malloc and its kin in the second half, where a library that counts them is loaded (Benchmarks/Train/run).
    public var mallocs_per_example: Double?
    /// Of all rows and tensors with their optimizer states after each run; one value if runs equal each other to the bit.
    public var checksums: [String]
  }

  let settings: Settings
  let model: ModelSpec
  let tables: ModelTables

  /// - Parameter model: Fields and first task as for MovieLens.
  public init(_ settings: Settings, model: ModelSpec) throws {
    self.settings = settings
    self.model = model
    tables = try ModelTables(model)
  }

  /// One pass: predictions and what it cost.
  struct Run {
    var logits: [Float] = []
    var seconds = 0.0
    var cpuSeconds = 0.0
    var mallocsPerExample: Double?
    var checksum: UInt64?
  }

  /// Trains in this thread.
  public func runInMemory(progress: (String) -> Void) throws -> Report {
    Network.useOneThread()
    progress("joining \(settings.data)")
    let log = try TrainingLog(model: model, directory: settings.data, limit: settings.limit)
    var runs: [Run] = []
    for number in 1...settings.runs {
      progress("run \(number) of \(settings.runs)")
      runs.append(try runOnce(log))
    }
    return report(runs, log, transport: "memory", servers: 1)
  }

  private func runOnce(_ log: TrainingLog) throws -> Run {
    let training = try LocalTraining(
      tables: tables, batchSize: settings.batchSize, microBatchSize: settings.microBatchSize,
      validation: settings.validation)
    var logits: [Float] = []
    logits.reserveCapacity(log.count * tables.shape.tasks)
    training.observe { logits.append(contentsOf: $0) }
    var run = Run()
    let half = log.blocks.count / 2
    let cpuBefore = ProcessorTime.ofThisProcess
    let began = Instant.now()
    var mallocsBefore: UInt64?
    for (number, block) in log.blocks.enumerated() {
      if number == half { mallocsBefore = AllocationCounter.count }
      try training.train(block)
    }
    let ended = Instant.now()
    if let before = mallocsBefore, let after = AllocationCounter.count {
      let examples = log.blocks[half...].reduce(0) { $0 + $1.count }
      run.mallocsPerExample = Double(after - before) / Double(max(1, examples))
    }
    run.seconds = ended.milliseconds(since: began) / 1e3
    run.cpuSeconds = ProcessorTime.ofThisProcess - cpuBefore
    run.logits = logits
    run.checksum = training.checksum
    return run
  }

  func report(_ runs: [Run], _ log: TrainingLog, transport: String, servers: Int) -> Report {
    let bySpeed = runs.sorted { $0.seconds < $1.seconds }
    let median = bySpeed[bySpeed.count / 2]
    // The first task's.
    let tasks = tables.shape.tasks
    let labels = log.blocks.flatMap { block in (0..<block.count).map { block.labels[$0 * tasks] } }
    let logits = (0..<runs[0].logits.count / tasks).map { runs[0].logits[$0 * tasks] }
    precondition(labels.count == logits.count, "\(labels.count) examples, \(logits.count) predictions")
    let all = PredictionScore(logits: logits[...], labels: labels[...])
    let lastHalf = PredictionScore(logits: logits[(logits.count / 2)...], labels: labels[(labels.count / 2)...])
    return Report(
      transport: transport, servers: servers, examples: log.count, batch_size: settings.batchSize,
      micro_batch_size: settings.microBatchSize,
      slices: settings.validation.map { $0.slots.map { model.slots[$0].name } } ?? [], runs: runs.count,
      seconds: median.seconds,
      examples_per_second: Double(log.count) / median.seconds, cpu_seconds: median.cpuSeconds,
      examples_per_core_second: Double(log.count) / median.cpuSeconds, auc: all.auc, auc_last_half: lastHalf.auc,
      logloss: all.logloss, logloss_last_half: lastHalf.logloss,
      mallocs_per_example: runs.compactMap(\.mallocsPerExample).max(),
      checksums: Set(runs.compactMap(\.checksum)).sorted().map { String($0, radix: 16) })
  }
}

/// Processor time, user and system.
enum ProcessorTime {
  static var ofThisProcess: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// Of a process that runs; nil if it does not.
  static func of(pid: Int32) -> Double? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let end = text.lastIndex(of: ")")
    else { return nil }
    // Fields behind the name begin with the third; user and system time are the 14th and 15th.
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}

/// A count of allocations of the calling thread, if the process was started with a library that keeps one.
enum AllocationCounter {
  private static let function: (@convention(c) () -> UInt64)? = {
    guard let symbol = dlsym(nil, "freshet_allocation_count") else { return nil }
    return unsafeBitCast(symbol, to: (@convention(c) () -> UInt64).self)
  }()

  static var count: UInt64? { function?() }
}

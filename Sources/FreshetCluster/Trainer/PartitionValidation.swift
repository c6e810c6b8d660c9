import FreshetCore
import FreshetModel

/// Progressive validation of what a trainer has pushed of one partition since it was assigned: by task, and by the values of
/// slots. Each offset counts once, also if a fault has it trained again. If somebody else has trained on what comes between, it
/// begins anew.
///
/// What the whole cluster has learned, across trainers and their lives, the servers count (`ValidationReport`); this is what a
/// trainer can say by slice.
public struct PartitionValidation: Sendable {
  /// Over which stretches and slots.
  public struct Settings: Sendable, Equatable {
    /// Examples of a partition, rounded up to whole batches.
    public let window: Int
    /// Positions in the model's slots whose values are slices.
    public let slots: [Int]
    /// Values of a slot that are slices of their own, in `1...ValidationSlices.maximumCapacity`.
    public let valuesPerSlot: Int

    public init(window: Int, slots: [Int], valuesPerSlot: Int) {
      precondition(window > 0)
      self.window = window
      self.slots = slots
      self.valuesPerSlot = valuesPerSlot
    }
  }

  private let settings: Settings
  /// Examples of the window that fills.
  private var filled = 0
  /// Examples so far.
  public private(set) var examples: UInt64 = 0
  /// The offsets that are counted: everything in `from ..< to`.
  public private(set) var from = Offset.none
  public private(set) var to = Offset.none
  /// When the newest of the actions was appended to Kafka.
  public private(set) var newestIngest = UnixTime(milliseconds: 0)
  public private(set) var tasks: [WindowedValidation]
  /// In the order of `Settings.slots`.
  public private(set) var slices: [ValidationSlices]

  init(_ settings: Settings, taskCount: Int) {
    self.settings = settings
    tasks = (0..<taskCount).map { _ in WindowedValidation(.fine) }
    slices = settings.slots.map { _ in ValidationSlices(taskCount: taskCount, capacity: settings.valuesPerSlot) }
  }

  /// Adds the batch of `from ..< to`.
  /// - Parameters:
  ///   - outcomes: Row-major `examples × tasks`; of no account without slots.
  ///   - slice: The batch's examples; nil without slots.
  mutating func add(
    _ report: BatchReport, from: Offset, to: Offset, outcomes: UnsafeBufferPointer<ValidationOutcome>,
    examples slice: ExampleSlice?
  ) {
    if filled >= settings.window { roll() }
    if examples == 0 { self.from = from }
    self.to = to
    filled += report.exampleCount
    examples += UInt64(report.exampleCount)
    newestIngest = max(newestIngest, report.newestIngest)
    for (number, task) in report.tasks.enumerated() {
      tasks[number].add(task.predictions, loss: task.loss, predicted: task.predicted)
    }
    guard let slice else { return }
    precondition(outcomes.count == slice.count * tasks.count)
    slice.batch.fids.withUnsafeBufferPointer { fids in
      for (number, slot) in settings.slots.enumerated() {
        for example in 0..<slice.count {
          let range = slice.batch.fidRange(example: slice.examples.lowerBound &+ example, slot: slot)
          slices[number].add(
            values: UnsafeBufferPointer(rebasing: fids[range]),
            outcomes: UnsafeBufferPointer(
              rebasing: outcomes[example &* tasks.count..<(example &+ 1) &* tasks.count]))
        }
      }
    }
  }

  /// The log has no example up to here.
  mutating func skip(to: Offset) { self.to = to }

  private mutating func roll() {
    filled = 0
    for task in tasks.indices { tasks[task].roll() }
    for slot in slices.indices { slices[slot].roll() }
  }
}

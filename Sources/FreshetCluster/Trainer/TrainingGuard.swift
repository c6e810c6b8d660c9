import FreshetCore
import FreshetModel

/// Judges the predictions of each batch before anything is learned from it: if those of a task have become worse than a bound over
/// the newest examples, what comes in is more likely to be wrong than the model is.
public struct TrainingGuard: Sendable {
  public struct Bounds: Sendable, Equatable {
    /// Examples with the task's label: so many of the newest are judged together, or up to 1/256 and a batch more. Nothing is judged
    /// before there are so many.
    public let window: Int
    /// In nats, above 0; nil: not judged.
    public let maximumLogloss: Double?
    /// Above 0; nil: not judged. Nor is a window whose labels are all alike.
    public let maximumNormalizedEntropy: Double?

    public init(window: Int, maximumLogloss: Double?, maximumNormalizedEntropy: Double?) {
      precondition(window > 0)
      self.window = window
      self.maximumLogloss = maximumLogloss
      self.maximumNormalizedEntropy = maximumNormalizedEntropy
    }
  }

  /// Why training is held.
  public struct Breach: Sendable, Equatable {
    public enum Measure: String, Sendable {
      case logloss
      case normalizedEntropy = "normalized entropy"
    }

    /// Position in the model's tasks.
    public let task: Int
    public let measure: Measure
    public let value: Double
    public let bound: Double
    /// That were judged together.
    public let examples: UInt64
  }

  private struct Sums {
    var count: UInt64 = 0
    var positives: UInt64 = 0
    var loss = 0.0
  }

  private static let blocksPerWindow = 256

  public let bounds: Bounds
  /// By task, the newest last; together they are the window.
  private var blocks: [[Sums]]

  init(_ bounds: Bounds, taskCount: Int) {
    self.bounds = bounds
    blocks = (0..<taskCount).map { _ in [] }
  }

  /// Takes up a batch.
  /// - Returns: The first bound that is exceeded, by the order of tasks. A figure that is no number exceeds any.
  mutating func judge(_ report: BatchReport) -> Breach? {
    for (number, task) in report.tasks.enumerated() { add(task, number) }
    for task in blocks.indices {
      let sums = sums(of: task)
      guard sums.count >= UInt64(bounds.window) else { continue }
      if let bound = bounds.maximumLogloss {
        let value = sums.loss / Double(sums.count)
        if !(value <= bound) {
          return Breach(task: task, measure: .logloss, value: value, bound: bound, examples: sums.count)
        }
      }
      if let bound = bounds.maximumNormalizedEntropy,
        let value = ValidationWindow.normalizedEntropy(loss: sums.loss, positives: sums.positives, count: sums.count),
        !(value <= bound)
      {
        return Breach(task: task, measure: .normalizedEntropy, value: value, bound: bound, examples: sums.count)
      }
    }
    return nil
  }

  /// Forgets everything: the window fills anew.
  mutating func reset() {
    for task in blocks.indices { blocks[task].removeAll(keepingCapacity: true) }
  }

  /// Mean log loss over the window, as far as it is filled, in nats; nil without examples.
  public func logloss(task: Int) -> Double? {
    let sums = sums(of: task)
    return sums.count > 0 ? sums.loss / Double(sums.count) : nil
  }

  private mutating func add(_ report: BatchReport.Task, _ task: Int) {
    let blockSize = UInt64(max(1, bounds.window / Self.blocksPerWindow))
    if blocks[task].last.map({ $0.count >= blockSize }) ?? true { blocks[task].append(Sums()) }
    let last = blocks[task].count - 1
    blocks[task][last].count += UInt64(report.predictions.count)
    blocks[task][last].positives += UInt64(report.predictions.count { $0.isPositive })
    blocks[task][last].loss += report.loss
    var count = sums(of: task).count
    while let oldest = blocks[task].first, blocks[task].count > 1, count - oldest.count >= UInt64(bounds.window) {
      count -= oldest.count
      blocks[task].removeFirst()
    }
  }

  /// Summed anew each time, so that no rounding stays of what has left.
  private func sums(of task: Int) -> Sums {
    var sum = Sums()
    for block in blocks[task] {
      sum.count += block.count
      sum.positives += block.positives
      sum.loss += block.loss
    }
    return sum
  }
}

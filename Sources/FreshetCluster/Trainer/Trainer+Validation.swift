import FreshetCore
import FreshetModel

/// What a trainer counts of its own predictions, and the guard that judges them.
///
/// A batch is judged between prediction and push. If it, or what came before it, is too bad, it is not pushed, and nothing is until
/// somebody resumes: every partition is given up as after a lost connection, and on resuming claimed again. So a hold is nothing
/// new to the servers. Watermarks stand where the last push has taken them, nothing is skipped, and the examples that were
/// judged are read, predicted and judged again (docs/exactly-once.md#holds).
extension Trainer {
  /// By partition.
  public var validation: [(partition: PartitionID, validation: PartitionValidation)] {
    validations.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Judges a batch and counts it; to be pushed at once, if that is allowed.
  /// - Returns: Why it may not be pushed.
  func validate(_ partition: PartitionID, _ flight: PartitionTraining.InFlight) -> TrainingGuard.Breach? {
    let stream = partition.stream
    guard isValidated(partition, to: flight.to), var counted = validations[stream], flight.from >= counted.to else {
      return nil
    }
    if let breach = trainingGuard?.judge(flight.step.report) { return breach }
    // Taken out, since what is changed in place must have one owner.
    validations[stream] = nil
    if counted.examples > 0, flight.from > counted.to, let settings = configuration.validation {
      counted = PartitionValidation(settings, taskCount: configuration.tables.shape.tasks)
    }
    flight.step.withOutcomes {
      counted.add(flight.step.report, from: flight.from, to: flight.to, outcomes: $0, examples: flight.examples)
    }
    validations[stream] = counted
    return nil
  }

  /// The log has nothing in `from ..< to`: what is counted goes on behind it.
  func skipInValidation(_ partition: PartitionID, from: Offset, to: Offset) {
    guard partition.pass <= 1, to.finishedEnd == nil, validations[partition.stream]?.to == from else { return }
    validations[partition.stream]!.skip(to: to)
  }

  /// Whether progressive validation is to count what a batch of the partition predicts that ends here: each example before
  /// anything was learned from it, in the first pass, or in the stream behind that.
  func isValidated(_ partition: PartitionID, to: Offset) -> Bool {
    partition.pass == 1 || (partition.pass == 0 && to > partitions[partition]!.validatedBelow)
  }

  /// Where batches of the partition must be cut so that each is counted as a whole or not at all.
  func countedBelow(_ partition: PartitionID) -> Offset {
    partition.pass <= 1 ? validations[partition.stream]?.to ?? .none : .none
  }

  func hold(_ breach: TrainingGuard.Breach, _ now: Instant) {
    holdReason = breach
    statistics.holds += 1
    for partition in partitions.keys.sorted() { giveUp(partition, until: { _ in now }) }
    actions.append(.held(breach))
  }

  func resume(_ now: Instant) {
    guard holdReason != nil else { return }
    holdReason = nil
    trainingGuard?.reset()
    actions.append(.notice("training goes on"))
    for partition in partitions.keys.sorted() { claimIfPossible(partition, now) }
  }
}

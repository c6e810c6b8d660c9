import FreshetCore
import FreshetModel

/// What windows give: while they are open, when they close, and to actions that come after that.
extension JoinerPartition {
  /// Remembers a window until it closes; with a disk, only if it may give an example then.
  func scheduleClosing(_ impression: Impression) {
    guard !store.isTiered || config.emit == .atWindowEnd || keepsNegative(impression.requestHash) else { return }
    closings.insert(
      .init(
        deadlineMs: impression.timeMs + config.windowMs, offset: impression.offset, reference: impression.requestHash))
  }

  /// What an action makes of an impression whose window is open: nil if nothing before the window's end.
  func example(_ kind: Int) -> (tasks: UInt16, origin: ExampleOrigin)? {
    config.emit == .onAction ? (positives.tasks(of: kind), .actions) : nil
  }

  /// What an action makes of an impression whose window has given what it gives: nil if that need not change.
  ///
  /// Without an action before this one that is a negative example or, if that was dropped, nothing; with one, what the mode makes
  /// of actions. Both follow from the impression alone.
  func lateExample(
    _ impression: Impression, _ kind: Int, _ positive: UInt16
  ) -> (tasks: UInt16, origin: ExampleOrigin)? {
    let tasks = config.emit == .onAction ? positives.tasks(of: kind) : positives.allTasks
    if impression.seen == 0 {
      return (tasks, keepsNegative(impression.requestHash) ? .correctsNegative : .actions)
    }
    switch config.emit {
    case .onAction: return (tasks, .actions)
    case .atWindowEnd: return positive == 0 ? nil : (positive, .correctsLabels)
    }
  }

  /// Closes an impression's window.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func close(
    _ closing: DeadlineHeap.Entry, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    guard let slot = store.find(closing.reference), store[slot].offset == closing.offset else { return true }
    let impression = store[slot]
    if impression.seen != 0 {
      guard config.emit == .atWindowEnd else { return true }
      positives.write(impression.positives, of: positives.allTasks, to: labels)
      return emitClosed(impression, .actions, closedAtMs: closing.deadlineMs, catalog, now, output)
    }
    if keepsNegative(impression.requestHash) {
      positives.write(0, of: positives.allTasks, to: labels)
      guard emitClosed(impression, .negative, closedAtMs: closing.deadlineMs, catalog, now, output) else {
        return false
      }
    } else if config.negativeRate > 0 {
      counters.negativesDropped += 1
    }
    counters.expired += 1
    return true
  }

  /// Whether the request's negative example is kept: the same answer whenever it is asked.
  private func keepsNegative(_ requestHash: UInt64) -> Bool {
    guard config.negativeRate > 0 else { return false }
    var generator = SeededGenerator(seed: requestHash ^ Hashing.mix(config.negativeSeed))
    return generator.nextUnit() < Double(config.negativeRate)
  }
}

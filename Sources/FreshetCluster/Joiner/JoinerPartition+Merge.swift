import FreshetCore
import FreshetModel

extension JoinerPartition {
  /// Processes queued records in the order of their event times, as far as both topics allow.
  ///
  /// - Parameters:
  ///   - catalog: The items as they are now.
  ///   - output: What comes of it is appended. Take it before committing `commitPoint`.
  public func run(catalog: ItemCatalog, now: Instant, output: JoinerOutput) -> Progress {
    wantedEnd = nil
    defer {
      updateFlow(output)
      output.needsEnd = wantedEnd
    }
    if let stop = settleState(now) { return stop }
    guard isRestored else { return .drained }
    if advancingToMs != nil, let stop = finishAdvance(catalog, now, output) { return stop }
    while true {
      if output.byteCount >= config.maxOutputBytes { return .outputFull }
      if let disk {
        guard disk.failure == nil else { return .stateFailed }
        if isCommitNeeded { return .commitNeeded }
      }
      guard let topic = nextTopic(now) else { return .drained }
      if disk != nil, prefetched[topic.rawValue] == 0 { prefetch(topic) }
      let stop =
        switch topic {
        case .features: stepFeature(catalog, now, output)
        case .actions: stepAction(catalog, now, output)
        }
      if let stop { return stop }
    }
  }

  /// Whose record is next; nil if that depends on records that have not come yet.
  private func nextTopic(_ now: Instant) -> JoinerTopic? {
    if !featureQueue.isEmpty, featureQueue.first.record.isBad { return .features }
    if !actionQueue.isEmpty, actionQueue.first.record.isBad { return .actions }
    switch (featureQueue.isEmpty, actionQueue.isEmpty) {
    case (true, true): return nil
    case (false, false):
      return featureQueue.first.record.timeMs <= actionQueue.first.record.timeMs ? .features : .actions
    case (false, true): return mayPass(featureQueue.first.record, other: .actions, now) ? .features : nil
    case (true, false): return mayPass(actionQueue.first.record, other: .features, now) ? .actions : nil
    }
  }

  /// Whether a record may be processed although the other topic has nothing to compare it with.
  ///
  /// The other topic must be read to its end. If it moves with the wall clock, then nothing older than its estimated time
  /// is to be expected. If it has been silent for the idle timeout, it is not waited for, but a record that is ahead of the
  /// wall clock still waits for a moment: when a replay resumes, the other topic's records are just behind.
  private func mayPass(_ record: QueuedRecord, other: JoinerTopic, _ now: Instant) -> Bool {
    let state = inputs[other.rawValue]
    guard state.isCaughtUp else { return false }
    if let estimate = state.estimatedTimeMs(now), record.timeMs <= estimate { return true }
    guard now.milliseconds(since: state.lastArrival) >= Double(config.idleTimeoutMs) else { return false }
    guard record.isOnTime || now.milliseconds(since: record.arrival) >= Double(config.idleHoldMs) else { return false }
    // Silence may also mean that this process or the broker is slow: records that are already in the log must come first.
    if let confirmed = state.endConfirmed, confirmed >= record.arrival { return true }
    wantedEnd = other
    return false
  }

  private func stepFeature(_ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput) -> Progress? {
    let queued = featureQueue.first
    if queued.record.isBad {
      consumeBad(queued.record, .features, output)
      featureQueue.removeFirst()
      return nil
    }
    if queued.record.lacksEnrichment { return completeFirstFeature(now, output) ? nil : .waitingForItems }
    if let stop = advance(to: queued.record.timeMs, queued.record.appendTimeMs, catalog, now, output) { return stop }
    guard process(queued, catalog, now, output) else { return .waitingForItems }
    featureQueue.removeFirst()
    noteNeeded(queued.impression)
    finish(queued.record, .features)
    counters.features += 1
    // The impression may have come after its window's end.
    return advance(to: queued.record.timeMs, queued.record.appendTimeMs, catalog, now, output)
  }

  private func stepAction(_ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput) -> Progress? {
    let queued = actionQueue.first
    if queued.record.isBad {
      consumeBad(queued.record, .actions, output)
      actionQueue.removeFirst()
      return nil
    }
    if let stop = advance(to: queued.record.timeMs, queued.record.appendTimeMs, catalog, now, output) { return stop }
    guard process(queued, catalog, now, output) else { return .waitingForItems }
    actionQueue.removeFirst()
    actionSpans.add(queued.record.offset, neededUntilMs: queued.record.timeMs + config.actionNeededMs)
    finish(queued.record, .actions)
    counters.actions += 1
    return nil
  }

  private func consumeBad(_ record: QueuedRecord, _ topic: JoinerTopic, _ output: JoinerOutput) {
    if let letter = inputs[topic.rawValue].bad.removeValue(forKey: record.offset) { emit(letter, output) }
    finish(record, topic)
  }

  private func finish(_ record: QueuedRecord, _ topic: JoinerTopic) {
    inputs[topic.rawValue].next = record.offset + 1
    prefetched[topic.rawValue] = max(0, prefetched[topic.rawValue] - 1)
    inputs[topic.rawValue].queuedBytes -= Int(record.payloadCount)
    queueArena.release(.init(start: record.payload, chunk: record.payloadChunk))
  }

  /// Actions that were restored before their impressions could be: the impressions are read first if these are many.
  private var prematureCount: Int { inputs[JoinerTopic.features.rawValue].isRestored ? 0 : waiting.count }

  private func updateFlow(_ output: JoinerOutput) {
    for topic in JoinerTopic.allCases {
      let records = topic == .features ? featureQueue.count : max(actionQueue.count, prematureCount)
      let bytes = inputs[topic.rawValue].queuedBytes
      let isPaused = inputs[topic.rawValue].isPaused
      if !isPaused, isDiskFull || records >= config.maxQueuedRecords || bytes >= config.maxQueuedBytes {
        inputs[topic.rawValue].isPaused = true
        output.flow.append((topic, true))
      } else if isPaused, !isDiskFull, records <= config.maxQueuedRecords / 2, bytes <= config.maxQueuedBytes / 2 {
        inputs[topic.rawValue].isPaused = false
        output.flow.append((topic, false))
      }
    }
  }

  /// Moves the stream time on and does what is due by then.
  private func advance(
    to timeMs: Int64, _ appendTimeMs: Int64, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Progress? {
    let target = max(streamTimeMs ?? .min, timeMs)
    // Nothing can be due that was not due before, unless an impression was added whose window is over.
    if target == streamTimeMs, closings.first(before: target) == nil { return nil }
    advancingToMs = target
    advancingAppendTimeMs = appendTimeMs
    return finishAdvance(catalog, now, output)
  }

  private func finishAdvance(_ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput) -> Progress? {
    guard let target = advancingToMs else { return nil }
    while let closing = closings.first(before: target) {
      if output.byteCount >= config.maxOutputBytes { return .outputFull }
      guard close(closing, catalog, now, output) else { return .waitingForItems }
      closings.removeFirst()
    }
    if !waiting.isEmpty {
      while let action = waiting.giveUp(streamTimeMs: target) {
        emit(
          deadLetter(
            action, .orphanAction, "no impression came within \(config.graceMs) ms of event time"), output)
      }
    }
    streamTimeMs = target
    advancingToMs = nil
    actionSpans.drop(streamTimeMs: target)
    if disk != nil {
      featureSpans.drop(streamTimeMs: target)
      store.keptFromMs = keptFromMs(at: target)
    }
    while let oldest = store.oldest, !isKept(oldest.timeMs, at: target) {
      release(store.removeOldest())
      // With a disk, most of them are not in memory by then.
      if !store.isTiered, !config.closesWindows, oldest.seen == 0 { counters.expired += 1 }
    }
    return nil
  }

  func release(_ impression: Impression) {
    impressionArena.release(.init(start: impression.block, chunk: impression.chunk))
  }

  /// Whether an impression still matters: an action that belongs to it could still come.
  func isKept(_ timeMs: Int64, at streamTimeMs: Int64) -> Bool {
    timeMs + config.keptMs >= streamTimeMs
  }

  func isOpen(_ timeMs: Int64, at streamTimeMs: Int64) -> Bool { timeMs + config.windowMs >= streamTimeMs }

  /// Whether an action belongs to an impression of the same request: a matter of their event times alone, so that the
  /// order of their arrival cannot change it.
  func matches(_ impressionTimeMs: Int64, _ actionTimeMs: Int64) -> Bool {
    impressionTimeMs <= actionTimeMs + config.graceMs && actionTimeMs <= impressionTimeMs + config.attributionMs
  }
}

import FreshetCore
import FreshetModel

extension JoinerPartition {
  /// Processes an impression at the stream time.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func process(
    _ queued: QueuedFeature, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    var impression = queued.impression
    let streamTime = streamTimeMs!
    guard isKept(impression.timeMs, at: streamTime) else {
      release(impression)
      emit(
        DeadLetter(
          reason: .lateFeature, message: "event time \(impression.timeMs), the stream is at \(streamTime)",
          topic: .features, offset: impression.offset, payload: Array(queued.record.payloadBytes)), output)
      return true
    }
    if keptSlot(impression.requestHash, at: streamTime) != nil {
      counters.duplicateFeatures += 1
      release(impression)
      return true
    }
    for action in waiting.actions(of: impression.requestHash) where matches(impression.timeMs, action.timeMs) {
      let bit = UInt16(1) << UInt16(action.kind)
      guard action.payload != nil else {
        impression.seen |= bit
        continue
      }
      if impression.seen & bit != 0 {
        counters.duplicateActions += 1
      } else {
        let made = emitJoined(
          impression, actionTimeMs: action.timeMs, kind: action.kind, value: action.value,
          ingestTimeMs: impression.appendTimeMs, actionOffset: action.offset,
          actionPayload: { action.payload }, catalog, now, output)
        // Later actions of the same request have the same item, so that only the first one can get here.
        guard made else { return false }
      }
      impression.seen |= bit
      waiting.remove(impression.requestHash, offset: action.offset)
    }
    keep(impression, at: streamTime, output)
    return true
  }

  /// The slot of a request's impression that still matters; one that does not is forgotten.
  private func keptSlot(_ requestHash: UInt64, at streamTimeMs: Int64) -> Int? {
    guard let slot = store.find(requestHash) else { return nil }
    if isKept(store[slot].timeMs, at: streamTimeMs) { return slot }
    store.forget(requestHash)
    return nil
  }

  private func keep(_ impression: Impression, at streamTimeMs: Int64, _ output: JoinerOutput) {
    while !store.isTiered,
      store.count >= config.maxWaitingFeatures || impressionArena.byteCount > config.maxWaitingFeatureBytes,
      let oldest = store.oldest
    {
      evict(oldest, at: streamTimeMs, output)
    }
    store.insert(impression)
    if config.negativeRate > 0 { scheduleClosing(impression) }
  }

  /// With a disk, only windows that may give an example are remembered until they close.
  private func scheduleClosing(_ impression: Impression) {
    guard !store.isTiered || keepsNegative(impression.requestHash) else { return }
    closings.insert(
      .init(
        deadlineMs: impression.timeMs + config.windowMs, offset: impression.offset, reference: impression.requestHash))
  }

  private func evict(_ oldest: Impression, at streamTimeMs: Int64, _ output: JoinerOutput) {
    release(store.removeOldest())
    guard isOpen(oldest.timeMs, at: streamTimeMs) else { return }
    counters.evictedFeatures += 1
    guard oldest.seen == 0 else { return }
    emit(
      DeadLetter(
        reason: .windowOverflow,
        message: "more than \(config.maxWaitingFeatures) impressions or \(config.maxWaitingFeatureBytes) bytes wait: "
          + "raise the limits or shorten the window",
        topic: .features, offset: oldest.offset, payload: nil), output)
  }

  /// Processes an action at the stream time.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func process(_ queued: QueuedAction, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput) -> Bool {
    let streamTime = streamTimeMs!
    let timeMs = queued.record.timeMs
    let bit = UInt16(1) << UInt16(queued.kind)
    guard let slot = keptSlot(queued.requestHash, at: streamTime), matches(store[slot].timeMs, timeMs) else {
      wait(queued, at: streamTime, output)
      return true
    }
    let impression = store[slot]
    if impression.seen & bit != 0 {
      counters.duplicateActions += 1
      return true
    }
    if config.negativeRate > 0, !isOpen(impression.timeMs, at: streamTime) {
      emit(
        deadLetter(
          queued, .lateAction,
          "the window of the impression closed at \(impression.timeMs + config.windowMs), "
            + "the stream is at \(streamTime)"), output)
    } else {
      let record = queued.record
      let made = emitJoined(
        impression, actionTimeMs: timeMs, kind: queued.kind, value: queued.value,
        ingestTimeMs: record.appendTimeMs, actionOffset: record.offset,
        actionPayload: { Array(record.payloadBytes) }, catalog, now, output)
      guard made else { return false }
    }
    store.markSeen(slot, bit, positives: 0)
    return true
  }

  private func wait(_ queued: QueuedAction, at streamTimeMs: Int64, _ output: JoinerOutput) {
    let record = queued.record
    let isLate = record.timeMs + config.graceMs < streamTimeMs
    if isLate {
      emit(
        deadLetter(
          queued, .lateAction,
          "event time \(record.timeMs), the stream is at \(streamTimeMs), and no impression is known"),
        output)
    }
    addWaiting(queued.requestHash, record, queued.kind, queued.value, remembersOnly: isLate, at: streamTimeMs)
    while waiting.count > config.maxWaitingActions || waiting.byteCount > config.maxWaitingActionBytes {
      guard let action = waiting.giveUpEarliest() else { continue }
      emit(
        deadLetter(
          action, .graceOverflow,
          "more than \(config.maxWaitingActions) actions or \(config.maxWaitingActionBytes) bytes wait"), output)
    }
  }

  private func addWaiting(
    _ requestHash: UInt64, _ record: QueuedRecord, _ kind: Int, _ value: Double, remembersOnly: Bool,
    at streamTimeMs: Int64
  ) {
    if remembersOnly, record.timeMs + config.graceMs + config.windowMs < streamTimeMs { return }
    waiting.add(
      WaitingAction(
        offset: record.offset, timeMs: record.timeMs, appendTimeMs: record.appendTimeMs, kind: kind, value: value,
        payload: remembersOnly ? nil : Array(record.payloadBytes)),
      requestHash: requestHash)
  }

  /// Closes an impression's window: without action it gives a negative example.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func close(
    _ closing: DeadlineHeap.Entry, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    guard let slot = store.find(closing.reference), store[slot].offset == closing.offset, store[slot].seen == 0 else {
      return true
    }
    guard keepsNegative(store[slot].requestHash) else {
      counters.negativesDropped += 1
      return true
    }
    return emitNegative(store[slot], closedAtMs: closing.deadlineMs, catalog, now, output)
  }

  /// Whether the request's negative example is kept: the same answer whenever it is asked.
  private func keepsNegative(_ requestHash: UInt64) -> Bool {
    var generator = SeededGenerator(seed: requestHash ^ Hashing.mix(config.negativeSeed))
    return generator.nextUnit() < Double(config.negativeRate)
  }
}

extension JoinerPartition {
  /// Takes up an impression from below the committed position: state, and no output.
  func restore(_ impression: Impression) {
    let streamTime = streamTimeMs ?? .min
    guard isKept(impression.timeMs, at: streamTime), store.find(impression.requestHash) == nil else {
      return release(impression)
    }
    var impression = impression
    for action in waiting.actions(of: impression.requestHash) where matches(impression.timeMs, action.timeMs) {
      impression.seen |= UInt16(1) << UInt16(action.kind)
      if action.payload != nil { waiting.remove(impression.requestHash, offset: action.offset) }
    }
    store.insert(impression)
    if config.negativeRate > 0, isOpen(impression.timeMs, at: streamTime) { scheduleClosing(impression) }
  }

  /// Takes up an action from below the committed position.
  func restore(_ action: ActionContent, _ record: JoinerRecord) {
    let streamTime = streamTimeMs ?? .min
    let neededUntil = action.timeMs + config.graceMs + config.windowMs
    guard neededUntil >= streamTime else { return }
    actionSpans.add(record.offset, neededUntilMs: neededUntil)
    if let slot = store.find(action.requestHash), matches(store[slot].timeMs, action.timeMs) {
      store.markSeen(slot, UInt16(1) << UInt16(action.kind), positives: 0)
      return
    }
    let isOver = action.timeMs + config.graceMs < streamTime
    waiting.add(
      WaitingAction(
        offset: record.offset, timeMs: action.timeMs, appendTimeMs: record.appendTimeMs, kind: action.kind,
        value: action.value, payload: isOver ? nil : record.payload.map(Array.init)),
      requestHash: action.requestHash)
  }
}

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
    guard meet(&impression, catalog, now, output) else { return false }
    keep(impression, at: streamTime, output)
    return true
  }

  /// Gives an impression the actions that came before it.
  /// - Returns: False, with nothing changed but the impression, if the item must be looked for first.
  private func meet(
    _ impression: inout Impression, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    for action in waiting.actions(of: impression.requestHash) where matches(impression.timeMs, action.timeMs) {
      let bit = UInt16(1) << UInt16(action.kind)
      let isNew = impression.seen & bit == 0
      // Actions that were given up count as seen. At the window's end their labels are as true as any.
      if isNew, config.emit == .onAction, let payload = action.payload {
        positives.write(positiveTasks(of: action, impression), of: positives.tasks(of: action.kind), to: labels)
        let made = emitJoined(
          impression, .actions, actionTimeMs: action.timeMs, ingestTimeMs: impression.appendTimeMs,
          actionOffset: action.offset, actionPayload: { payload }, catalog, now, output)
        // Later actions of the same request have the same item, so that only the first one can get here.
        guard made else { return false }
      }
      note(action, &impression)
      guard action.payload != nil else { continue }
      if isNew {
        countMatch(impression.timeMs, action.timeMs)
      } else {
        counters.duplicateActions += 1
      }
      waiting.remove(impression.requestHash, offset: action.offset)
    }
    return true
  }

  private func positiveTasks(of action: WaitingAction, _ impression: Impression) -> UInt16 {
    positives.positives(kind: action.kind, value: action.value, dwellMs: action.timeMs - impression.timeMs)
  }

  /// Notes an action with its impression; of several of one kind the first counts.
  private func note(_ action: WaitingAction, _ impression: inout Impression) {
    let bit = UInt16(1) << UInt16(action.kind)
    if impression.seen & bit == 0 { impression.positives |= positiveTasks(of: action, impression) }
    impression.seen |= bit
  }

  private func countMatch(_ impressionTimeMs: Int64, _ actionTimeMs: Int64) {
    counters.matched += 1
    counters.joinDelays.add(actionTimeMs - impressionTimeMs)
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
    if config.closesWindows { scheduleClosing(impression) }
  }

  private func evict(_ oldest: Impression, at streamTimeMs: Int64, _ output: JoinerOutput) {
    release(store.removeOldest())
    guard isOpen(oldest.timeMs, at: streamTimeMs) else { return }
    counters.evictedFeatures += 1
    guard oldest.seen == 0 || config.emit == .atWindowEnd else { return }
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
    let record = queued.record
    guard let slot = keptSlot(queued.requestHash, at: streamTime), matches(store[slot].timeMs, record.timeMs) else {
      wait(queued, at: streamTime, output)
      return true
    }
    let impression = store[slot]
    let bit = UInt16(1) << UInt16(queued.kind)
    if impression.seen & bit != 0 {
      counters.duplicateActions += 1
      return true
    }
    let positive = positives.positives(
      kind: queued.kind, value: queued.value, dwellMs: record.timeMs - impression.timeMs)
    let isLate = config.closesWindows && !isOpen(impression.timeMs, at: streamTime)
    if isLate, config.lateActions == .deadLetter {
      emit(
        deadLetter(
          queued, .lateAction,
          "the window of the impression closed at \(impression.timeMs + config.windowMs), "
            + "the stream is at \(streamTime)"), output)
    } else {
      let wanted = isLate ? lateExample(impression, queued.kind, positive) : example(queued.kind)
      if let wanted {
        positives.write(positive, of: wanted.tasks, to: labels)
        let made = emitJoined(
          impression, wanted.origin, actionTimeMs: record.timeMs, ingestTimeMs: record.appendTimeMs,
          actionOffset: record.offset, actionPayload: { Array(record.payloadBytes) }, catalog, now, output)
        guard made else { return false }
      } else if isLate {
        counters.lateUnchanged += 1
      }
      countMatch(impression.timeMs, record.timeMs)
    }
    if isLate { counters.late += 1 }
    store.markSeen(slot, bit, positives: positive)
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
    if remembersOnly, record.timeMs + config.actionNeededMs < streamTimeMs { return }
    waiting.add(
      WaitingAction(
        offset: record.offset, timeMs: record.timeMs, appendTimeMs: record.appendTimeMs, kind: kind, value: value,
        payload: remembersOnly ? nil : Array(record.payloadBytes)),
      requestHash: requestHash)
  }
}

extension JoinerPartition {
  /// Takes up an impression from below the committed position: state, and no output.
  func restore(_ impression: Impression) {
    // What was processed is not beyond the stream time: it was refused for its event time then.
    guard let streamTime = streamTimeMs, impression.timeMs <= streamTime, isKept(impression.timeMs, at: streamTime),
      store.find(impression.requestHash) == nil
    else { return release(impression) }
    var impression = impression
    for action in waiting.actions(of: impression.requestHash) where matches(impression.timeMs, action.timeMs) {
      note(action, &impression)
      if action.payload != nil { waiting.remove(impression.requestHash, offset: action.offset) }
    }
    store.insert(impression)
    if config.closesWindows, isOpen(impression.timeMs, at: streamTime) { scheduleClosing(impression) }
  }

  /// Takes up an action from below the committed position.
  func restore(_ action: InputRecordReader.ActionRecord, _ record: JoinerRecord) {
    guard let streamTime = streamTimeMs, action.timeMs <= streamTime else { return }
    let neededUntil = action.timeMs + config.actionNeededMs
    guard neededUntil >= streamTime else { return }
    actionSpans.add(record.offset, neededUntilMs: neededUntil)
    let isOver = action.timeMs + config.graceMs < streamTime
    let waitingAction = WaitingAction(
      offset: record.offset, timeMs: action.timeMs, appendTimeMs: record.appendTimeMs, kind: action.kind,
      value: action.value, payload: isOver ? nil : record.payload.map(Array.init))
    if let slot = store.find(action.requestHash), matches(store[slot].timeMs, action.timeMs) {
      var impression = store[slot]
      note(waitingAction, &impression)
      store[slot] = impression
      return
    }
    waiting.add(waitingAction, requestHash: action.requestHash)
    // Actions of impressions that are over by now look like orphans: there can be days of them. Until the impressions are there
    // it is not known whose they are.
    if inputs[JoinerTopic.features.rawValue].isRestored, waiting.count > config.maxWaitingActions {
      waiting.forgetRemembered(to: config.maxWaitingActions / 8 * 7)
    }
  }
}

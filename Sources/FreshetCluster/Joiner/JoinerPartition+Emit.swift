import FreshetCore
import FreshetModel

extension JoinerPartition {
  /// Emits the example of an impression and an action, or a dead letter if they make none.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func emitJoined(
    _ impression: Impression, actionTimeMs: Int64, kind: Int, value: Double, ingestTimeMs: Int64, actionOffset: Int64,
    actionPayload: () -> [UInt8]?, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    positives.write(kind: kind, value: value, to: labels)
    do throws(FeatureError) {
      guard try combine(impression, catalog, now, output) else { return false }
    } catch {
      emit(
        DeadLetter(
          reason: Rejection(error).reason, message: error.message, topic: .actions, offset: actionOffset,
          payload: actionPayload()), output)
      return true
    }
    write(
      impression, actionTimeMs: actionTimeMs, ingestTimeMs: ingestTimeMs, isNegative: false, output)
    counters.joined += 1
    return true
  }

  /// Emits the example of an impression whose window closed without action.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func emitNegative(
    _ impression: Impression, closedAtMs: Int64, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    labels.update(repeating: 0)
    do throws(FeatureError) {
      guard try combine(impression, catalog, now, output) else { return false }
    } catch {
      emit(
        DeadLetter(
          reason: Rejection(error).reason, message: error.message, topic: .features, offset: impression.offset,
          payload: nil), output)
      return true
    }
    write(
      impression, actionTimeMs: closedAtMs, ingestTimeMs: advancingAppendTimeMs, isNegative: true, output)
    counters.negatives += 1
    return true
  }

  /// Puts the request's and the item's side together in `row`.
  /// - Returns: False if the item must be looked for first.
  private func combine(
    _ impression: Impression, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) throws(FeatureError) -> Bool {
    if let item = catalog.item(hash: impression.itemHash) {
      try extractor.combine(request: impression.part, item: item.part.bytes, into: &row, scratch)
      return true
    }
    guard !asksForItem(impression, now, output) else { return false }
    scratch.reset()
    let name = extractor.spec.fields[extractor.spec.itemKey].name
    _ = try extractor.set(name: name, text: String(decoding: impression.itemKey, as: UTF8.self), into: scratch)
    let part = try extractor.itemPart(scratch)
    try extractor.combine(request: impression.part, item: part.baseAddress!, into: &row, scratch)
    counters.unknownItems += 1
    return true
  }

  /// Whether an unknown item is worth reading the `items` topic again.
  ///
  /// Not if that has been done within the refresh interval for this item, nor if the catalog is newer than the impression:
  /// an item is written before it is shown, so what was not there then will not be found now.
  private func asksForItem(_ impression: Impression, _ now: Instant, _ output: JoinerOutput) -> Bool {
    let hash = impression.itemHash
    if let asked = askedItem, asked.hash == hash, asked.isRefreshed {
      if missingItems.count >= 65_536 { missingItems.removeAll(keepingCapacity: true) }
      missingItems[hash] = now
      askedItem = nil
      return false
    }
    if let since = missingItems[hash], now.milliseconds(since: since) < Double(config.itemRefreshIntervalMs) {
      return false
    }
    if impression.appendTimeMs < itemsAsOf.milliseconds - config.clockSkewMs { return false }
    if askedItem?.hash != hash {
      askedItem = (hash, false)
      counters.itemRefreshes += 1
    }
    output.needsItems = true
    return true
  }

  private func write(
    _ impression: Impression, actionTimeMs: Int64, ingestTimeMs: Int64, isNegative: Bool, _ output: JoinerOutput
  ) {
    let header = ExampleHeader(
      requestHash: impression.requestHash, eventTimeMs: impression.timeMs, actionTimeMs: actionTimeMs,
      ingestTimeMs: ingestTimeMs, weight: 1, negativeRate: config.negativeRate > 0 ? config.negativeRate : 1,
      isNegative: isNegative)
    for slot in 0..<slotCounts.count {
      slotCounts[slot] = UInt8(truncatingIfNeeded: row.slotStarts[slot &+ 1] &- row.slotStarts[slot])
    }
    let layout = extractor.layout
    let room = output.append(
      key: impression.userKey, valueCount: ExampleCodec.byteCount(layout, fidCount: row.fids.count))
    row.fids.withUnsafeBufferPointer { fids in
      row.dense.withUnsafeBufferPointer { dense in
        _ = ExampleCodec.encode(
          header, labels: UnsafeBufferPointer(labels), slotCounts: UnsafeBufferPointer(slotCounts), fids: fids,
          dense: dense, layout: layout, into: room)
      }
    }
  }

  func emit(_ letter: DeadLetter, _ output: JoinerOutput) {
    counters.deadLetters[DeadLetterReason.allCases.firstIndex(of: letter.reason)!] += 1
    output.deadLetters.append(letter)
  }

  func deadLetter(_ action: WaitingAction, _ reason: DeadLetterReason, _ message: String) -> DeadLetter {
    DeadLetter(reason: reason, message: message, topic: .actions, offset: action.offset, payload: action.payload)
  }

  func deadLetter(_ action: QueuedAction, _ reason: DeadLetterReason, _ message: String) -> DeadLetter {
    DeadLetter(
      reason: reason, message: message, topic: .actions, offset: action.record.offset,
      payload: Array(action.record.payloadBytes))
  }
}

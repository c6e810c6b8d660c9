import FreshetCore
import FreshetModel

extension JoinerPartition {
  /// Emits the example of an impression and an action with the labels that are written, or a dead letter if they make none.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func emitJoined(
    _ impression: Impression, _ origin: ExampleOrigin, actionTimeMs: Int64, ingestTimeMs: Int64, actionOffset: Int64,
    actionPayload: () -> [UInt8]?, _ catalog: ItemCatalog, _ now: Instant, _ output: JoinerOutput
  ) -> Bool {
    do throws(FeatureError) {
      guard try combine(impression, catalog, now, output) else { return false }
    } catch {
      emit(
        DeadLetter(
          reason: Rejection(error).reason, message: error.message, topic: .actions, offset: actionOffset,
          payload: actionPayload()), output)
      return true
    }
    write(impression, origin, actionTimeMs: actionTimeMs, ingestTimeMs: ingestTimeMs, output)
    return true
  }

  /// Emits the example of an impression whose window closed, with the labels that are written.
  /// - Returns: False, with nothing changed, if the item must be looked for first.
  func emitClosed(
    _ impression: Impression, _ origin: ExampleOrigin, closedAtMs: Int64, _ catalog: ItemCatalog, _ now: Instant,
    _ output: JoinerOutput
  ) -> Bool {
    do throws(FeatureError) {
      guard try combine(impression, catalog, now, output) else { return false }
    } catch {
      emit(
        DeadLetter(
          reason: Rejection(error).reason, message: error.message, topic: .features, offset: impression.offset,
          payload: nil), output)
      return true
    }
    write(impression, origin, actionTimeMs: closedAtMs, ingestTimeMs: advancingAppendTimeMs, output)
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
    guard !asks(for: impression.itemHash, appendTimeMs: impression.appendTimeMs, now, output) else { return false }
    scratch.reset()
    let name = extractor.spec.fields[extractor.spec.itemKey].name
    _ = try extractor.set(name: name, text: String(decoding: impression.itemKey, as: UTF8.self), into: scratch)
    let part = try extractor.itemPart(scratch)
    try extractor.combine(request: impression.part, item: part.baseAddress!, into: &row, scratch)
    counters.unknownItems += 1
    return true
  }

  /// Whether an unknown key is worth reading the catalogs' topics again.
  ///
  /// Not if that has been done within the refresh interval for this key, nor if the catalogs are newer than the impression:
  /// an item is written before it is shown, so what was not there then will not be found now.
  func asks(for hash: UInt64, appendTimeMs: Int64, _ now: Instant, _ output: JoinerOutput) -> Bool {
    if let asked = askedItem, asked.hash == hash, asked.isRefreshed {
      if missingItems.count >= 65_536 { missingItems.removeAll(keepingCapacity: true) }
      missingItems[hash] = now
      askedItem = nil
      return false
    }
    if let since = missingItems[hash], now.milliseconds(since: since) < Double(config.itemRefreshIntervalMs) {
      return false
    }
    if appendTimeMs < itemsAsOf.milliseconds - config.clockSkewMs { return false }
    if askedItem?.hash != hash {
      askedItem = (hash, false)
      counters.itemRefreshes += 1
    }
    output.needsItems = true
    return true
  }

  private func write(
    _ impression: Impression, _ origin: ExampleOrigin, actionTimeMs: Int64, ingestTimeMs: Int64,
    _ output: JoinerOutput
  ) {
    switch origin {
    case .actions: counters.joined += 1
    case .negative: counters.negatives += 1
    case .correctsNegative, .correctsLabels:
      counters.joined += 1
      counters.corrections += 1
    }
    let header = ExampleHeader(
      requestHash: impression.requestHash, eventTimeMs: impression.timeMs, actionTimeMs: actionTimeMs,
      ingestTimeMs: ingestTimeMs, weight: 1, negativeRate: config.negativeRate > 0 ? config.negativeRate : 1,
      origin: origin)
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

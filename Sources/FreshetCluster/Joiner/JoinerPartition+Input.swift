import FreshetCore
import FreshetModel

extension JoinerPartition {
  /// Takes the next record of a topic, reads it and puts it in the queue.
  ///
  /// Records below the committed position only restore state. Offsets may leave gaps but not go back.
  public func receive(_ topic: JoinerTopic, _ record: JoinerRecord, now: Instant) {
    let input = topic.rawValue
    inputs[input].isCaughtUp = false
    let isRestoring = record.offset < inputs[input].next
    if isRestoring { restoredCount += 1 } else { inputs[input].isRestored = true }
    switch topic {
    case .features:
      let result = Result { () throws(Rejection) in try readFeature(record) }
      if isRestoring {
        if case .success(let feature) = result {
          noteNeeded(feature.impression)
          restore(feature.impression)
        }
        return
      }
      enqueueFeature(record, result, now)
    case .actions:
      let result = Result { () throws(Rejection) in try records.readAction(record) }
      if isRestoring {
        if case .success(let action) = result { restore(action, record) }
        return
      }
      enqueueAction(record, result, now)
    }
    inputs[input].lastArrival = now
  }

  private func enqueueFeature(_ record: JoinerRecord, _ result: Result<FeatureContent, Rejection>, _ now: Instant) {
    var queued = queue(record, .features, now)
    switch result {
    case .success(let feature):
      queued.timeMs = feature.impression.timeMs
      queued.lacksEnrichment = feature.unknownEnrichments != 0
      note(&queued, .features, now)
      featureQueue.append(QueuedFeature(record: queued, impression: feature.impression))
    case .failure(let rejection):
      reject(&queued, rejection, .features, isNull: record.payload == nil)
      let nothing = Impression(
        requestHash: 0, itemHash: 0, timeMs: 0, appendTimeMs: 0, offset: record.offset, block: queued.payload, chunk: 0,
        partCount: 0, userKeyCount: 0, itemKeyCount: 0)
      featureQueue.append(QueuedFeature(record: queued, impression: nothing))
    }
  }

  private func enqueueAction(
    _ record: JoinerRecord, _ result: Result<InputRecordReader.ActionRecord, Rejection>, _ now: Instant
  ) {
    var queued = queue(record, .actions, now)
    switch result {
    case .success(let action):
      queued.timeMs = action.timeMs
      note(&queued, .actions, now)
      actionQueue.append(
        QueuedAction(record: queued, requestHash: action.requestHash, kind: action.kind, value: action.value))
    case .failure(let rejection):
      reject(&queued, rejection, .actions, isNull: record.payload == nil)
      actionQueue.append(QueuedAction(record: queued))
    }
  }

  /// Copies what of the payload a dead letter may show.
  private func queue(_ record: JoinerRecord, _ topic: JoinerTopic, _ now: Instant) -> QueuedRecord {
    let payload = record.payload ?? UnsafeRawBufferPointer(start: nil, count: 0)
    let count = min(payload.count, config.maxRecordBytes)
    let block = queueArena.allocate(count)
    if let source = payload.baseAddress { block.start.copyMemory(from: source, byteCount: count) }
    inputs[topic.rawValue].queuedBytes += count
    return QueuedRecord(
      offset: record.offset, appendTimeMs: record.appendTimeMs, arrivalNanoseconds: now.nanoseconds,
      payload: block.start, payloadCount: Int32(count), payloadChunk: block.chunk)
  }

  /// Compares the event time with the clock, then moves the clock on.
  private func note(_ queued: inout QueuedRecord, _ topic: JoinerTopic, _ now: Instant) {
    let features = inputs[0].estimatedTimeMs(now) ?? .min
    let actions = inputs[1].estimatedTimeMs(now) ?? .min
    queued.isOnTime = queued.timeMs <= max(features, actions)
    inputs[topic.rawValue].arrived(timeMs: queued.timeMs, now)
  }

  func reject(_ queued: inout QueuedRecord, _ rejection: Rejection, _ topic: JoinerTopic, isNull: Bool) {
    queued.isBad = true
    inputs[topic.rawValue].bad[queued.offset] = DeadLetter(
      reason: rejection.reason, message: rejection.message, topic: topic, offset: queued.offset,
      payload: isNull ? nil : Array(queued.payloadBytes))
  }

  struct FeatureContent {
    let impression: Impression
    /// Bit `n`: enrichment `n` does not know its key.
    let unknownEnrichments: UInt32
  }

  /// Reads a feature record and computes the request's side of its example.
  func readFeature(_ record: JoinerRecord) throws(Rejection) -> FeatureContent {
    let content = try records.readFeature(record)
    let (part, unknown) = try records.requestPart { enrichments[$0].item(hash: $1) }
    let (user, item) = (records.user, records.item)
    let block = impressionArena.allocate(part.count + user.count + item.count)
    block.start.copyMemory(from: part.baseAddress!, byteCount: part.count)
    (block.start + part.count).copyMemory(from: user.baseAddress!, byteCount: user.count)
    (block.start + part.count + user.count).copyMemory(from: item.baseAddress!, byteCount: item.count)
    let impression = Impression(
      requestHash: content.requestHash, itemHash: Hashing.xxh3(UnsafeRawBufferPointer(item)), timeMs: content.timeMs,
      appendTimeMs: record.appendTimeMs, offset: record.offset, block: block.start, chunk: block.chunk,
      partCount: Int32(part.count), userKeyCount: UInt16(user.count), itemKeyCount: UInt16(item.count))
    return FeatureContent(impression: impression, unknownEnrichments: unknown)
  }
}

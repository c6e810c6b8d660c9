import FreshetCore
import FreshetModel

/// Why a record becomes a dead letter.
struct Rejection: Error {
  let reason: DeadLetterReason
  let message: String

  init(_ reason: DeadLetterReason, _ message: String) {
    self.reason = reason
    self.message = message
  }

  init(_ error: JSONError) {
    self.init(error.kind == .oversized ? .oversized : .malformedJSON, error.message)
  }

  init(_ error: FeatureError) {
    switch error.kind {
    case .missingField: self.init(.missingField, error.message)
    case .wrongType: self.init(.wrongType, error.message)
    case .oversized: self.init(.oversized, error.message)
    }
  }
}

extension JoinerPartition {
  /// The largest event time: the end of the year 9999.
  static let maxTimeMs: Int64 = 253_402_300_799_999

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
      let result = Result { () throws(Rejection) in try readAction(record) }
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

  private func enqueueAction(_ record: JoinerRecord, _ result: Result<ActionContent, Rejection>, _ now: Instant) {
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

  private func parse(_ record: JoinerRecord) throws(Rejection) -> JSONValue {
    guard let payload = record.payload else { throw Rejection(.nullPayload, "the record has no payload") }
    do throws(JSONError) {
      let object = try reader.parse(payload)
      guard object.kind == .object else {
        throw JSONError(kind: .malformed, message: "the record is \(object.excerpt), not a JSON object")
      }
      return object
    } catch {
      throw Rejection(error)
    }
  }

  struct FeatureContent {
    let impression: Impression
    /// Bit `n`: enrichment `n` does not know its key.
    let unknownEnrichments: UInt32
  }

  /// Reads a feature record and computes the request's side of its example.
  func readFeature(_ record: JoinerRecord) throws(Rejection) -> FeatureContent {
    let object = try parse(record)
    scratch.reset()
    do throws(FeatureError) { try extractor.read(object, .request, into: scratch) } catch { throw Rejection(error) }
    let requestHash = try requestHash(scratch.requestID)
    let timeMs = try timeMs(scratch.eventTime, record)
    let user = try key(extractor.spec.userKey)
    let item = try key(extractor.spec.itemKey)
    let part: UnsafeRawBufferPointer
    let unknown: UInt32
    do throws(FeatureError) {
      unknown = try extractor.complete(scratch, enrichmentReader) { enrichments[$0].item(hash: $1) }
      part = try extractor.requestPart(scratch)
    } catch {
      throw Rejection(error)
    }
    let block = impressionArena.allocate(part.count + user.count + item.count)
    block.start.copyMemory(from: part.baseAddress!, byteCount: part.count)
    (block.start + part.count).copyMemory(from: user.baseAddress!, byteCount: user.count)
    (block.start + part.count + user.count).copyMemory(from: item.baseAddress!, byteCount: item.count)
    let impression = Impression(
      requestHash: requestHash, itemHash: Hashing.xxh3(UnsafeRawBufferPointer(item)), timeMs: timeMs,
      appendTimeMs: record.appendTimeMs, offset: record.offset, block: block.start, chunk: block.chunk,
      partCount: Int32(part.count), userKeyCount: UInt16(user.count), itemKeyCount: UInt16(item.count))
    return FeatureContent(impression: impression, unknownEnrichments: unknown)
  }

  private func key(_ field: Int) throws(Rejection) -> UnsafeBufferPointer<UInt8> {
    guard let text = extractor.text(of: field, in: scratch) else {
      throw Rejection(.missing(extractor.spec.fields[field].name))
    }
    return text
  }

  private func requestHash(_ value: JSONValue?) throws(Rejection) -> UInt64 {
    guard let value, value.kind != .null else { throw Rejection(.missing(JoinRecord.requestID)) }
    guard value.kind == .string, (1...255).contains(value.text.count) else {
      throw Rejection(
        .wrongType(JoinRecord.requestID, expected: "text of 1 to 255 bytes", found: value.excerpt))
    }
    return Hashing.xxh3(value.text)
  }

  private func timeMs(_ value: JSONValue?, _ record: JoinerRecord) throws(Rejection) -> Int64 {
    guard let value, value.kind != .null else { throw Rejection(.missing(JoinRecord.eventTime)) }
    let time: Int64? =
      switch value.kind {
      case .int64: value.int64
      case .double: Int64(exactly: value.double)
      case .string: CanonicalText.integer(value.text)
      default: nil
      }
    guard let time, time >= 0, time <= Self.maxTimeMs else {
      throw Rejection(
        .wrongType(JoinRecord.eventTime, expected: "milliseconds since 1970", found: value.excerpt))
    }
    guard time - config.maxAheadMs <= max(0, record.appendTimeMs) else {
      throw Rejection(
        .futureEventTime,
        "event time \(time) is more than \(config.maxAheadMs) ms after the append time \(record.appendTimeMs)")
    }
    return time
  }

  struct ActionContent {
    let requestHash: UInt64
    let timeMs: Int64
    let kind: Int
    let value: Double
  }

  private func readAction(_ record: JoinerRecord) throws(Rejection) -> ActionContent {
    let members = actionFields.members(of: try parse(record))
    let requestHash = try requestHash(members.requestID)
    let timeMs = try timeMs(members.eventTime, record)
    guard let action = members.action, action.kind != .null else { throw Rejection(.missing(JoinRecord.action)) }
    guard action.kind == .string else {
      throw Rejection(.wrongType(JoinRecord.action, expected: "text", found: action.excerpt))
    }
    guard let kind = actionFields.kind(of: action.text) else {
      throw Rejection(.unknownAction, "no task learns from the action \(action.excerpt)")
    }
    var number = 0.0
    if let value = members.value, value.kind != .null {
      guard let found = value.number else {
        throw Rejection(.wrongType(JoinRecord.value, expected: "a number", found: value.excerpt))
      }
      number = found
    } else if actionFields.needsValue[kind] {
      throw Rejection(.missing(JoinRecord.value))
    }
    return ActionContent(requestHash: requestHash, timeMs: timeMs, kind: kind, value: number)
  }
}

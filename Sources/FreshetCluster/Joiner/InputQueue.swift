import FreshetCore

/// What the merge needs to know of a record that has been read and not yet processed.
struct QueuedRecord: BitwiseCopyable {
  var offset: Int64
  var timeMs: Int64 = 0
  var appendTimeMs: Int64
  var arrivalNanoseconds: UInt64
  /// Whether the event time was no further ahead than the wall clock had moved on.
  var isOnTime = true
  /// Whether a dead letter is all that becomes of it; there is no event time then.
  var isBad = false
  /// Whether an enrichment did not know a key of the record when it came: another look is due.
  var lacksEnrichment = false
  var payload: UnsafeMutableRawPointer
  var payloadCount: Int32
  var payloadChunk: Int32

  var arrival: Instant { Instant(nanoseconds: arrivalNanoseconds) }
  var payloadBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: payload, count: Int(payloadCount)) }
}

/// A feature record with what was extracted from it; `impression` is meaningless for bad records.
struct QueuedFeature: BitwiseCopyable {
  var record: QueuedRecord
  var impression: Impression
}

struct QueuedAction: BitwiseCopyable {
  var record: QueuedRecord
  var requestHash: UInt64 = 0
  var kind = 0
  var value = 0.0
}

/// One topic's side of the merge: how far it has been read and how its event time relates to the wall clock.
struct InputState {
  /// The first offset that has not been processed.
  var next: Int64
  /// Whether everything below the committed position has been seen again.
  var isRestored: Bool
  /// Whether the last thing heard of the topic was its end.
  var isCaughtUp = false
  var lastArrival: Instant
  /// When the shell last asked the broker and heard that everything in the topic has been fed.
  var endConfirmed: Instant?
  /// The largest difference of a record's event time and its arrival in ms; nil before the first record.
  var clockOffsetMs: Int64?
  var isPaused = false
  var queuedBytes = 0
  /// Dead letters of the bad records in the queue, by offset.
  var bad: [Int64: DeadLetter] = [:]

  /// The event time at which the topic should be by now if it moves as fast as the wall clock.
  func estimatedTimeMs(_ now: Instant) -> Int64? { clockOffsetMs.map { $0 + now.wholeMs } }

  mutating func arrived(timeMs: Int64, _ now: Instant) {
    clockOffsetMs = max(clockOffsetMs ?? .min, timeMs - now.wholeMs)
  }
}

extension Instant {
  var wholeMs: Int64 { Int64(nanoseconds / 1_000_000) }
}

import FreshetCore

/// A setting or a commit text that a joiner cannot work with.
public struct JoinerError: DescribedError, Equatable {
  public let code: String
  public let message: String
}

/// An input of the joiner.
public enum JoinerTopic: Int, Sendable, CaseIterable {
  case features
  case actions
}

/// A record as Kafka delivered it. The payload is copied or read before the call that takes it returns.
public struct JoinerRecord {
  public let offset: Int64
  /// When Kafka appended it, in ms since 1970.
  public let appendTimeMs: Int64
  /// Nil if the record has a null payload.
  public let payload: UnsafeRawBufferPointer?

  public init(offset: Int64, appendTimeMs: Int64, payload: UnsafeRawBufferPointer?) {
    self.offset = offset
    self.appendTimeMs = appendTimeMs
    self.payload = payload
  }
}

/// Why a record went to `dead-letter`; the raw values are stable.
public enum DeadLetterReason: String, Sendable, CaseIterable {
  /// The payload is no JSON object.
  case malformedJSON = "malformed-json"
  /// A key that every record of the topic needs is missing or null.
  case missingField = "missing-field"
  /// A value has another type than the schema gives it, or is out of range.
  case wrongType = "wrong-type"
  /// No task learns from this `action`.
  case unknownAction = "unknown-action"
  /// The record has no payload.
  case nullPayload = "null-payload"
  /// A record, value or list is larger than allowed.
  case oversized = "oversized"
  /// The event time is further ahead of the append time than allowed.
  case futureEventTime = "future-event-time"
  /// No impression came within the grace time.
  case orphanAction = "orphan-action"
  /// The action came out of order, too late to wait, or after a negative example for its impression.
  case lateAction = "late-action"
  /// The impression came out of order, after its window and the grace time.
  case lateFeature = "late-feature"
  /// Too many impressions wait: the oldest was given up before its window closed.
  case windowOverflow = "window-overflow"
  /// Too many actions wait: the oldest was given up before its grace time ended.
  case graceOverflow = "grace-overflow"
}

/// A record that could not be used.
public struct DeadLetter: Sendable, Equatable {
  public let reason: DeadLetterReason
  public let message: String
  public let topic: JoinerTopic
  public let offset: Int64
  /// At most `maxRecordBytes` of the payload; nil if it was null or is no longer at hand.
  public let payload: [UInt8]?
}

/// What a partition's joiner has done since it started. Records restored from the log are not counted again.
public struct JoinerCounters: Sendable, Equatable {
  public var features = 0
  public var actions = 0
  /// Actions that met their impression, other than duplicates.
  public var matched = 0
  /// Examples made of actions, corrections included.
  public var joined = 0
  /// Those of them that take back what a window gave.
  public var corrections = 0
  /// Actions that came after their impression's window gave what it gives, whatever became of them.
  public var late = 0
  /// Those of them that changed no label of the example that there was.
  public var lateUnchanged = 0
  /// Impressions whose window passed without action. Counted when the window closes if that gives examples, otherwise when the
  /// impression is forgotten.
  public var expired = 0
  /// Negative examples emitted.
  public var negatives = 0
  /// Windows that closed without action and gave no example because of the negative rate.
  public var negativesDropped = 0
  public var duplicateFeatures = 0
  public var duplicateActions = 0
  /// Examples without the item's fields because the catalog did not have the item.
  public var unknownItems = 0
  /// Keys of impressions that an enrichment did not have: its fields are empty.
  public var unknownEnrichments = 0
  public var itemRefreshes = 0
  /// Impressions given up early because too many wait, those with an action included.
  public var evictedFeatures = 0
  /// From impression to action in event time, of the actions that matched.
  public var joinDelays = DelayHistogram()
  /// By position in `DeadLetterReason.allCases`.
  public var deadLetters = [Int](repeating: 0, count: DeadLetterReason.allCases.count)

  public init() {}

  public func deadLetters(_ reason: DeadLetterReason) -> Int {
    deadLetters[DeadLetterReason.allCases.firstIndex(of: reason)!]
  }
}

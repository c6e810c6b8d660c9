/// When an impression gives examples.
public enum JoinerEmit: String, Sendable, CaseIterable {
  /// One with each action as it comes, of the tasks that learn from it.
  case onAction = "on-action"
  /// One when the window closes, with the labels of all tasks.
  case atWindowEnd = "at-window-end"
}

/// What becomes of an action that comes after its impression's window gave what it gives.
public enum LateActions: String, Sendable, CaseIterable {
  case deadLetter = "dead-letter"
  /// An example that takes back what the window gave.
  case correct
}

/// How one joiner joins. Times are event time unless said otherwise.
public struct JoinerConfig: Sendable, Equatable {
  /// Default: `onAction`.
  public var emit: JoinerEmit = .onAction
  /// Default: `deadLetter`.
  public var lateActions: LateActions = .deadLetter
  /// How long after its window's end an action still corrects what the impression gave, in ms; only with `correct`.
  /// Default: 0, those that come out of order.
  public var correctionMs: Int64 = 0
  /// How long after its impression an action still counts, in ms, inclusive. Default: 1 hour.
  public var windowMs: Int64 = 3_600_000
  /// How much earlier than its impression an action may be, in ms, inclusive, and how long it waits for it. Default: 10 min.
  public var graceMs: Int64 = 600_000
  /// The probability with which an impression whose window closes without an action becomes a negative example, in
  /// `0...1`; 0 makes none. Default: 0.
  public var negativeRate: Float = 0
  /// Decides together with the request id which negatives are kept. Default: 1.
  public var negativeSeed: UInt64 = 1
  /// Wall time in ms after which a topic without records no longer holds the other one back. Default: 2000.
  public var idleTimeoutMs: Int = 2000
  /// Wall time in ms that a record which is ahead of real time waits for the other topic although that one is idle, so
  /// that a replay which resumes does not run ahead with one topic. Default: 200.
  public var idleHoldMs: Int = 200
  /// How far an event time may lie ahead of the time at which the record was appended, in ms. Default: 1 day.
  public var maxAheadMs: Int64 = 86_400_000
  /// The largest record of `features` and `actions`, in bytes. Default: 256 KiB.
  public var maxRecordBytes: Int = 262_144
  /// Records of one topic that are read but not yet merged; beyond it the topic is paused. Default: 20,000.
  public var maxQueuedRecords: Int = 20_000
  /// Their bytes. Default: 32 MiB.
  public var maxQueuedBytes: Int = 32 << 20
  /// Impressions that are kept for their actions; with a disk below there is no such bound. Default: 4,000,000.
  public var maxWaitingFeatures: Int = 4_000_000
  /// Their bytes; with a disk below, how many of them are kept in memory. Default: 512 MiB.
  public var maxWaitingFeatureBytes: Int = 512 << 20
  /// With a disk below: bytes of state that are not on it yet, after which a commit is asked for. Default: 8 MiB.
  public var maxUnwrittenBytes: Int = 8 << 20
  /// With a disk below: windows that are about to close which are kept in memory, four times as many at most. Default: 16,384.
  public var closingsInMemory: Int = 16_384
  /// Actions that wait for their impression, or are remembered because they waited in vain. Default: 200,000.
  public var maxWaitingActions: Int = 200_000
  /// Payload bytes of the actions that wait. Default: 64 MiB.
  public var maxWaitingActionBytes: Int = 64 << 20
  /// Bytes after which `run` stops so that the shell can take the output. Default: 4 MiB.
  public var maxOutputBytes: Int = 4 << 20
  /// Wall time in ms for which an item that a refresh did not find is not asked for again. Default: 60,000.
  public var itemRefreshIntervalMs: Int = 60_000
  /// How far the clocks of brokers and joiner may differ, in ms. Default: 1000.
  public var clockSkewMs: Int64 = 1000

  public init() {}

  /// How long after its impression an action belongs to it.
  var attributionMs: Int64 { lateActions == .correct ? windowMs + correctionMs : windowMs }
  /// How long after its event time an impression is kept.
  var keptMs: Int64 { attributionMs + graceMs }
  /// How long after its event time an action can belong to an impression that is kept or may still come.
  var actionNeededMs: Int64 { graceMs + keptMs }
  /// Whether anything happens at the end of a window.
  var closesWindows: Bool { negativeRate > 0 || emit == .atWindowEnd }

  /// Throws the first value that makes no sense, with its key.
  public func validate() throws(JoinerError) {
    try require(windowMs >= 1 && windowMs <= 1 << 50, "window", "must be at least 1 ms")
    try require(graceMs >= 0 && graceMs <= 1 << 50, "grace", "must be 0 or more")
    try require(correctionMs >= 0 && correctionMs <= 1 << 50, "correction", "must be 0 or more")
    try require(
      correctionMs == 0 || lateActions == .correct, "correction", "has no meaning without `late_actions: correct`")
    try require(negativeRate >= 0 && negativeRate <= 1, "negative_rate", "must be in 0...1")
    try require(idleTimeoutMs >= 0 && idleHoldMs >= 0, "idle_timeout", "must be 0 or more")
    try require(maxAheadMs >= 0 && maxAheadMs <= 1 << 50, "max_ahead", "must be 0 or more")
    try require((64...1 << 28).contains(maxRecordBytes), "max_record_bytes", "must be in 64...268435456")
    try require(maxQueuedRecords >= 2 && maxQueuedBytes >= 1, "max_queued_records", "must be at least 2")
    try require((1...1 << 30).contains(maxWaitingFeatures), "max_waiting_features", "must be in 1...1073741824")
    try require(maxWaitingFeatureBytes >= 1, "max_waiting_feature_bytes", "must be at least 1")
    try require(maxWaitingActions >= 1, "max_waiting_actions", "must be at least 1")
    try require(maxWaitingActionBytes >= 1, "max_waiting_action_bytes", "must be at least 1")
    try require(maxUnwrittenBytes >= 1, "max_unwritten_bytes", "must be at least 1")
    try require(closingsInMemory >= 1, "closings_in_memory", "must be at least 1")
    try require(maxOutputBytes >= 1, "max_output_bytes", "must be at least 1")
    try require(itemRefreshIntervalMs >= 1, "item_refresh_interval", "must be at least 1 ms")
    try require(clockSkewMs >= 0, "clock_skew", "must be 0 or more")
  }

  private func require(_ holds: Bool, _ key: String, _ reason: String) throws(JoinerError) {
    guard holds else { throw JoinerError(code: "config", message: "joiner.\(key): \(reason)") }
  }
}

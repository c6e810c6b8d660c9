import FreshetCore

/// Decides which of many similar notices are logged: those that say something new, and the others now and then.
struct NoticeLimiter {
  private struct Last {
    var text: String
    var at: Instant
    var suppressed: Int
  }

  static let repeatMs = 30_000.0
  private var last: [String: Last] = [:]

  /// - Parameter topic: What the notice is about; from a small set.
  /// - Returns: nil if the notice is to be dropped, else how many like it were dropped since the last one.
  mutating func admit(_ text: String, topic: String, now: Instant) -> Int? {
    if let previous = last[topic], previous.text == text, now.milliseconds(since: previous.at) < Self.repeatMs {
      last[topic]?.suppressed += 1
      return nil
    }
    defer { last[topic] = Last(text: text, at: now, suppressed: 0) }
    return last[topic]?.suppressed ?? 0
  }

  /// The trouble is over: its next notice is new.
  mutating func forget(topic: String) { last[topic] = nil }
}

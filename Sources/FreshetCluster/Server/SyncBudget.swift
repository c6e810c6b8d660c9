import FreshetCore

/// Bytes a second that a server may send to all of its replicas together.
///
/// Nothing is kept back once it is made: who asks waits until what was sent before has had its time. So an answer may be larger
/// than a second's bytes, and the next one comes the later.
struct SyncBudget {
  /// nil for no limit.
  let bytesPerSecond: Int?
  private var freeAt = Instant(nanoseconds: 0)

  init(bytesPerSecond: Int?) {
    precondition(bytesPerSecond ?? 1 > 0)
    self.bytesPerSecond = bytesPerSecond
  }

  /// Most bytes of one answer, give or take a frame: a quarter of a second's, so that replicas take turns.
  func answerBytes(atMost limit: Int) -> Int {
    bytesPerSecond.map { min(limit, max(1 << 16, $0 / 4)) } ?? limit
  }

  func isFree(_ now: Instant) -> Bool { now >= freeAt }

  mutating func spend(_ bytes: Int, _ now: Instant) {
    guard let bytesPerSecond else { return }
    let nanoseconds = Double(bytes) / Double(bytesPerSecond) * 1e9
    freeAt = Instant(nanoseconds: max(now, freeAt).nanoseconds &+ UInt64(nanoseconds))
  }
}

import FreshetCore

/// The rate of a counter over the last seconds. A counter that falls belongs to another life of its process and begins anew: no
/// rate is negative, and none reaches across a restart.
struct RateMeter: Sendable {
  static let windowMs = 5_000.0
  /// More than a window has at the shortest interval.
  static let maximumSamples = 32

  private(set) var samples: [(at: Instant, value: Double)] = []

  mutating func note(_ value: Double, at now: Instant) {
    guard value.isFinite else { return }
    if let last = samples.last, value < last.value { samples.removeAll(keepingCapacity: true) }
    samples.append((now, value))
    // One sample from before the window stays: the rate is over at least the window once there is one.
    while samples.count > 2, now.milliseconds(since: samples[1].at) >= Self.windowMs { samples.removeFirst() }
    if samples.count > Self.maximumSamples { samples.removeFirst() }
  }

  mutating func reset() { samples.removeAll(keepingCapacity: true) }

  /// nil before the second sample, and when there has been none for two windows.
  func perSecond(now: Instant) -> Double? {
    guard let first = samples.first, let last = samples.last, samples.count > 1,
      now.milliseconds(since: last.at) < 2 * Self.windowMs
    else { return nil }
    let seconds = last.at.milliseconds(since: first.at) / 1000
    return seconds > 0 ? (last.value - first.value) / seconds : nil
  }
}

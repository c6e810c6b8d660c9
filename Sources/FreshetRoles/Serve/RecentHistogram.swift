import FreshetCore
import Histogram

/// A distribution since the start, and of the last five seconds.
struct RecentHistogram: Sendable {
  struct Summary: Equatable {
    let count: UInt64
    let p50: UInt64
    let p90: UInt64
    let p99: UInt64
    let max: UInt64
  }

  static let windowSeconds = 5

  /// To 0.1 %.
  private var total: Histogram<UInt64>
  /// To 1 %; one for each second of the window, told apart by `seconds`.
  private var ring: [Histogram<UInt32>]
  private var seconds: [UInt64]
  private let highest: UInt64
  /// For Prometheus: since the start, at fixed bounds.
  private(set) var buckets: MetricHistogram

  /// Of requests and round trips, in microseconds; at most a minute.
  static func latencies() -> RecentHistogram {
    RecentHistogram(
      highest: 60_000_000,
      buckets: MetricHistogram(bounds: MetricHistogram.latencyMicroseconds, unitsPerSecond: 1_000_000))
  }

  /// Of ages of actions, in milliseconds; at most a day.
  static func freshness() -> RecentHistogram {
    RecentHistogram(
      highest: 86_400_000, buckets: MetricHistogram(bounds: MetricHistogram.freshnessMs, unitsPerSecond: 1000))
  }

  /// - Parameter highest: Larger values count as this one.
  private init(highest: UInt64, buckets: MetricHistogram) {
    self.highest = highest
    self.buckets = buckets
    total = Histogram(highestTrackableValue: highest, numberOfSignificantValueDigits: .three)
    ring = (0..<Self.windowSeconds).map { _ in
      Histogram(highestTrackableValue: highest, numberOfSignificantValueDigits: .two)
    }
    seconds = [UInt64](repeating: .max, count: Self.windowSeconds)
  }

  /// Adds `count` values of the same size; values below 0 count as 0.
  mutating func record(_ value: Int64, count: Int, now: Instant) {
    guard count > 0 else { return }
    let clamped = min(highest, UInt64(max(0, value)))
    total.record(clamped, count: UInt64(count))
    buckets.record(clamped, count: UInt64(count))
    let second = now.nanoseconds / 1_000_000_000
    let slot = Int(second % UInt64(Self.windowSeconds))
    if seconds[slot] != second {
      ring[slot].reset()
      seconds[slot] = second
    }
    ring[slot].record(clamped, count: UInt32(clamping: count))
  }

  /// Adds the time from then to now to a distribution of `latencies`.
  mutating func record(since start: Instant) { record(since: start, until: .now()) }

  /// Adds the time between two moments to a distribution of `latencies`.
  mutating func record(since start: Instant, until now: Instant) {
    record(Int64(now.milliseconds(since: start) * 1000), count: 1, now: now)
  }

  /// Adds the values of another one with the same highest value.
  mutating func add(_ other: RecentHistogram) {
    precondition(highest == other.highest)
    total.add(other.total)
    buckets.add(other.buckets)
    for slot in ring.indices where other.seconds[slot] != .max {
      if seconds[slot] == other.seconds[slot] {
        ring[slot].add(other.ring[slot])
      } else if seconds[slot] == .max || seconds[slot] < other.seconds[slot] {
        ring[slot] = other.ring[slot]
        seconds[slot] = other.seconds[slot]
      }
    }
  }

  /// Since the start; nil while there is nothing.
  var summary: Summary? { Self.summary(of: total) }

  /// Of the current second and those before it in the window; nil if there is nothing.
  func recent(now: Instant) -> Summary? {
    let second = now.nanoseconds / 1_000_000_000
    var window = Histogram<UInt32>(highestTrackableValue: highest, numberOfSignificantValueDigits: .two)
    for slot in ring.indices where seconds[slot] <= second && second - seconds[slot] < UInt64(Self.windowSeconds) {
      window.add(ring[slot])
    }
    return Self.summary(of: window)
  }

  private static func summary<Count>(of histogram: Histogram<Count>) -> Summary? {
    guard histogram.totalCount > 0 else { return nil }
    let max = histogram.maxRecorded
    // A percentile is the upper end of its bucket.
    func percentile(_ percent: Double) -> UInt64 { min(max, histogram.valueAtPercentile(percent)) }
    return Summary(
      count: histogram.totalCount, p50: percentile(50), p90: percentile(90), p99: percentile(99), max: max)
  }
}

extension InfoText {
  /// A distribution since the start and of the last seconds, and its histogram.
  mutating func add(_ values: RecentHistogram, prefix: String, unit: String, as histogram: InfoKey) {
    add(values.summary, prefix: prefix, unit: unit)
    add(values.recent(now: .now()), prefix: "recent_" + prefix, unit: unit)
    add(prefix, text: nil, values.buckets, as: histogram)
  }

  /// Lines `{prefix}count`, `{prefix}p50_{unit}` …; without values only the count.
  mutating func add(_ summary: RecentHistogram.Summary?, prefix: String, unit: String) {
    add("\(prefix)count", summary?.count ?? 0)
    guard let summary else { return }
    add("\(prefix)p50_\(unit)", summary.p50)
    add("\(prefix)p90_\(unit)", summary.p90)
    add("\(prefix)p99_\(unit)", summary.p99)
    add("\(prefix)max_\(unit)", summary.max)
  }
}

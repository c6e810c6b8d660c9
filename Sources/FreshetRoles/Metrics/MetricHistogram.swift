/// Counts of values below fixed bounds, and their sum: what a histogram of Prometheus is made of. Recording allocates nothing.
struct MetricHistogram: Sendable {
  /// From 50 µs to 10 s: requests and round trips.
  static let latencyMicroseconds: [UInt64] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
  ]
  /// From 25 ms to a day: how old actions are when they have been learned.
  static let freshnessMs: [UInt64] = [
    25, 50, 100, 150, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
    86_400_000,
  ]

  /// The upper bound of each bucket, inclusive; ascending.
  let bounds: [UInt64]
  let unitsPerSecond: Double
  /// One for each bound, and one for what is above all of them.
  private(set) var counts: [UInt64]
  private(set) var sum: UInt64

  init(bounds: [UInt64], unitsPerSecond: Double) {
    self.init(
      bounds: bounds, unitsPerSecond: unitsPerSecond, counts: [UInt64](repeating: 0, count: bounds.count + 1), sum: 0)
  }

  /// What has been counted elsewhere.
  init(bounds: [UInt64], unitsPerSecond: Double, counts: [UInt64], sum: UInt64) {
    precondition(counts.count == bounds.count + 1)
    self.bounds = bounds
    self.unitsPerSecond = unitsPerSecond
    self.counts = counts
    self.sum = sum
  }

  mutating func record(_ value: UInt64, count: UInt64) {
    var low = 0
    var high = bounds.count
    while low < high {
      let middle = (low &+ high) / 2
      if bounds[middle] < value { low = middle &+ 1 } else { high = middle }
    }
    counts[low] &+= count
    sum &+= value &* count
  }

  mutating func add(_ other: MetricHistogram) {
    precondition(bounds == other.bounds)
    for bucket in counts.indices { counts[bucket] &+= other.counts[bucket] }
    sum &+= other.sum
  }

  /// How many values are at most so many seconds each, by the bound's text; the last one, `+Inf`, has all.
  var cumulative: [(bound: String, count: UInt64)] {
    var below: UInt64 = 0
    return counts.indices.map { bucket in
      below += counts[bucket]
      return (bucket < bounds.count ? MetricNumber.text(Double(bounds[bucket]) / unitsPerSecond) : "+Inf", below)
    }
  }

  var sumSeconds: Double { Double(sum) / unitsPerSecond }
}

/// Numbers as Prometheus reads them.
enum MetricNumber {
  /// Without `.0` where the number is whole and not large.
  static func text(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
  }

  /// A decimal, as Swift prints finite numbers; nil for any other text.
  static func value(of text: String) -> Double? {
    guard let first = text.utf8.first, first == UInt8(ascii: "-") || (48...57).contains(first) else { return nil }
    guard text.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) }) else { return nil }
    return Double(text)
  }
}

/// Counts delays in ms in buckets whose bounds are 0, 1, 2, 5, 10, 20, 50 … up to 20 days, and one for what is above. Adds up.
public struct DelayHistogram: Sendable, Equatable {
  /// The upper bound of each bucket, inclusive.
  public static let boundsMs: [Int64] = {
    var bounds: [Int64] = [0]
    var decade: Int64 = 1
    while decade <= 1_000_000_000 {
      bounds += [1, 2, 5].map { $0 * decade }
      decade *= 10
    }
    return bounds.filter { $0 <= 2_000_000_000 }
  }()

  /// One for each bound, and one for what is above all of them. Delays below 0 count in the first.
  public private(set) var counts = [Int](repeating: 0, count: boundsMs.count + 1)
  /// Delays below 0 count as 0.
  public private(set) var sumMs: Int64 = 0

  public init() {}

  public var count: Int { counts.reduce(0, +) }

  public mutating func add(_ delayMs: Int64) {
    var low = 0
    var high = Self.boundsMs.count
    while low < high {
      let middle = (low &+ high) / 2
      if Self.boundsMs[middle] < delayMs { low = middle &+ 1 } else { high = middle }
    }
    counts[low] &+= 1
    sumMs = sumMs.addingReportingOverflow(max(0, delayMs)).partialValue
  }

  public mutating func merge(_ other: DelayHistogram) {
    for bucket in counts.indices { counts[bucket] += other.counts[bucket] }
    sumMs = sumMs.addingReportingOverflow(other.sumMs).partialValue
  }

  /// The delay that a share of all are at most, interpolated within its bucket; the largest bound if it lies above that, nil if
  /// there are none.
  public func quantileMs(_ share: Double) -> Double? {
    let total = count
    guard total > 0 else { return nil }
    let wanted = share * Double(total)
    var below = 0.0
    for (bucket, bound) in Self.boundsMs.enumerated() where counts[bucket] > 0 {
      let through = below + Double(counts[bucket])
      if through >= wanted {
        let lower = bucket == 0 ? 0 : Double(Self.boundsMs[bucket - 1])
        return lower + (Double(bound) - lower) * (wanted - below) / Double(counts[bucket])
      }
      below = through
    }
    return Double(Self.boundsMs[Self.boundsMs.count - 1])
  }
}

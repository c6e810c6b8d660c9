import FreshetCluster
import Testing

@Suite struct DelayHistogramTests {
  /// From a joiner: histograms fill only there.
  private func histogram(_ delays: [Int64]) throws -> DelayHistogram {
    let bench = try JoinerBench {
      $0.windowMs = 10_000_000_000
      $0.graceMs = 1000
    }
    for (index, delay) in delays.enumerated() { bench.action(Int64(index), "r\(index)", at: 1_000_000 + delay) }
    for index in delays.indices { bench.feature(Int64(index), "r\(index)", at: 1_000_000) }
    try bench.settle()
    return bench.partition.counters.joinDelays
  }

  @Test func eachDelayCountsInTheBucketWhoseBoundItDoesNotExceed() throws {
    let delays: [Int64] = [-5, 0, 1, 2, 3, 5, 6, 1_000_000, 2_000_000_000, 2_000_000_001]
    let histogram = try histogram(delays.sorted())
    let bounds = DelayHistogram.boundsMs
    #expect(bounds.prefix(5) == [0, 1, 2, 5, 10] && bounds.last == 2_000_000_000)
    for (bucket, count) in histogram.counts.enumerated() {
      let lower = bucket == 0 ? Int64.min : bounds[bucket - 1]
      let upper = bucket < bounds.count ? bounds[bucket] : .max
      #expect(count == delays.count { $0 > lower && $0 <= upper })
    }
    #expect(histogram.count == delays.count && histogram.sumMs == delays.reduce(0) { $0 + max(0, $1) })
  }

  @Test func quantilesLieInTheBucketOfTheExactOnes() throws {
    let histogram = try histogram((1...1000).map { $0 * 7 })
    #expect(try #require(histogram.quantileMs(0.5)) > 2000 && histogram.quantileMs(0.5)! <= 5000)
    #expect(try #require(histogram.quantileMs(0.99)) > 5000 && histogram.quantileMs(0.99)! <= 10_000)
    #expect(DelayHistogram().quantileMs(0.5) == nil)
  }

  @Test func histogramsAddUp() throws {
    var sum = try histogram([1, 5, 700])
    sum.merge(try histogram([3, 90_000]))
    #expect(sum == (try histogram([1, 3, 5, 700, 90_000])))
  }
}

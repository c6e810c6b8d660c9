import FreshetCore
import Testing

@testable import FreshetDashboard

@Suite struct RateMeterTests {
  private static func at(_ ms: Int) -> Instant { Instant(nanoseconds: 1).advanced(byMs: ms) }

  @Test func aRateNeedsTwoSamplesAndIsOverTheLastSeconds() {
    var meter = RateMeter()
    #expect(meter.perSecond(now: Self.at(0)) == nil)
    meter.note(100, at: Self.at(0))
    #expect(meter.perSecond(now: Self.at(0)) == nil)
    meter.note(150, at: Self.at(500))
    #expect(meter.perSecond(now: Self.at(500)) == 100)
    // A thousand a second for long enough that the hundred before is forgotten.
    for second in 1...20 { meter.note(150 + Double(second) * 1000, at: Self.at(500 + second * 1000)) }
    #expect(meter.perSecond(now: Self.at(20_500)) == 1000)
  }

  @Test func aCounterThatFallsBelongsToAnotherLife() {
    var meter = RateMeter()
    meter.note(1_000_000, at: Self.at(0))
    meter.note(1_001_000, at: Self.at(1_000))
    meter.note(5, at: Self.at(2_000))
    #expect(meter.perSecond(now: Self.at(2_000)) == nil)
    meter.note(25, at: Self.at(3_000))
    #expect(meter.perSecond(now: Self.at(3_000)) == 20)
  }

  @Test func aRateThatNobodyHasSeenGoOnIsNone() {
    var meter = RateMeter()
    meter.note(0, at: Self.at(0))
    meter.note(10, at: Self.at(1_000))
    #expect(meter.perSecond(now: Self.at(10_900)) == 10)
    #expect(meter.perSecond(now: Self.at(11_100)) == nil)
  }

  @Test func noRateIsNegativeAndSamplesAreBoundedWhateverACounterDoes() {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<200 {
      var meter = RateMeter()
      var (value, now) = (0.0, 0)
      for _ in 0..<300 {
        now += Int.random(in: 0...400, using: &generator)
        value =
          Int.random(in: 0..<20, using: &generator) == 0 ? 0 : value + Double.random(in: 0...1e6, using: &generator)
        meter.note(value, at: Self.at(now))
        #expect(meter.samples.count <= RateMeter.maximumSamples)
        if let rate = meter.perSecond(now: Self.at(now)) { #expect(rate >= 0 && rate.isFinite) }
      }
    }
  }

  @Test func whatIsNoNumberIsLeftOut() {
    var meter = RateMeter()
    meter.note(.nan, at: Self.at(0))
    meter.note(.infinity, at: Self.at(1))
    #expect(meter.samples.isEmpty)
  }
}

import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct ReplayPlanTests {
  static func settings(
    seed: UInt64 = 1, maxDelayMs: Int64 = 3_600_000, start: Int = 0, limit: Int? = nil
  ) -> ReplayPlan.Settings {
    ReplayPlan.Settings(seed: seed, maxDelayMs: maxDelayMs, start: start, limit: limit)
  }

  static func events(_ data: MovieLensData, _ settings: ReplayPlan.Settings) -> [ReplayPlan.Event] {
    var plan = ReplayPlan(data: data, settings: settings)
    var events: [ReplayPlan.Event] = []
    while let event = plan.next(data) { events.append(event) }
    return events
  }

  @Test(arguments: [(0, UInt64(1)), (1, 1), (500, 1), (500, 40), (2000, 10_000), (2000, 100_000_000)])
  func eachRatingIsOneImpressionAndOneLaterActionInEventTimeOrder(_ count: Int, _ secondsRange: UInt64) {
    let data = MovieLensData.random(count: count, seed: 7, secondsRange: secondsRange)
    let events = Self.events(data, Self.settings())
    #expect(events.count == 2 * count)
    var impressionTimes: [Int: Int64] = [:]
    var ratedRows: [Int] = []
    var last: ReplayPlan.Event?
    for event in events {
      if let last {
        #expect(last.eventTime <= event.eventTime)
        // At equal times impressions go first.
        #expect(last.eventTime < event.eventTime || last.kind == .impression || event.kind == .rating)
      }
      last = event
      switch event.kind {
      case .impression: #expect(impressionTimes.updateValue(event.eventTime, forKey: event.row) == nil)
      case .rating:
        #expect(event.eventTime == data.seconds[event.row] * 1000)
        let shown = impressionTimes[event.row]
        #expect(shown != nil && (0...3_600_000).contains(event.eventTime - shown!))
        ratedRows.append(event.row)
      }
    }
    // Time order, ties in file order.
    #expect(ratedRows == (0..<count).sorted { (data.seconds[$0], $0) < (data.seconds[$1], $1) })
  }

  @Test func delaysFillTheWholeRangeToTheMillisecond() {
    let data = MovieLensData.random(count: 5000, seed: 3, secondsRange: 100_000_000)
    let delays = Self.events(data, Self.settings()).filter { $0.kind == .impression }.map {
      data.seconds[$0.row] * 1000 - $0.eventTime
    }
    #expect(delays.min()! < 10_000 && delays.max()! > 3_590_000)
    #expect(abs(delays.reduce(0, +) / 5000 - 1_800_000) < 60_000)
    #expect(Set(delays.map { $0 % 1000 }).count > 900)
  }

  @Test func aDelayOfZeroPutsEachImpressionRightBeforeActionsOfItsTime() {
    let data = MovieLensData.random(count: 300, seed: 4, secondsRange: 50)
    let events = Self.events(data, Self.settings(maxDelayMs: 0))
    #expect(events.allSatisfy { $0.eventTime == data.seconds[$0.row] * 1000 })
  }

  @Test func sameSeedSameEventsAndAnotherSeedOtherDelays() {
    let data = MovieLensData.random(count: 300, seed: 5, secondsRange: 5000)
    #expect(Self.events(data, Self.settings(seed: 9)) == Self.events(data, Self.settings(seed: 9)))
    #expect(Self.events(data, Self.settings(seed: 9)) != Self.events(data, Self.settings(seed: 10)))
  }

  @Test func startAndLimitCutTheTimeOrder() {
    let data = MovieLensData.random(count: 200, seed: 6, secondsRange: 500)
    let all = Self.events(data, Self.settings()).filter { $0.kind == .rating }
    let part = Self.events(data, Self.settings(start: 50, limit: 30))
    #expect(part.filter { $0.kind == .rating } == Array(all[50..<80]))
    #expect(Set(part.filter { $0.kind == .impression }.map(\.row)) == Set(all[50..<80].map(\.row)))
    #expect(Self.events(data, Self.settings(start: 190, limit: 30)).count == 20)
    #expect(Self.events(data, Self.settings(start: 500)).isEmpty)
  }

  @Test func requestHashIsAFunctionOfTheRow() {
    var data = MovieLensData.random(count: 2, seed: 6, secondsRange: 500)
    data.users = [1, 1]
    data.items = [2, 2]
    data.seconds = [3, 3]
    data.values = [500, 5000]
    #expect(ReplayPlan.requestHash(data, row: 0) == ReplayPlan.requestHash(data, row: 1))
    for change in [\MovieLensData.users, \MovieLensData.items] {
      var other = data
      other[keyPath: change][1] = 9
      #expect(ReplayPlan.requestHash(other, row: 0) != ReplayPlan.requestHash(other, row: 1))
    }
    data.seconds[1] = 4
    #expect(ReplayPlan.requestHash(data, row: 0) != ReplayPlan.requestHash(data, row: 1))
  }

  @Test func fingerprintTellsPlansApart() {
    let data = MovieLensData.random(count: 100, seed: 8, secondsRange: 500)
    var other = data
    other.users[17] += 1
    let settings = [
      Self.settings(), Self.settings(seed: 2), Self.settings(maxDelayMs: 5), Self.settings(start: 1),
      Self.settings(limit: 99),
    ]
    var prints = settings.map { ReplayPlan(data: data, settings: $0).fingerprint }
    prints.append(ReplayPlan(data: other, settings: Self.settings()).fingerprint)
    #expect(Set(prints).count == 6)
    #expect(ReplayPlan(data: data, settings: Self.settings()).fingerprint == prints[0])
  }

  @Test func noImpressionIsBefore1970() {
    var data = MovieLensData.random(count: 50, seed: 8, secondsRange: 500)
    data.seconds = data.seconds.map { _ in 5 }
    #expect(Self.events(data, Self.settings()).allSatisfy { (0...5000).contains($0.eventTime) })
  }

  @Test(arguments: [UInt64(1), 3, 1 << 10, 1 << 11, 1 << 40, .max])
  func radixSortAgreesWithAStableComparisonSort(_ range: UInt64) {
    var generator = SeededGenerator(seed: range)
    let keys = (0..<3000).map { _ in generator.next() % range }
    let expected = keys.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }.map { UInt32($0) }
    #expect(RadixSort.ascendingIndices(of: keys) == expected)
  }

  @Test func radixSortOfNothingAndOfOneKey() {
    #expect(RadixSort.ascendingIndices(of: []).isEmpty)
    #expect(RadixSort.ascendingIndices(of: [.max]) == [0])
  }
}

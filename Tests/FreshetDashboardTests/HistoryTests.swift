import FreshetCore
import Testing

@testable import FreshetDashboard

@Suite struct HistoryTests {
  @Test func aRingKeepsTheLastPointsInOrder() {
    for capacity in [1, 2, 7] {
      var ring = HistoryRing(capacity: capacity, stepMs: 1000)
      var all: [HistoryRing.Point] = []
      for number in 0..<30 {
        all.append(.init(number: number, time: UnixTime(milliseconds: Int64(number)), values: [Double(number), nil]))
        ring.append([Double(number), nil], at: UnixTime(milliseconds: Int64(number)))
        for after in -1...(number + 1) {
          #expect(ring.points(after: after) == all.suffix(capacity).filter { $0.number > after })
        }
      }
      #expect(ring.next == 30)
    }
  }

  @Test func theDayHasAPointForEveryFewOfTheMinutes() {
    var history = History(series: [("mean", .mean), ("maximum", .maximum), ("none", .mean)], stepMs: 1000)
    let factor = History.coarseFactor
    for number in 0..<(factor * 2 + 5) {
      history.append([Double(number), number == 3 ? 99_999 : 1, nil], at: UnixTime(milliseconds: Int64(number) * 1000))
    }
    let points = history.coarse.points(after: -1)
    #expect(points.count == 2 && history.coarse.stepMs == factor * 1000)
    #expect(points[0].values == [Double(factor - 1) / 2, 99_999, nil])
    #expect(points[1].values == [Double(factor) + Double(factor - 1) / 2, 1, nil])
    #expect(points[1].time == UnixTime(milliseconds: Int64(factor * 2 - 1) * 1000))
  }

  @Test func neitherRingGrowsBeyondItsBound() {
    var history = History(series: [("a", .mean)], stepMs: 1000)
    for number in 0..<(History.capacity * History.coarseFactor + 10 * History.coarseFactor) {
      history.append([1], at: UnixTime(milliseconds: Int64(number)))
    }
    #expect(history.fine.points(after: -1).count == History.capacity)
    #expect(history.coarse.points(after: -1).count == History.capacity)
    #expect(history.coarse.next == History.capacity + 10)
  }
}

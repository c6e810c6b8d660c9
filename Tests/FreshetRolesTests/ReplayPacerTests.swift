import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct ReplayPacerTests {
  private static func settings(
    _ mode: ReplayPacer.Mode, count: Int = 1000, tail: Int = 0, tailRate: Double = 1, jitterMs: Int = 0
  ) -> ReplayPacer.Settings {
    ReplayPacer.Settings(
      mode: mode, unitCount: count, tailCount: tail, tailRate: tailRate, jitterMs: jitterMs, seed: 5)
  }

  /// Sends all units as soon as each may go; event times are `eventTimeStep` ms apart. Returns when each was sent, in ms.
  private static func run(
    _ settings: ReplayPacer.Settings, eventTimeStep: Int64 = 1, stallMs: Int = 0, stallAt: Int = -1
  ) -> [Double] {
    var pacer = ReplayPacer(settings)
    let start = Instant(nanoseconds: 77_000_000_000)
    var now = start
    var sent: [Double] = []
    for unit in 0..<settings.unitCount {
      if unit == stallAt { now = now.advanced(byMs: stallMs) }
      now = max(now, pacer.due(unit: unit, eventTime: Int64(unit) * eventTimeStep, now: now))
      sent.append(now.milliseconds(since: start))
      pacer.unitSent(now: now)
    }
    return sent
  }

  @Test func withoutLimitNothingWaits() {
    #expect(ReplayPacer(Self.settings(.asFastAsPossible)).isUnlimited)
    #expect(Self.run(Self.settings(.asFastAsPossible)).allSatisfy { $0 == 0 })
  }

  @Test(arguments: [0.5, 7, 1000, 3_000_000])
  func aRateSendsEachUnitAtItsTime(_ rate: Double) {
    for (unit, milliseconds) in Self.run(Self.settings(.rate(rate))).enumerated() {
      #expect(abs(milliseconds - Double(unit) / rate * 1000) < 0.001)
    }
  }

  @Test func eventTimePassesAtTheGivenSpeed() {
    for (unit, milliseconds) in Self.run(Self.settings(.speed(60)), eventTimeStep: 500).enumerated() {
      #expect(abs(milliseconds - Double(unit) * 500 / 60) < 0.001)
    }
  }

  @Test(arguments: [ReplayPacer.Mode.rate(100), .speed(0.1)])
  func aStallIsCaughtUpWithForOneSecondOfTheScheduleAtMost(_ mode: ReplayPacer.Mode) {
    // Both modes put 10 ms between two units.
    let sent = Self.run(Self.settings(mode), stallMs: 60_000, stallAt: 300)
    let atOnce = sent.filter { $0 == sent[300] }.count
    #expect((100...102).contains(atOnce))
    #expect(abs((sent[999] - sent[300]) - (699 * 10 - 1000)) < 1)
  }

  @Test func theTailGoesAtItsOwnRateAfterAFastBulk() {
    let sent = Self.run(Self.settings(.asFastAsPossible, tail: 100, tailRate: 50))
    #expect(sent[899] == 0 && sent[900] == 0)
    for unit in 900..<1000 { #expect(abs(sent[unit] - Double(unit - 900) * 20) < 0.001) }
  }

  @Test func aTailLongerThanTheReplayIsAllOfIt() {
    let sent = Self.run(Self.settings(.asFastAsPossible, count: 10, tail: 100, tailRate: 10))
    #expect(abs(sent[9] - 900) < 0.001)
  }

  @Test func jitterSleepsAtRandomAndTheSameForTheSameSeed() {
    let settings = Self.settings(.asFastAsPossible, count: 50_000, jitterMs: 200)
    let sent = Self.run(settings)
    let pauses = zip(sent.dropFirst(), sent).map(-).filter { $0 > 0 }
    #expect((20...100).contains(pauses.count))
    #expect(pauses.allSatisfy { $0 <= 201 } && Set(pauses).count > pauses.count / 2)
    #expect(sent == Self.run(settings))
  }

  @Test func jitterKeepsTheRateOnAverage() {
    let sent = Self.run(Self.settings(.rate(100), count: 2000, jitterMs: 300))
    #expect(abs(sent[1999] - 19_990) < 400)
    #expect(sent.enumerated().allSatisfy { $1 >= Double($0) * 10 - 0.001 })
  }

  @Test func progressTellsShareRateAndTimeLeft() {
    let progress = ReplayProgress(total: 1_000_209, resumedAt: 0, unitName: "ratings")
    #expect(
      progress.line(done: 500_000, elapsedSeconds: 10) == "500,000 of 1,000,209 ratings  49%  50,000/s  0:11 left")
    #expect(progress.line(done: 1_000_209, elapsedSeconds: 20) == "1,000,209 of 1,000,209 ratings  100%  50,010/s")
    #expect(progress.line(done: 0, elapsedSeconds: 0) == "0 of 1,000,209 ratings  0%  0/s")
    for width in [0, 1, 20, 60, 80, 200] {
      for done in [0, 1, 999_999, 1_000_209] {
        #expect(progress.bar(done: done, elapsedSeconds: 3, width: width).count < max(1, width))
      }
    }
    #expect(
      ReplayProgress(total: 0, resumedAt: 0, unitName: "r").bar(done: 0, elapsedSeconds: 1, width: 80).contains("100%"))
  }

  @Test func progressOfAResumedReplayCountsOnlyItsOwnRate() {
    let progress = ReplayProgress(total: 2000, resumedAt: 1000, unitName: "ratings")
    #expect(progress.line(done: 1500, elapsedSeconds: 10) == "1,500 of 2,000 ratings  75%  50/s  0:10 left")
    #expect(ReplayProgress.clock(3 * 3600 + 4 * 60 + 4.2) == "3:04:05" && ReplayProgress.grouped(-1234) == "-1,234")
  }
}

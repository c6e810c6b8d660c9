import FreshetCluster
import FreshetCore
import FreshetModel
import Testing

@testable import FreshetRoles

@Suite struct FaultyTrainingTests {
  /// Ratings over some days, in bursts.
  private static let seconds: [Int64] = {
    var random = SeededGenerator(seed: 11)
    var time: Int64 = 86_400 * 100 + 5 * 3600
    return (0..<400).map { _ in
      time += random.next() % 10 == 0 ? Int64(random.next() % 30_000) : Int64(random.next() % 600)
      return time
    }
  }()

  private static func hours(_ log: ExampleLog) -> EventWindows {
    EventWindows(log.times, in: 0..<log.count, lengthMs: 3_600_000)
  }

  private static func training(servers: Int) throws -> FaultyTraining {
    FaultyTraining(tables: try ModelTables(SmallLog.model), servers: servers, batchSize: 8, microBatchSize: 2)
  }

  private static func schedule(
    _ hours: EventWindows, servers: Int, rate: Double, snapshotHours: Int64 = 24, seed: UInt64 = 1
  ) -> FailureSchedule {
    FailureSchedule(
      hours: hours, servers: servers, failuresPerDay: rate, snapshotHours: snapshotHours, seed: seed)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func exactRecoveryOfOneServerIsTheUninterruptedRunToTheBit(seed: UInt64) throws {
    let log = try SmallLog(seconds: Self.seconds).log
    let hours = Self.hours(log)
    let training = try Self.training(servers: 1)
    let whole = try training.run(log, hours: hours, Self.schedule(hours, servers: 1, rate: 0), .exact)
    let run = try training.run(log, hours: hours, Self.schedule(hours, servers: 1, rate: 3, seed: seed), .exact)
    #expect(run.failures >= 3 && run.replayed > 20 && run.lostShare == 0)
    #expect(run.checksum == whole.checksum && run.logits == whole.logits)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func whatOneServerLosesIsAsIfItHadNeverBeen(seed: UInt64) throws {
    let log = try SmallLog(seconds: Self.seconds).log
    let hours = Self.hours(log)
    let schedule = Self.schedule(hours, servers: 1, rate: 3, seed: seed)
    let run = try Self.training(servers: 1).run(log, hours: hours, schedule, .loss)
    // Which windows are part of the model in the end, by the failures alone.
    var kept = [Bool](repeating: true, count: hours.windows.count)
    for failure in schedule.failures where failure.window > 0 {
      for window in (failure.snapshotWindow ?? 0)..<failure.window { kept[window] = false }
    }
    let reference = try LocalTraining(tables: ModelTables(SmallLog.model), batchSize: 8, microBatchSize: 2)
    var lost = 0
    var batch = log.makeBatch()
    for (number, window) in hours.windows.enumerated() {
      if kept[number] {
        // The trainer is fed from where it is: offsets have to follow on from each other.
        try log.forEachBatch(of: window.range, filling: &batch) { try reference.train($0) }
      } else {
        lost += window.range.count
      }
    }
    #expect(lost > 20 && lost < log.count && run.replayed == 0)
    #expect(abs(run.lostShare - Double(lost) / Double(log.count)) < 1e-12)
    #expect(run.checksum == reference.checksum)
  }

  @Test func ofSeveralServersOnlyThoseThatDieLoseAnything() throws {
    let log = try SmallLog(seconds: Self.seconds).log
    let hours = Self.hours(log)
    let training = try Self.training(servers: 4)
    let whole = try training.run(log, hours: hours, Self.schedule(hours, servers: 4, rate: 0), .loss)
    let schedule = Self.schedule(hours, servers: 4, rate: 1)
    let lossy = try training.run(log, hours: hours, schedule, .loss)
    let exact = try training.run(log, hours: hours, schedule, .exact)
    #expect(whole.failures == 0 && whole.lostShare == 0 && whole.replayed == 0)
    #expect(lossy.failures >= 4 && lossy.failures == exact.failures)
    #expect(0 < lossy.lostShare && lossy.lostShare < 0.9 && lossy.replayed == 0)
    #expect(exact.lostShare == 0 && exact.replayed > 0)
    #expect(lossy.checksum != whole.checksum)
    #expect([whole, lossy, exact].allSatisfy { $0.logits.count == log.count })
    // Until the first of them dies nothing differs.
    let first = hours.windows[schedule.failures[0].window].range.lowerBound
    #expect(first > 0 && lossy.logits[..<first] == whole.logits[..<first])
  }

  @Test func serversDieAtTheRateAskedForAndGoBackToTheLastMark() throws {
    // An example every 50 minutes for 200 days, with a gap of 10 days.
    let times = (0..<5760).map { Int64($0) * 3_000_000 + ($0 > 2000 ? 864_000_000 : 0) + 1_800_000_000_000 }
    let hours = EventWindows(times, in: 0..<times.count, lengthMs: 3_600_000)
    let schedule = Self.schedule(hours, servers: 16, rate: 0.5, snapshotHours: 24, seed: 9)
    // 16 × 210 × 0.5; those in the gap count once for each server.
    #expect((1400...1700).contains(schedule.failures.count))
    #expect(schedule.failures == Self.schedule(hours, servers: 16, rate: 0.5, snapshotHours: 24, seed: 9).failures)
    #expect(schedule.failures != Self.schedule(hours, servers: 16, rate: 0.5, snapshotHours: 24, seed: 8).failures)
    #expect(Set(schedule.failures.map(\.server)).count == 16)
    for (one, next) in zip(schedule.failures, schedule.failures.dropFirst()) {
      #expect((one.window, one.server) < (next.window, next.server))
    }
    let firstDay = hours.windows[0].number / 24
    for failure in schedule.failures {
      guard let snapshot = failure.snapshotWindow else {
        #expect(hours.windows[failure.window].number / 24 == firstDay)
        continue
      }
      #expect(snapshot <= failure.window)
      // The first window of its day, unless it died in the gap.
      #expect(hours.windows[snapshot].number / 24 > hours.windows[snapshot - 1].number / 24)
    }
    #expect(Self.schedule(hours, servers: 16, rate: 0).failures.isEmpty)
    let often = Self.schedule(hours, servers: 2, rate: 24)
    #expect(often.failures.count == 2 * hours.windows.count)
  }
}

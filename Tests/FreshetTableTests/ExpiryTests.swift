import FreshetCore
import FreshetTableScript
import Testing

@testable import FreshetTable

@Suite struct ExpiryTests {
  private static let sgd = Optimizer.sgd(SGD(learningRate: 1))

  @Test func aRowReadsAsInitialOnceItsTimeIsOverAndBeforeAnySweep() {
    let table = makeTable(
      width: 2, Self.sgd, initializer: .constant(4), expiry: Expiry(timeToLiveMinutes: 10, maximumRows: nil))
    table.update([1], with: 1, minutes: 100)
    table.update([2], with: 1, minutes: 110)
    #expect(table.weights(1) == ([3, 3], true))
    table.update([2], with: 1, minutes: 111)
    #expect(table.weights(1) == ([4, 4], false))
    #expect(table.gather([1, 2]) == [4, 4, 2, 2])
    #expect(table.row(1) == nil && !table.contains(1))
    #expect(table.rowCount == 2)
    while !table.sweepExpired() {}
    #expect(table.rowCount == 1 && table.statistics.expired == 1)
    #expect(table.weights(1) == ([4, 4], false))
  }

  @Test func anUpdateBeginsAnExpiredRowAnewWithItsState() {
    let table = makeTable(
      width: 1, .adagrad(Adagrad(learningRate: 1, initialAccumulator: 0, epsilon: 0)),
      expiry: Expiry(timeToLiveMinutes: 5, maximumRows: nil))
    for minutes in 0..<3 as Range<UInt32> { table.update([1], with: 2, minutes: minutes) }
    table.update([2], with: 1, minutes: 50)
    table.update([1], with: 2, minutes: 50)
    #expect(table.row(1) == [-1, 4])
    #expect(table.statistics.expired == 1 && table.statistics.inserts == 2)
  }

  /// What keeps a table after a crash, which reads the same examples again but sweeps at other moments, the same.
  @Test(arguments: [
    Admission.everything, .minimumCount(2, sketchBytes: 4096), .probability(0.5, seed: 8),
  ])
  func aReplayThatSweepsAtOtherMomentsGathersTheSame(admission: Admission) {
    for seed in 0..<20 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      var sweeps = SeededGenerator(seed: seed + 1000)
      let tables = (0..<3).map { _ in
        makeTable(
          width: 2, Self.sgd, admission: admission, expiry: Expiry(timeToLiveMinutes: 6, maximumRows: nil))
      }
      let all = (0..<60).map { Fid($0) }
      var minutes: UInt32 = 50
      for _ in 0..<120 {
        minutes += UInt32(random.next() % 3)
        let late = random.next() % 5 == 0 ? UInt32(random.next() % 12) : 0
        let fids = all.filter { _ in random.next() % 8 == 0 }
        let gradients = random.gradients(fids.count * 2)
        for table in tables { table.update(fids, gradients: gradients, minutes: minutes - late) }
        // The first table never sweeps, the second always, the third at random.
        while !tables[1].sweepExpired() {}
        if sweeps.next() % 4 == 0 { _ = tables[2].sweepExpired() }
        let expected = tables[0].gather(all)
        #expect(tables[1].gather(all) == expected && tables[2].gather(all) == expected)
      }
      #expect(tables[1].rowCount < tables[0].rowCount)
    }
  }

  /// Ideally the newest 2,000 would be left, whose mean rank is 1,000; at random it would be the mean of a geometric
  /// distribution, 2,000.
  @Test func atTheLimitOfRowsThoseStayThatWereUpdatedLately() {
    let limit = 2_000
    let table = makeTable(width: 1, Self.sgd, expiry: Expiry(timeToLiveMinutes: nil, maximumRows: limit), feeds: 1)
    let batch = 50
    let count = 20_000
    for start in stride(from: 0, to: count, by: batch) {
      table.update((start..<start + batch).map { Fid($0) }, with: 1, minutes: UInt32(start / batch))
      #expect(table.rowCount <= limit)
    }
    #expect(table.rowCount == limit && table.statistics.evicted == UInt64(count - limit))
    #expect(table.takeRemoved(feed: 0).count == count - limit)
    var ranks = 0
    for number in 0..<count where table.contains(Fid(number)) { ranks += count - 1 - number }
    #expect(ranks / limit < 1_150, "mean age rank \(ranks / limit)")
    table.checkInvariants()
  }
}

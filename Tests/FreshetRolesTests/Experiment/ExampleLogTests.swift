import FreshetCore
import FreshetModel
import Testing

@testable import FreshetRoles

@Suite struct ExampleLogTests {
  @Test func anyRangeComesInOrderAndWhole() throws {
    let small = try SmallLog(seconds: (0..<300).map { 1_000_000 + Int64($0) })
    let log = small.log
    #expect(log.count == 300 && log.times == (0..<300).map { (1_000_000 + $0) * 1000 })
    for capacity in [1, 7, 300, 8192] {
      for range in [0..<300, 0..<1, 299..<300, 13..<211, 50..<50] {
        var batch = ExampleBatch(layout: log.makeBatch().layout, capacity: capacity)
        var offsets: [Int64] = []
        var labels: [Float] = []
        log.forEachBatch(of: range, filling: &batch) { batch in
          #expect(!batch.isEmpty && batch.count <= capacity)
          offsets += batch.offsets
          labels += batch.labels
        }
        #expect(offsets == range.map { Int64($0) })
        #expect(labels == Array(log.labels[range]))
      }
    }
  }

  @Test func copiedExamplesAreWhatTheyWereFidByFid() throws {
    let log = try SmallLog(seconds: (0..<100).map { Int64($0) }).log
    var whole = log.makeBatch()
    var parts = log.makeBatch()
    log.forEachBatch(of: 0..<100, filling: &whole) { batch in
      parts.append(batch.slice(0..<33))
      parts.append(batch.slice(33..<34))
      parts.append(batch.slice(34..<100))
      #expect(parts.fids == batch.fids && parts.slotStarts == batch.slotStarts && parts.labels == batch.labels)
      #expect(parts.actionTimes == batch.actionTimes && parts.requestHashes == batch.requestHashes)
      parts.removeAll()
      parts.append(batch.slice(60..<90))
      for example in 0..<30 {
        #expect(parts.header(example) == batch.header(60 + example))
        for slot in 0..<batch.layout.slotCount {
          #expect(
            parts.fids[parts.fidRange(example: example, slot: slot)]
              .elementsEqual(batch.fids[batch.fidRange(example: 60 + example, slot: slot)]))
        }
      }
    }
  }

  @Test func onlyTheSlotThatIsNamedGetsOtherFids() throws {
    let log = try SmallLog(seconds: (0..<100).map { Int64($0) }).log
    let users = log.fids(ofSlot: 0)
    let items = log.fids(ofSlot: 1)
    #expect(users.count == 12 && items.count > 12)
    let changed = log.replacingFids(ofSlot: 0) { ~$0 }
    #expect(changed.fids(ofSlot: 0) == Set(users.map { ~$0 }))
    for slot in 1..<log.makeBatch().layout.slotCount { #expect(changed.fids(ofSlot: slot) == log.fids(ofSlot: slot)) }
  }

  @Test func anExampleIsKnownIfItsUserOccursBeforeTheRange() throws {
    let log = try SmallLog(seconds: (0..<60).map { Int64($0) }, users: 40).log
    var users: [Fid] = []
    var batch = log.makeBatch()
    log.forEachBatch(of: 0..<60, filling: &batch) { batch in
      users += (0..<batch.count).map { batch.fids[batch.fidRange(example: $0, slot: 0).lowerBound] }
    }
    let known = log.isKnown(slot: 0, in: 30..<60)
    #expect(known == users[30...].map { users[..<30].contains($0) })
    #expect(known.contains(true) && known.contains(false))
  }

  @Test func windowsCutWhereTheClockEntersAnother() {
    let times: [Int64] = [5, 9, 10, 19, 12, 35, 29, 41, 40]
    let windows = EventWindows(times, in: 1..<9, lengthMs: 10)
    // An example that comes late belongs to the window of those before it.
    #expect(
      windows.windows == [
        .init(number: 0, range: 1..<2), .init(number: 1, range: 2..<5), .init(number: 3, range: 5..<7),
        .init(number: 4, range: 7..<9),
      ])
    #expect(windows.windows.map { windows.number(of: $0, ofLengthMs: 20) } == [0, 0, 1, 2])
    #expect(EventWindows([-1, 0], in: 0..<2, lengthMs: 10).windows.map(\.number) == [-1, 0])
    #expect(EventWindows(times, in: 3..<3, lengthMs: 10).windows.isEmpty)
  }
}

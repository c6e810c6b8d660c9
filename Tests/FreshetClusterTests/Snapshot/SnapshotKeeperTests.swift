import FreshetCore
import FreshetModel
import Testing

@testable import FreshetCluster

/// When snapshots are taken, of what kind, and what becomes of them when something fails.
@Suite struct SnapshotKeeperTests {
  private func harness(
    shards: Int = 1, seed: UInt64 = 1, change: (inout SnapshotSettings) -> Void = { _ in }
  ) -> SnapshotHarness {
    var settings = SnapshotHarness.settings
    // Deltas of these few rows would soon outgrow half a base.
    settings.baseEvery = 3
    change(&settings)
    return SnapshotHarness(model: .tiny, shards: shards, settings: settings, seed: seed)
  }

  private func kinds(_ harness: SnapshotHarness) -> [SnapshotKind] { harness.stored.map(\.file.kind) }

  /// A large base, so that small deltas fit below half of it.
  private func fill(_ harness: SnapshotHarness) {
    for _ in 0..<15 { harness.push(rows: 40, fids: 1000) }
    harness.snapshot(id: 1000)
  }

  @Test func aBaseComesFirstAndAfterItsNumberOfDeltas() {
    let harness = harness()
    fill(harness)
    for id in UInt64(1)...8 {
      harness.push(rows: 1)
      harness.snapshot(id: id)
    }
    #expect(kinds(harness) == [.base, .delta, .delta, .delta, .base, .delta, .delta, .delta, .base])
    #expect(harness.stored.map(\.id.number) == Array(1...9))
    #expect(harness.keeper.statistics.bases == 3)
    #expect(harness.keeper.statistics.deltas == 6)
  }

  @Test func aBaseComesWhenDeltasOutgrowHalfOfTheOneBefore() {
    let harness = harness { $0.baseEvery = 1000 }
    fill(harness)
    for id in UInt64(1)...16 {
      harness.push(rows: 12, fids: 1000)
      harness.snapshot(id: id)
    }
    let chain = SnapshotCatalogTests.chains(harness.store)
    #expect(kinds(harness).filter { $0 == .base }.count > 1)
    for files in chain {
      #expect(files.dropFirst().dropLast().reduce(0) { $0 + $1.sizeBytes } * 2 <= files[0].sizeBytes)
    }
  }

  @Test func aBaseComesWhenMoreRowsWereRemovedThanATableHas() throws {
    let harness = harness { $0.baseEvery = 1000 }
    fill(harness)
    harness.push(rows: 1)
    harness.snapshot(id: 1)
    let table = harness.server.hostedShards[0].tables[0]
    for first in 0..<50 {
      let fids = (0..<100).map { Fid(1 << 40 + first * 100 + $0) }
      fids.withUnsafeBufferPointer { fids in
        let gradients = [Float](repeating: 1, count: fids.count * table.layout.width)
        gradients.withUnsafeBufferPointer { table.update(fids, gradients: $0.baseAddress!, minutes: 5) }
        _ = table.remove(fids)
      }
    }
    #expect(table.mustCutFully)
    for id in UInt64(2)...3 {
      harness.push(rows: 1)
      harness.snapshot(id: id)
    }
    #expect(kinds(harness) == [.base, .delta, .base, .delta])
    let before = harness.contents(of: ShardID(0))
    _ = try harness.restart()
    #expect(harness.contents(of: ShardID(0)) == before)
  }

  @Test func roundsComeAtIntervalsAndPassOverShardsThatLearnedNothing() {
    let harness = harness(shards: 3)
    var rounds: [Int] = []
    for millisecond in 0..<10_000 {
      harness.pass(milliseconds: 1)
      if millisecond % 100 == 0 { harness.push(rows: 1) }
      let before = harness.plans.count
      harness.handle(.tick)
      harness.settle()
      if harness.plans.count > before { rounds.append(millisecond) }
    }
    #expect((9...12).contains(rounds.count), "\(rounds)")
    #expect(zip(rounds, rounds.dropFirst()).allSatisfy { (890...1110).contains($1 - $0) }, "\(rounds)")
    #expect(harness.plans.count == 3 * rounds.count)
    let before = harness.plans.count
    for _ in 0..<30 {
      harness.pass(milliseconds: 100)
      harness.handle(.tick)
      harness.settle()
    }
    #expect(harness.plans.count == before + 3)
  }

  @Test func theSameSeedGivesTheSameRun() {
    func run() -> [String] {
      let harness = harness(shards: 3, seed: 5)
      for _ in 0..<600 { harness.step() }
      return harness.plans.map(\.fileName) + harness.store.calls.map(\.rawValue)
    }
    #expect(run() == run())
  }

  @Test func aRequestIsAnsweredWhenEveryShardHasWhatItHadThen() {
    let harness = harness(shards: 2)
    harness.push()
    harness.handle(.requested(id: 1))
    harness.copy()
    harness.push()
    harness.handle(.requested(id: 2))
    #expect(harness.replies.isEmpty)
    harness.settle()
    guard case .taken(let first)? = harness.replies[1], case .taken(let second)? = harness.replies[2] else {
      Issue.record("\(harness.replies)")
      return
    }
    #expect(first.map(\.shard) == [ShardID(0), ShardID(1)])
    #expect(second[0].number > first[0].number)
    #expect(second.allSatisfy { $0.bytes > 0 })
    // Nothing has changed: the last ones will do, and nothing is written.
    let calls = harness.store.calls.count
    #expect(harness.snapshot(id: 3) == .taken(second))
    #expect(harness.store.calls.count == calls)
  }

  @Test func requestsBeyondTheLimitAreRefused() {
    let harness = harness()
    harness.push()
    for id in 0..<UInt64(SnapshotKeeper.maximumRequests + 2) { harness.handle(.requested(id: id)) }
    #expect(harness.replies.count == 2)
    #expect(harness.keeper.statistics.requestsRefused == 2)
    harness.settle()
    #expect(harness.replies.count == SnapshotKeeper.maximumRequests + 2)
  }

  @Test func anEmptyServerCanBeSnapshottedOnRequest() throws {
    let harness = harness(shards: 2)
    guard case .taken(let shards)? = harness.snapshot(id: 1) else {
      Issue.record("not taken")
      return
    }
    #expect(shards.map(\.number) == [1, 1])
    #expect(try harness.restart().allSatisfy { $0.manifest != nil && $0.rows == 0 })
  }

  @Test func copyingPausesWhileTheWriterHasEnough() {
    let harness = harness()
    for _ in 0..<20 { harness.push(rows: 40, fids: 4000) }
    harness.handle(.requested(id: 1))
    var slices = 0
    while harness.keeper.hasWork, slices < 10_000 {
      harness.copy()
      slices += 1
    }
    #expect(harness.mostInFlight == 3)
    #expect(harness.keeper.statistics.pauses == 1)
    #expect(harness.replies.isEmpty)
    harness.settle()
    #expect(harness.mostInFlight == 3)
    #expect(harness.replies.count == 1)
  }

  @Test func aSnapshotIsGivenUpWhenTooMuchHasToBeCopiedAside() throws {
    let harness = harness { $0.sideBytes = 2000 }
    fill(harness)
    let taken = harness.stored.count
    harness.push(rows: 40, fids: 4000)
    harness.handle(.requested(id: 1))
    // The writer stands still, training does not.
    for _ in 0..<200 where harness.keeper.underWay != nil {
      harness.push(rows: 40, fids: 4000)
      harness.handle(.tick)
    }
    #expect(harness.keeper.statistics.abandoned == 1)
    #expect(harness.keeper.sideBytes(shards: harness.server) == 0)
    guard case .failed(let reason)? = harness.replies[1] else {
      Issue.record("no reply")
      return
    }
    #expect(reason.contains("2000 bytes"))
    #expect(harness.notices.count == 1)
    harness.settle()
    #expect(harness.stored.count == taken)
    // After it comes a base, not before the pause is over.
    harness.handle(.tick)
    #expect(harness.keeper.underWay == nil)
    harness.pass(milliseconds: 2_000)
    harness.handle(.tick)
    harness.settle()
    #expect(harness.stored.last?.file.kind == .base)
    #expect(try harness.restart()[0].skipped.isEmpty)
  }

  /// Every call of a store fails once, in every snapshot of a run; what is restored then is whole, and the newest.
  @Test(arguments: [false, true]) func theStoreMayFailAtAnyCall(finishesWhenFailing: Bool) throws {
    func run(failing: Int?) throws -> SnapshotHarness {
      let harness = harness { $0.baseEvery = 1 }
      harness.store.finishesWhenFailing = finishesWhenFailing
      var writes = 0
      harness.store.fault = { call, _, _ in
        guard [.create, .write, .finish, .remove].contains(call) else { return false }
        writes += 1
        return writes - 1 == failing
      }
      for id in UInt64(1)...4 {
        harness.push()
        harness.snapshot(id: id)
        #expect(harness.replies[id] != nil)
        harness.pass(milliseconds: 5_000)
        harness.handle(.tick)
        harness.settle()
      }
      harness.store.fault = { _, _, _ in false }
      if failing == nil { return harness }
      let before = harness.contentsAfterSweep()
      let saved = harness.cuts.keys.filter { harness.store.files[$0.manifestName] != nil }
      for report in try harness.restart() {
        let id = try #require(report.manifest?.id)
        #expect(id == saved.filter { $0.shard == report.shard }.max(), "call \(failing!)")
        #expect(report.skipped.isEmpty, "call \(failing!): \(report.skipped)")
        #expect(harness.contents(of: report.shard) == harness.cuts[id])
      }
      harness.replay()
      #expect(harness.contentsAfterSweep() == before)
      return harness
    }
    let undisturbed = try run(failing: nil)
    let calls = undisturbed.store.calls.filter { [.create, .write, .finish, .remove].contains($0) }.count
    #expect(calls > 30)
    var failed = 0
    for call in 0..<calls {
      failed += try run(failing: call).keeper.statistics == undisturbed.keeper.statistics ? 0 : 1
    }
    #expect(failed > 0)
  }

  @Test func afterAFailureABaseFollowsWhenThePauseIsOver() {
    let harness = harness()
    fill(harness)
    harness.store.fault = { call, name, _ in call == .finish && name.hasSuffix(".rows") }
    harness.push(rows: 1)
    guard case .failed(let reason)? = harness.snapshot(id: 1) else {
      Issue.record("not failed")
      return
    }
    #expect(reason.contains("finish of shard-0000/0000000002"))
    #expect(harness.keeper.statistics.failures == 1)
    #expect(harness.keeper.statistics.lastFailure?.contains("finish") == true)
    var attempts: [Int] = []
    for millisecond in 0..<100_000 {
      harness.pass(milliseconds: 1)
      let before = harness.plans.count
      harness.handle(.tick)
      harness.settle()
      if harness.plans.count > before { attempts.append(millisecond) }
    }
    // Pauses grow from half a second to a minute.
    #expect((3...30).contains(attempts.count), "\(attempts)")
    #expect(attempts[0] >= 400)
    harness.store.fault = { _, _, _ in false }
    harness.snapshot(id: 2)
    #expect(harness.stored.last?.file.kind == .base)
  }

  @Test func whatCouldNotBeRemovedIsRemovedLater() {
    let harness = harness { $0.baseEvery = 0 }
    harness.store.fault = { call, _, _ in call == .remove }
    for id in UInt64(1)...6 {
      harness.push()
      harness.snapshot(id: id)
    }
    #expect(harness.store.files.count == 12)
    #expect(harness.notices.contains { $0.contains("could not remove") })
    harness.store.fault = { _, _, _ in false }
    harness.push()
    harness.snapshot(id: 7)
    #expect(harness.store.files.count == 4)
  }

  @Test func eventsOfASnapshotThatWasGivenUpChangeNothing() {
    let harness = harness()
    harness.push()
    harness.handle(.requested(id: 1))
    let ticket = harness.plans[0].ticket
    harness.handle(.failed(ticket: ticket, reason: "broken"))
    #expect(harness.keeper.statistics.failures == 1)
    let file = SnapshotFile(name: harness.plans[0].fileName, kind: .base, sizeBytes: 1, checksum: 1)
    harness.handle(.failed(ticket: ticket, reason: "broken again"))
    harness.handle(.accepted(ticket: ticket, parts: 5))
    harness.handle(
      .stored(
        ticket: ticket,
        SnapshotResult(id: harness.plans[0].header.id, file: file, rows: 1, tombstones: 0, rawBytes: 1)))
    #expect(harness.keeper.statistics.failures == 1)
    #expect(harness.keeper.statistics.bases == 0)
  }

  // MARK: - The end

  @Test func stoppingSavesWhatChangedAndThenStops() throws {
    let harness = harness(shards: 3)
    for _ in 0..<10 { harness.push() }
    harness.snapshot(id: 1)
    harness.push()
    // One is under way, and its shard learns more.
    harness.handle(.requested(id: 2))
    harness.copy()
    harness.push()
    harness.handle(.stopping(withinMs: 1000))
    harness.handle(.requested(id: 3))
    #expect(harness.replies[3] == .failed("the server is stopping"))
    #expect(!harness.isStopped)
    harness.settle()
    #expect(harness.isStopped)
    #expect(harness.replies[2] != nil)
    let before = harness.contentsAfterSweep()
    _ = try harness.restart()
    #expect(harness.contentsAfterSweep() == before)
  }

  @Test func stoppingWithNothingToSaveStopsAtOnce() {
    let harness = harness()
    harness.handle(.stopping(withinMs: 1000))
    #expect(harness.isStopped)
    #expect(harness.store.calls.isEmpty)
  }

  @Test func stoppingEndsAtItsTimeWhateverTheStoreDoes() throws {
    let harness = harness(shards: 2)
    harness.push()
    harness.snapshot(id: 1)
    harness.push()
    harness.handle(.stopping(withinMs: 1000))
    for _ in 0..<9 {
      harness.pass(milliseconds: 100)
      harness.handle(.tick)
    }
    #expect(!harness.isStopped)
    harness.pass(milliseconds: 100)
    harness.handle(.tick)
    #expect(harness.isStopped)
    #expect(harness.notices.last?.contains("shards 0, 1") == true, "\(harness.notices)")
    #expect(try harness.restart().allSatisfy { $0.manifest?.id.number == 1 })
  }

  @Test func aBaseThatDoesNotFitIsNotBegunAndSmallOnesGoFirst() {
    var stop = SnapshotStop()
    let start = Instant(nanoseconds: 1)
    stop.measure(rawBytes: 2 << 20, milliseconds: 20)
    stop.begin(deadline: start.advanced(byMs: 1000))
    let sizes = [ShardID(0): 300 << 20, ShardID(1): 50 << 20, ShardID(2): 0, ShardID(3): 10 << 20]
    var queue = stop.order(
      sizes.sorted { $0.key < $1.key }.map { ($0.key, $0.value == 0 ? .delta : .base, $0.value) })
    #expect(queue == [ShardID(2), ShardID(3), ShardID(1), ShardID(0)])
    #expect(stop.skip(&queue, now: start) { sizes[$0]! } == [ShardID(0)])
    #expect(queue == [ShardID(2), ShardID(3), ShardID(1)])
    #expect(stop.skip(&queue, now: start.advanced(byMs: 600)) { sizes[$0]! } == [ShardID(1)])
    #expect(stop.skip(&queue, now: start.advanced(byMs: 1000)) { sizes[$0]! } == [ShardID(2), ShardID(3)])
  }
}

@Suite struct SnapshotCatalogTests {
  /// The chains of all snapshots in a store.
  static func chains(_ store: MemoryStore) -> [[SnapshotFile]] {
    do {
      let catalog = try SnapshotCatalog(store: store)
      return catalog.shardsWithFiles.flatMap { catalog.entries(of: $0).manifests.map(\.chain) }
    } catch {
      preconditionFailure("\(error)")
    }
  }

  /// Over many lives: the last ones stay, one on another base with them, all with their files, and nothing else.
  @Test func theStoreHoldsTheLastSnapshotsAndWhatTheyNeed() throws {
    let harness = SnapshotHarness(model: .tiny, shards: 2, seed: 9)
    var id: UInt64 = 0
    for _ in 0..<5 {
      for _ in 0..<7 {
        id += 1
        for _ in 0..<4 { harness.push() }
        harness.snapshot(id: id)
        let catalog = try SnapshotCatalog(store: harness.store)
        for shard in catalog.shardsWithFiles {
          let entries = catalog.entries(of: shard)
          let saved = harness.stored.filter { $0.id.shard == shard }.map(\.id)
          #expect(entries.manifests.suffix(2).map(\.id) == saved.suffix(2))
          #expect(entries.manifests.count <= 3)
          let bases = Set(entries.manifests.map { $0.chain[0] })
          #expect(
            bases.count
              == min(
                2, Set(harness.plans.filter { $0.header.id.shard == shard && $0.chain.isEmpty }.map(\.fileName)).count))
          let needed = Set(entries.manifests.flatMap { [$0.id.manifestName] + $0.chain.map(\.name) })
          #expect(Set(entries.files.map(\.name)) == needed)
        }
      }
      let reports = try harness.restart()
      #expect(reports.allSatisfy { $0.skipped.isEmpty && $0.manifest != nil })
    }
  }
}

import FreshetCore
import FreshetModel
import Testing

@testable import FreshetDashboard

@Suite struct ClusterViewTests {
  private static func flow(_ view: ClusterView, _ from: String, _ to: String, _ ms: Int = 2_000) -> Flow? {
    view.flows(now: Fixture.after(ms)).first { $0.from == from && $0.to == to }
  }

  @Test func whatWaitsIsWhatTheReadersHaveNotTakenYet() {
    let view = Fixture.running()
    // 300 of 300 and 300 records, 190 and 300 of them committed.
    #expect(Self.flow(view, "features", "joiner")?.waiting == 110)
    // A group that has committed nothing of a partition has all of it before it.
    #expect(Self.flow(view, "actions", "joiner")?.waiting == 290)
    // The slowest shard counts, 90 of 100 and 190 of 201, and the last offset of each is the mark of a transaction: 9 and 10.
    #expect(Self.flow(view, "examples", "trainer")?.waiting == 19)
    // Replicas are at 90 and 185, files at 80 and 150.
    #expect(Self.flow(view, "ps", "serve")?.waiting == 5)
    #expect(Self.flow(view, "examples", "archive")?.waiting == 69)
  }

  @Test func whatRetentionTookDoesNotWait() {
    let topic = TopicFigures(starts: [0: 40], ends: [0: 100], committed: [0: -1001])
    #expect(topic.waiting(behind: [:], isTransactional: false) == 60)
    #expect(topic.waiting(behind: [0: 130], isTransactional: true) == 0)
  }

  @Test func ratesAreSumsOverProcessesAndOutliveNoRestart() {
    var view = Fixture.running()
    #expect(Self.flow(view, "trainer", "ps")?.perSecond == 1200)
    #expect(Self.flow(view, "examples", "trainer")?.perSecond == 36)
    #expect(Self.flow(view, "features", "joiner")?.perSecond == 50)
    // One server comes back with counters of its own, already larger than those before.
    var info = Fixture.server(pushed: 1_000_000, watermarks: [:])
    info["process_id"] = "4711"
    view.handle(.answered(2, info: info, validation: nil), now: Fixture.after(3_000))
    #expect(Self.flow(view, "trainer", "ps", 3_000)?.perSecond == 700)
    view.handle(.answered(1, info: Fixture.trainer(examples: 0), validation: nil), now: Fixture.after(3_000))
    #expect(Self.flow(view, "examples", "trainer", 3_000)?.perSecond == nil)
  }

  @Test func validationNeedsAllServers() {
    var view = Fixture.running()
    #expect(view.validation?.tasks[0].total.count == 100)
    view.handle(.failed(3, reason: "connection refused", isLate: false), now: Fixture.after(3_000))
    view.handle(.tick(Fixture.time), now: Fixture.after(3_000))
    #expect(view.validation == nil && view.unlearned == nil)
    #expect(view.history.fine.points(after: 1).first?.values[0] == nil, "a part is not taken for the whole")
  }

  @Test func aServerThatRestoresItsShardsHasNeitherValidationNorWatermarks() {
    var view = Fixture.running()
    view.handle(.answered(3, info: Fixture.info("ps", ["loading": "1"]), validation: nil), now: Fixture.after(3_000))
    view.handle(.tick(Fixture.time), now: Fixture.after(3_000))
    #expect(view.validation == nil && view.validationFailure == nil && view.unlearned == nil)
    #expect(view.lag(ofReplica: view.records[4]) == nil)
  }

  @Test func serversOfDifferentModelsAreSaidToBe() {
    var view = Fixture.running()
    view.handle(
      .answered(3, info: Fixture.server(pushed: 1, watermarks: [:]), validation: .init(taskCount: 3)),
      now: Fixture.after(3_000))
    view.handle(.tick(Fixture.time), now: Fixture.after(3_000))
    #expect(
      view.validation == nil && view.validationFailure?.contains("127.0.0.1:7101: 3 tasks here") == true,
      "\(view.validationFailure ?? "")")
  }

  @Test func replicasThatAreWellAreAskedFirst() {
    var view = Fixture.running()
    #expect(view.replicasByHealth(now: Fixture.after(2_000)).map(\.id) == ["serve-0", "serve-1"])
    view.handle(.failed(4, reason: "connection refused", isLate: false), now: Fixture.after(3_000))
    #expect(view.replicasByHealth(now: Fixture.after(3_000)).map(\.id) == ["serve-1", "serve-0"])
  }

  @Test func theFreshnessThatIsShownIsTheWorstOfAllReplicas() {
    #expect(Fixture.running().freshness("p50") == 240)
    #expect(ClusterView(Fixture.cluster, now: Fixture.start).freshness("p50") == nil)
  }

  @Test func onlyTheLastDeadLettersAreKept() {
    var view = Fixture.running()
    for number in 0..<(DeadLetterTail.capacity + 5) {
      let letter = Array("{\"reason_code\":\"\(number)\"}".utf8).withUnsafeBytes {
        DeadLetter(record: $0, position: "", time: nil, reader: JSONRecordReader(maxBytes: 1000, maxDepth: 8))
      }
      view.handle(.deadLetter(letter), now: Fixture.after(3_000))
    }
    #expect(view.deadLetters.recent.count == DeadLetterTail.capacity)
    #expect(view.deadLetters.recent.first?.code == "5")
  }

  @Test func aBrokerThatIsAwayTakesNothingOfWhatIsKnown() {
    var view = Fixture.running()
    view.handle(.logFailed(reason: "broker down"), now: Fixture.after(3_000))
    #expect(view.logFailure == "broker down" && Self.flow(view, "features", "joiner", 3_000)?.waiting == 110)
    view.handle(.log(Fixture.log()), now: Fixture.after(4_000))
    #expect(view.logFailure == nil)
  }
}

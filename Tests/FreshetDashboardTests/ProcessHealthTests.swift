import FreshetCore
import Testing

@testable import FreshetDashboard

@Suite struct ProcessHealthTests {
  private static let trainer = 1
  private static let server = 2
  private static let replica = 4

  private static func health(_ view: ClusterView, _ position: Int, _ ms: Int) -> (ProcessHealth, String?) {
    let finding = view.health(of: view.records[position], now: Fixture.after(ms))
    return (finding.health, finding.reason)
  }

  private static func finding(_ position: Int, _ info: [String: String]) -> (ProcessHealth, String?) {
    var view = ClusterView(Fixture.cluster, now: Fixture.start)
    view.handle(.answered(position, info: info, validation: nil), now: Fixture.after(100))
    return health(view, position, 200)
  }

  @Test func aProcessThatNeverAnsweredIsWaitedForAndThenDown() {
    var view = ClusterView(Fixture.cluster, now: Fixture.start)
    #expect(Self.health(view, 4, 0).0 == .waiting)
    view.handle(.failed(4, reason: "connection refused", isLate: false), now: Fixture.after(500))
    #expect(Self.health(view, 4, 9_000).0 == .waiting)
    #expect(Self.health(view, 4, 11_000) == (.down, "connection refused"))
  }

  @Test func aLostProcessIsDownAtOnceAndUpAgainWithItsNextAnswer() {
    var view = Fixture.running()
    #expect(Self.health(view, 4, 2_100).0 == .up)
    view.handle(.failed(4, reason: "connection refused", isLate: false), now: Fixture.after(3_000))
    #expect(Self.health(view, 4, 3_000) == (.down, "connection refused"))
    view.handle(
      .answered(4, info: Fixture.replica(["ready": "0", "shards_complete": "3"]), validation: nil),
      now: Fixture.after(5_000))
    #expect(Self.health(view, 4, 5_100) == (.loading, "3 of 16 shards copied"))
    view.handle(.answered(4, info: Fixture.replica(), validation: nil), now: Fixture.after(6_000))
    #expect(Self.health(view, 4, 6_100).0 == .up)
  }

  @Test func aProcessThatHangsIsStaleBeforeItIsDown() {
    var view = Fixture.running()
    view.handle(.failed(4, reason: "has not answered for 2000 ms", isLate: true), now: Fixture.after(5_000))
    #expect(Self.health(view, 4, 5_000) == (.stale, "no answer for 3 s"))
    #expect(Self.health(view, 4, 12_500) == (.down, "has not answered for 2000 ms"))
  }

  @Test func anAnswerThatIsOldIsStaleEvenIfNobodySaidWhy() {
    #expect(Self.health(Fixture.running(), 4, 14_000) == (.stale, "no answer for 12 s"))
  }

  @Test func anotherProcessInTheSamePlaceIsNotTheOneThatIsLookedFor() {
    let (health, reason) = Self.finding(Self.replica, Fixture.info("ps"))
    #expect(health == .down && reason == "a process of the role ps answers at 127.0.0.1:7000")
    #expect(Self.finding(Self.replica, ["redis_version": "7"]).0 == .down)
  }

  @Test func aGuardThatHoldsTrainingIsSaidWithItsReason() {
    var info = Fixture.trainer(examples: 1, phase: "held")
    info["held"] = "1"
    info["reason"] = "logloss of task like is 0.9, more than 0.7"
    #expect(Self.finding(Self.trainer, info) == (.held, "logloss of task like is 0.9, more than 0.7"))
  }

  @Test func aTrainerIsUpOnceAPartitionRuns() {
    #expect(Self.finding(Self.trainer, Fixture.trainer(examples: 1, phase: "claiming")) == (.loading, "claiming"))
    #expect(Self.finding(Self.trainer, Fixture.trainer(examples: 1, phase: "pass-1-running")).0 == .up)
    var some = Fixture.trainer(examples: 1)
    some["partition_1"] = "phase=locating,applied=0,queued=0"
    #expect(Self.finding(Self.trainer, some) == (.up, "1 of 2 partitions locating"))
    #expect(Self.finding(Self.trainer, Fixture.info("trainer")) == (.up, "no partitions assigned"))
  }

  @Test func aServerLoadsWhileItRestoresAndAReplicaIsStaleWithAnOldCopy() {
    #expect(
      Self.finding(Self.server, Fixture.info("ps", ["loading": "1", "restore_bytes_read": "12400000"]))
        == (.loading, "restores its shards, 12 MB read"))
    #expect(Self.finding(Self.replica, Fixture.replica(["age_ms": "12400"])) == (.stale, "its copy is 12 s old"))
    #expect(
      Self.finding(6, Fixture.archive.merging(["examples_0": "archived=80,open_records=20,reading=0"]) { $1 }).0
        == .stale)
  }
}

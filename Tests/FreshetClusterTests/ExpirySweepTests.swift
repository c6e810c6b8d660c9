import Testing

@testable import FreshetCluster

@Suite struct ExpirySweepTests {
  @Test func aPassBeginsOnlyWhenRowsMayHaveExpired() {
    var sweep = ExpirySweep(shards: [0], tables: [1])
    var causes: UInt64 = 0
    #expect(sweep.next { _, _ in causes } == nil)
    causes = 5
    for _ in 0..<3 {
      let turn = sweep.next { _, _ in causes }
      #expect(turn?.shard == 0 && turn?.table == 1)
    }
    sweep.complete(sweep.next { _, _ in causes }!)
    #expect(sweep.next { _, _ in causes } == nil)
    causes = 6
    #expect(sweep.next { _, _ in causes } != nil)
  }

  @Test func tablesThatAreDueTakeTurnsAndTheOthersArePassedOver() {
    var sweep = ExpirySweep(shards: [2, 5], tables: [0, 3])
    func turns(_ count: Int, _ causes: (Int, Int) -> UInt64) -> [[Int]] {
      (0..<count).map { _ in sweep.next(causes: causes).map { [$0.shard, $0.table] } ?? [] }
    }
    #expect(turns(5) { _, _ in 1 } == [[2, 0], [2, 3], [5, 0], [5, 3], [2, 0]])
    for _ in 0..<4 { sweep.complete(sweep.next { _, _ in 1 }!) }
    #expect(turns(3) { shard, table in shard == 5 && table == 0 ? 2 : 1 } == [[5, 0], [5, 0], [5, 0]])
  }

  @Test func withoutTimesToLiveThereIsNothingToDo() {
    var sweep = ExpirySweep(shards: [0, 1], tables: [])
    #expect(sweep.next { _, _ in 9 } == nil)
  }
}

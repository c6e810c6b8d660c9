import FreshetCore
import Testing

@testable import FreshetRoles

@Suite struct IdHashingTests {
  private static func fids(_ count: Int) -> Set<Fid> { Set((0..<count).map { Hashing.mix(Fid($0)) }) }

  @Test(arguments: [0.0286, 0.0773, 0.25, 0.5, 0.9])
  func theShareOfIdsThatIsLostIsTheOneAskedFor(rate: Double) {
    for (count, tolerance) in [(2_000, 0.03), (100_000, 0.005)] {
      for seed in 1...3 {
        let hashing = IdHashing(collisionRate: rate, ids: count, seed: UInt64(seed))
        #expect(abs(hashing.measuredRate(Self.fids(count)) - rate) < tolerance)
      }
    }
  }

  @Test func bucketsAreReachedAllAndNoOthersAre() {
    let hashing = IdHashing(collisionRate: 0.9, ids: 1000, seed: 4)
    // 1000 ids in some hundred buckets: nearly all are in use.
    let reached = Set(Self.fids(100_000).map { hashing($0) })
    #expect(reached.count == Int(hashing.buckets) && (95...105).contains(reached.count))
  }

  @Test func anotherSeedMakesOthersCollide() {
    let fids = Self.fids(1000)
    let (one, other) = (
      IdHashing(collisionRate: 0.5, ids: 1000, seed: 1), IdHashing(collisionRate: 0.5, ids: 1000, seed: 2)
    )
    func pairs(_ hashing: IdHashing) -> Set<[Fid]> {
      Set(Dictionary(grouping: fids) { hashing($0) }.values.filter { $0.count > 1 }.map { $0.sorted() })
    }
    #expect(pairs(one).count > 100 && pairs(one) == pairs(one))
    #expect(pairs(one).intersection(pairs(other)).count < 10)
    #expect(Set(fids.map { one($0) }).isDisjoint(with: fids.map { other($0) }))
  }
}

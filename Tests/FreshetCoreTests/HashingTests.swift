import FreshetCore
import Testing

@Suite struct HashingTests {
  /// The values come from the reference implementation through Python's `xxhash.xxh3_64_intdigest`.
  @Test func xxh3MatchesTheReferenceImplementation() {
    #expect(Hashing.xxh3("") == 0x2d06_8005_38d3_94c2)
    #expect(Hashing.fid(slot: "user_id", value: "1") == 0x3525_b7fd_f93a_c122)
  }

  @Test func mixIsABijectionOnASample() {
    var seen = Set<UInt64>()
    for value in 0..<UInt64(100_000) { seen.insert(Hashing.mix(value)) }
    #expect(seen.count == 100_000)
  }

  @Test func shardsAreEvenForSequentialFids() {
    let map = ShardMap(shardCount: 16, serverCount: 3)
    var counts = [Int](repeating: 0, count: 16)
    for fid in 0..<UInt64(160_000) { counts[Int(map.shard(of: fid).value)] += 1 }
    #expect(counts.allSatisfy { $0 > 9_500 && $0 < 10_500 })
  }

  @Test func everyShardHasExactlyOneServer() {
    let map = ShardMap(shardCount: 16, serverCount: 3)
    let all = (0..<3).flatMap { map.shards(of: ServerID($0)) }
    #expect(all.sorted() == (0..<16).map { ShardID($0) })
    for shard in all { #expect(map.shards(of: map.owner(of: shard)).contains(shard)) }
  }
}

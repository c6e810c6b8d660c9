import FreshetCore

extension ShardServer {
  /// A sum over all rows with their optimizer states that does not depend on their order: equal for servers that have learned the
  /// same, to the bit.
  /// - Complexity: O(rows × width); for benchmarks and tests.
  public var contentChecksum: UInt64 {
    var sum: UInt64 = 0
    for shard in hostedShards {
      for (position, table) in shard.tables.enumerated() {
        var cursor: Int? = 0
        while let from = cursor {
          var fids: [Fid] = []
          cursor = table.scan(from: from, limit: 4096) { fid, _ in fids.append(fid) }
          for fid in fids {
            var hash = Hashing.mix(fid ^ Hashing.mix(UInt64(position)))
            for value in table.row(fid) ?? [] { hash = Hashing.mix(hash ^ UInt64(value.bitPattern)) }
            sum &+= hash
          }
        }
      }
    }
    return sum
  }
}

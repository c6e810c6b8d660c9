import FreshetCore

/// How often each distinct fid occurs in a batch, grouped by server and shard: what the audit table is pushed.
///
/// Used again for later batches; allocates nothing once it has seen the largest one.
struct OccurrenceCounts {
  private let map: ShardMap
  private let table: Int
  private var deduplicator = FidDeduplicator()
  private var counts: [Float] = []
  /// By shard: rows before it while they are laid out, then its end.
  private var ends: [Int] = []
  private var fids: [Fid] = []
  private var gradients: [Float] = []
  /// By server.
  private(set) var sections: [[RowSection]]
  private var rows: [Range<Int>]

  /// - Parameter table: The audit's position in the cluster's list of tables.
  init(table: Int, map: ShardMap) {
    self.map = map
    self.table = table
    sections = Array(repeating: [], count: map.serverCount)
    rows = Array(repeating: 0..<0, count: map.serverCount)
  }

  mutating func count(_ occurrences: UnsafeBufferPointer<Fid>) {
    deduplicator.begin(occurrences: occurrences.count)
    counts.removeAll(keepingCapacity: true)
    for fid in occurrences {
      // A fid is one whichever slots and tables it occurs in.
      let number = Int(deduplicator.number(of: fid, table: 0))
      if number == counts.count { counts.append(0) }
      counts[number] += 1
    }
    layOut()
  }

  /// Counting sort by shard, the shards of a server one after the other.
  private mutating func layOut() {
    ends.removeAll(keepingCapacity: true)
    ends.append(contentsOf: repeatElement(0, count: map.shardCount))
    for fid in deduplicator.fids { ends[ShardMap.shardIndex(of: fid, shardCount: map.shardCount)] += 1 }
    var next = 0
    for server in 0..<map.serverCount {
      let first = next
      sections[server].removeAll(keepingCapacity: true)
      for shard in 0..<map.shardCount where map.owners[shard].value == server {
        let count = ends[shard]
        ends[shard] = next
        next += count
        if count > 0 { sections[server].append(RowSection(shard: ShardID(shard), table: table, count: count)) }
      }
      rows[server] = first..<next
    }
    if fids.count < next {
      let capacity = max(next, fids.count * 2)
      fids = [Fid](repeating: 0, count: capacity)
      gradients = [Float](repeating: 0, count: capacity)
    }
    for (number, fid) in deduplicator.fids.enumerated() {
      let shard = ShardMap.shardIndex(of: fid, shardCount: map.shardCount)
      fids[ends[shard]] = fid
      gradients[ends[shard]] = -counts[number]
      ends[shard] += 1
    }
  }

  func writeFids(_ server: ServerID, into writer: inout BinaryWriter) {
    fids.withUnsafeBufferPointer { writer.write(fids: UnsafeBufferPointer(rebasing: $0[rows[server.value]])) }
  }

  func writeGradients(_ server: ServerID, into writer: inout BinaryWriter) {
    gradients.withUnsafeBufferPointer { writer.write(floats: UnsafeBufferPointer(rebasing: $0[rows[server.value]])) }
  }
}

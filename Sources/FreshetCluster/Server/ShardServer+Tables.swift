import FreshetTable

/// One table of the cluster as far as one server has it, over all its shards.
public struct TableTotals: Sendable, Equatable {
  public var name: String
  public var rows = 0
  /// Of index, rows, admission sketches and change bits.
  public var bytes = 0
  /// Entries of the indexes in use, of those that they have room for.
  public var loadFactor = 0.0
  /// Cache lines that a search of the index for a present fid reads, over a sample of each shard.
  public var meanProbes = 0.0
  public var maximumProbes = 0
  public var statistics = TableStatistics()
}

extension ShardServer {
  /// By position in the list of tables.
  /// - Complexity: O(shards × tables); looks at a sample of each index.
  public func tableTotals() -> [TableTotals] {
    configuration.layouts.enumerated().map { number, layout in
      var totals = TableTotals(name: layout.name)
      var room = 0.0
      var probes = 0.0
      for shard in hostedShards {
        let table = shard.tables[number]
        let occupancy = table.occupancy()
        totals.rows += occupancy.rows
        totals.bytes += occupancy.bytes
        totals.statistics += table.statistics
        totals.maximumProbes = max(totals.maximumProbes, occupancy.maximumProbes)
        guard occupancy.rows > 0 else { continue }
        room += Double(occupancy.rows) / occupancy.loadFactor
        probes += Double(occupancy.rows) * occupancy.meanProbes
      }
      if totals.rows > 0 {
        totals.loadFactor = Double(totals.rows) / room
        totals.meanProbes = probes / Double(totals.rows)
      }
      return totals
    }
  }

  /// Goes on with the removal of rows whose time to live is over, in whichever table it is due: one slice, which takes some
  /// tens of microseconds.
  ///
  /// Such rows count as absent before that; this gives their memory back and lets replicas know. How often it is called does
  /// not change what is learned, unless rows of the same table also give way at a limit: until then expired ones count.
  /// - Returns: Whether there may be more to do now.
  public func sweepExpired() -> Bool {
    guard let turn = expirySweep.next(causes: { shards[$0]!.expiryCauses[$1] }) else { return false }
    if shards[turn.shard]!.tables[turn.table].sweepExpired() { expirySweep.complete(turn) }
    return true
  }

  /// One slice of a table's housekeeping (`EmbeddingTable.maintain`), in the first table that has any. Changes nothing that
  /// can be read.
  /// - Returns: Whether something is left to do. It may have to wait for the kernel.
  @discardableResult
  public func maintainTables() -> Bool {
    hostedShards.lazy.flatMap(\.tables).contains { $0.maintain() }
  }
}

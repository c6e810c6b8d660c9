/// Whose turn it is in the removal of expired rows: the tables with a time to live of all hosted shards, one after the other.
///
/// A pass over a table is due when something has happened since the last pass began by which rows may have expired
/// (`ShardState.expiryCauses`).
struct ExpirySweep {
  struct Turn: Equatable {
    let shard: Int
    let table: Int
    fileprivate let position: Int
  }

  private struct Pass {
    let shard: Int
    let table: Int
    /// What had happened to the table when the last pass began.
    var causes: UInt64 = 0
    var isUnderWay = false
  }

  private var passes: [Pass]
  private var position = 0

  /// - Parameters:
  ///   - shards: Numbers of the hosted shards.
  ///   - tables: Positions of the tables with a time to live.
  init(shards: [Int], tables: [Int]) {
    passes = shards.flatMap { shard in tables.map { Pass(shard: shard, table: $0) } }
  }

  /// The next table with something to do, nil if there is none.
  /// - Parameter causes: How often something happened to a table of a shard by which rows may have expired.
  mutating func next(causes: (_ shard: Int, _ table: Int) -> UInt64) -> Turn? {
    for _ in passes.indices {
      let current = position
      position = current + 1 == passes.count ? 0 : current + 1
      if !passes[current].isUnderWay {
        let causes = causes(passes[current].shard, passes[current].table)
        guard causes > passes[current].causes else { continue }
        passes[current].causes = causes
        passes[current].isUnderWay = true
      }
      return Turn(shard: passes[current].shard, table: passes[current].table, position: current)
    }
    return nil
  }

  /// The pass over the table of this turn has reached its end.
  mutating func complete(_ turn: Turn) { passes[turn.position].isUnderWay = false }
}

/// Which server hosts which shard, and which shard a fid belongs to.
///
/// A fid's shard is `floor(mix(fid) × shardCount / 2^64)`: it depends on the fid and the shard count alone, so servers
/// can be added without moving a row to another shard.
public struct ShardMap: Sendable, Equatable {
  public let shardCount: Int
  /// `owners[shard]` is the shard's server.
  public let owners: [ServerID]
  public let serverCount: Int

  /// Spreads the shards over the servers round robin.
  /// - Precondition: `1...65535` shards and at least one server.
  public init(shardCount: Int, serverCount: Int) {
    precondition(shardCount >= 1 && shardCount <= Int(UInt16.max) && serverCount >= 1)
    self.shardCount = shardCount
    self.serverCount = serverCount
    owners = (0..<shardCount).map { ServerID($0 % serverCount) }
  }

  @inlinable
  public static func shardIndex(of fid: Fid, shardCount: Int) -> Int {
    Int(truncatingIfNeeded: Hashing.mix(fid).multipliedFullWidth(by: UInt64(shardCount)).high)
  }

  public func shard(of fid: Fid) -> ShardID { ShardID(Self.shardIndex(of: fid, shardCount: shardCount)) }

  public func owner(of shard: ShardID) -> ServerID { owners[Int(shard.value)] }

  /// The shards of one server, ascending.
  public func shards(of server: ServerID) -> [ShardID] {
    (0..<shardCount).filter { owners[$0] == server }.map { ShardID($0) }
  }
}

/// When a server takes snapshots, and what they may cost.
public struct SnapshotSettings: Sendable, Hashable {
  /// From one round over all shards to the next, give or take a tenth, in milliseconds.
  public var intervalMs: Int
  /// Deltas after which a shard gets a new base. Earlier if they are larger than half of it together.
  public var baseEvery: Int
  /// Snapshots of a shard that stay, at least 1. Besides them the newest one that rests on another base stays, so that a
  /// damaged base is not the end of all of them.
  public var keep: Int
  /// Rows that change while they wait to be copied are copied aside; beyond this many bytes the snapshot is given up.
  public var sideBytes: Int
  /// Parts that may wait for the writer; copying pauses when as many do.
  public var partsInFlight: Int
  /// Rows of a part are chosen so that it has about this size.
  public var partBytes: Int
  /// What is copied in one call of `SnapshotKeeper.advance`, about.
  public var sliceBytes: Int
  /// Pause of a shard after a failed snapshot: `Backoff`.
  public var retryBaseMs: Int
  public var retryCapMs: Int
  /// Chooses the moments; give each server another one.
  public var seed: UInt64

  public init(
    intervalMs: Int, baseEvery: Int, keep: Int, seed: UInt64, sideBytes: Int = 256 << 20, partsInFlight: Int = 8,
    partBytes: Int = 1 << 20, sliceBytes: Int = 96 << 10, retryBaseMs: Int = 1_000, retryCapMs: Int = 60_000
  ) {
    precondition(intervalMs > 0 && baseEvery >= 0 && keep > 0 && partsInFlight > 0)
    precondition((1...SnapshotLimits.partBytes).contains(partBytes) && sliceBytes > 0 && sideBytes >= 0)
    self.intervalMs = intervalMs
    self.baseEvery = baseEvery
    self.keep = keep
    self.seed = seed
    self.sideBytes = sideBytes
    self.partsInFlight = partsInFlight
    self.partBytes = partBytes
    self.sliceBytes = sliceBytes
    self.retryBaseMs = retryBaseMs
    self.retryCapMs = retryCapMs
  }
}

/// What readers of snapshots accept: room for what writers here write, and no more memory than that for damaged files.
public enum SnapshotLimits {
  /// Of a block before compression and as stored.
  static let blockBytes = 16 << 20
  /// Of the rows of a part; one more row and the rounding stay far below `blockBytes`.
  static let partBytes = 8 << 20
  /// Of a manifest.
  static let manifestBytes = 1 << 20
  /// Files of a chain.
  static let chainFiles = 4096
}

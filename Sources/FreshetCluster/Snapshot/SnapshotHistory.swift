import FreshetCore
import FreshetTable

/// A snapshot that is in the store: its manifest and the files that it needs.
public struct StoredSnapshot: Sendable, Hashable {
  public let id: SnapshotID
  /// The base, then the deltas in order.
  public let chain: [SnapshotFile]

  public init(id: SnapshotID, chain: [SnapshotFile]) {
    self.id = id
    self.chain = chain
  }
}

/// What the store has of one shard when a server's life begins.
public struct SnapshotHistory: Sendable, Hashable {
  /// The highest number of any file; 0 if there is none.
  public var lastNumber: UInt64
  /// Oldest first. The last one is what the shard was restored from.
  public var snapshots: [StoredSnapshot]
  /// Files that no snapshot of the list needs: what was left of a crash, and snapshots that are not whole. They go when the
  /// next snapshot is durable.
  public var leftovers: [String]

  public init(lastNumber: UInt64, snapshots: [StoredSnapshot], leftovers: [String]) {
    self.lastNumber = lastNumber
    self.snapshots = snapshots
    self.leftovers = leftovers
  }

  public static let empty = SnapshotHistory(lastNumber: 0, snapshots: [], leftovers: [])
}

/// The snapshots of one shard as its keeper knows them.
struct ShardSnapshots {
  private(set) var lastNumber: UInt64
  private(set) var stored: [StoredSnapshot]
  private var leftovers: [String]
  /// The chain that the next delta goes on with, of this life; empty if the next one has to be a base. A chain never spans
  /// lives: nothing that an older process still does to its files can break the snapshots of this one.
  private(set) var chain: [SnapshotFile] = []
  /// `ShardState.changes` at the cut of the newest snapshot; nil without one.
  private(set) var savedChanges: UInt64?
  private(set) var savedAt: Instant?
  /// After a failure, the next attempt comes no earlier than this.
  private(set) var notBefore: Instant?
  private var backoff: Backoff

  init(_ history: SnapshotHistory, backoff: Backoff) {
    lastNumber = history.lastNumber
    stored = history.snapshots
    leftovers = history.leftovers
    self.backoff = backoff
    // What was restored is what the shard holds.
    savedChanges = history.snapshots.isEmpty ? nil : 0
  }

  var newest: StoredSnapshot? { stored.last }

  mutating func takeNumber() -> UInt64 {
    lastNumber += 1
    return lastNumber
  }

  /// A base is due without a chain, after enough deltas, when they have outgrown half the base, or when a table no longer knows
  /// what a delta would have to say.
  func nextKind(baseEvery: Int, tables: [EmbeddingTable]) -> SnapshotKind {
    guard !tables.contains(where: \.mustCutFully), let base = chain.first, chain.count <= baseEvery else {
      return .base
    }
    let deltaBytes = chain.dropFirst().reduce(0) { $0 + $1.sizeBytes }
    return deltaBytes > base.sizeBytes / 2 ? .base : .delta
  }

  /// - Returns: What the store may forget now, manifests before the files that they need.
  mutating func store(_ result: SnapshotResult, chain: [SnapshotFile], changes: UInt64, now: Instant, keep: Int)
    -> [String]
  {
    self.chain = chain
    savedChanges = changes
    savedAt = now
    notBefore = nil
    backoff.reset()
    stored.append(StoredSnapshot(id: result.id, chain: chain))
    let kept = Self.kept(stored, keep: keep)
    let needed = Set(kept.flatMap(\.chain).map(\.name))
    let gone = stored.filter { !kept.contains($0) }
    stored = kept
    var names = leftovers + gone.map(\.id.manifestName)
    var seen = Set(names)
    for file in gone.flatMap(\.chain) where !needed.contains(file.name) && seen.insert(file.name).inserted {
      names.append(file.name)
    }
    leftovers = []
    return names
  }

  /// The last `keep`, and the newest one on another base than theirs.
  private static func kept(_ stored: [StoredSnapshot], keep: Int) -> [StoredSnapshot] {
    let recent = stored.suffix(keep)
    let bases = Set(recent.map { $0.chain.first })
    guard bases.count < 2, let other = stored.last(where: { !bases.contains($0.chain.first) }) else {
      return Array(recent)
    }
    return [other] + recent
  }

  mutating func endPause() { notBefore = nil }

  /// The next snapshot is a base, after a pause. What may be there of the failed one goes with the next that succeeds.
  mutating func fail(now: Instant, leaving names: [String]) {
    chain = []
    leftovers += names
    notBefore = now.advanced(byMs: backoff.next())
  }
}

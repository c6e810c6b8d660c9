import FreshetCore
import FreshetModel
import FreshetTable

/// Reads the newest whole snapshot of each shard of a server from a store. Blocks: belongs on a background thread.
public struct SnapshotRestorer {
  private let store: any FileStore
  private let compressor: any BlockCompressor
  private let configuration: ShardServer.Configuration

  /// - Parameter configuration: Of the server that is to go on from what is restored.
  public init(store: any FileStore, compressor: any BlockCompressor, configuration: ShardServer.Configuration) {
    self.store = store
    self.compressor = compressor
    self.configuration = configuration
  }

  /// Restores all shards of the server. A shard of which the store has no manifest starts empty.
  ///
  /// A snapshot that is torn, damaged or lacks a file is skipped for the one before it, and reported.
  /// - Throws: `mismatch` if a whole snapshot does not fit the configuration, `noneWhole` if a shard has snapshots and all of
  ///   them had to be skipped, `store` if the store cannot list its files.
  public func restore() throws(SnapshotError) -> RestoredShards {
    let catalog = try SnapshotCatalog(store: store)
    try catalog.checkShardCount(configuration.map.shardCount)
    let restored = RestoredShards()
    for shard in configuration.map.shards(of: configuration.server) {
      let (state, history, report) = try restore(shard, catalog.entries(of: shard))
      restored.add(state, history, report)
    }
    return restored
  }

  private func restore(
    _ shard: ShardID, _ entries: SnapshotCatalog.Entries
  ) throws(SnapshotError) -> (ShardState, SnapshotHistory, ShardRestoreReport) {
    var skipped = entries.unreadable
    for (position, manifest) in entries.manifests.enumerated().reversed() {
      do throws(SnapshotError) {
        var chain = SnapshotChainReader(
          store: store, compressor: compressor, shardCount: configuration.map.shardCount, storeKey: "snapshot.store",
          emptyShard: configuration.emptyShard)
        let state = try chain.read(manifest)
        let history = SnapshotHistory(
          lastNumber: entries.lastNumber,
          snapshots: entries.manifests[...position].map { StoredSnapshot(id: $0.id, chain: $0.chain) },
          leftovers: entries.leftovers(whole: entries.manifests[...position]))
        let report = ShardRestoreReport(
          shard: shard, manifest: manifest, rows: state.tables.reduce(0) { $0 + $1.rowCount },
          bytesRead: chain.bytesRead,
          skipped: skipped, notes: chain.notes)
        return (state, history, report)
      } catch {
        if error.kind == .mismatch { throw error }
        skipped.append(SkippedSnapshot(name: manifest.id.manifestName, reason: error.message))
      }
    }
    guard skipped.isEmpty else {
      throw SnapshotError(
        .noneWhole,
        "no snapshot of shard \(shard) in \(store.description) is whole: "
          + skipped.map { "\($0.name): \($0.reason)" }.joined(separator: "; ")
          + ". Put the missing files back, or remove the directory \(SnapshotID.directory(of: shard)) to have the shard "
          + "learn from the start of the log")
    }
    let history = SnapshotHistory(
      lastNumber: entries.lastNumber, snapshots: [], leftovers: entries.leftovers(whole: []))
    let report = ShardRestoreReport(shard: shard, manifest: nil, rows: 0, bytesRead: 0, skipped: [], notes: [])
    return (configuration.emptyShard(shard), history, report)
  }
}

/// The shards of a server as a store had them, for `ShardServer.init(configuration:restored:)`.
///
/// `@unchecked Sendable`: made on one thread and handed whole to one other, which takes the shards out once and for all;
/// nobody else has a reference to them.
public final class RestoredShards: @unchecked Sendable {
  private var states: [ShardState]? = []
  public private(set) var histories: [ShardID: SnapshotHistory] = [:]
  /// By shard, ascending.
  public private(set) var reports: [ShardRestoreReport] = []

  func add(_ state: ShardState, _ history: SnapshotHistory, _ report: ShardRestoreReport) {
    states!.append(state)
    histories[state.id] = history
    reports.append(report)
  }

  func take() -> [ShardState] {
    guard let states else { preconditionFailure("restored shards belong to one server") }
    self.states = nil
    return states
  }
}

/// What became of one shard.
public struct ShardRestoreReport: Sendable, Equatable {
  public let shard: ShardID
  /// What it was restored from; nil if it starts empty.
  public let manifest: SnapshotManifest?
  public let rows: Int
  public let bytesRead: Int
  /// Snapshots that are newer and could not be used.
  public let skipped: [SkippedSnapshot]
  /// What was left out because the configuration has changed.
  public let notes: [String]
}

public struct SkippedSnapshot: Sendable, Equatable {
  /// Of the manifest.
  public let name: String
  public let reason: String
}

import FreshetCluster
import FreshetCore

/// What a parameter server held at one instant, as a snapshot in the format of docs/snapshot-format.md, in memory.
struct ServerSnapshot {
  private let store = MemoryFiles()

  /// - Parameter configuration: The server's, with `isSnapshotted`.
  init(of server: ShardServer, _ configuration: ShardServer.Configuration) throws {
    let shards = configuration.map.shards(of: configuration.server)
    var keeper = SnapshotKeeper(
      settings: SnapshotSettings(intervalMs: 3_600_000, baseEvery: 0, keep: 1, seed: 1), life: 1,
      histories: Dictionary(uniqueKeysWithValues: shards.map { ($0, SnapshotHistory.empty) }))
    let writer = SnapshotFileWriter(store: store, compressor: NoCompressor())
    let now = Instant.now()
    var queue = keeper.handle(.requested(id: 1), shards: server, now: now, time: .now())
    var isTaken = false
    while !isTaken {
      if queue.isEmpty {
        guard keeper.hasWork else { throw SnapshotError(.store, "the snapshot did not end") }
        queue = keeper.advance(shards: server, now: now)
        continue
      }
      switch queue.removeFirst() {
      case .reply(_, .taken): isTaken = true
      case .reply(_, .failed(let reason)): throw SnapshotError(.store, reason)
      case .notice, .stopped: break
      case let action:
        if let event = writer.perform(action) {
          queue += keeper.handle(event, shards: server, now: now, time: .now())
        }
      }
    }
  }

  /// Another life of the server, which goes on from here.
  func restored(_ configuration: ShardServer.Configuration) throws -> ShardServer {
    ShardServer(
      configuration: configuration,
      restored: try SnapshotRestorer(store: store, compressor: NoCompressor(), configuration: configuration).restore())
  }
}

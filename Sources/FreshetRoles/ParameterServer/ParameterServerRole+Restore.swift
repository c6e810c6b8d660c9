import FreshetCluster
import FreshetCore
import FreshetStore
import NIOCore

extension ParameterServerRole {
  /// What the server's shards are in this life.
  func machine(isSnapshotted: Bool) -> ShardServer.Configuration {
    let settings = configuration.parameterServer
    return ShardServer.Configuration(
      map: configuration.cluster.map, server: server, layouts: tables.layouts,
      generation: UInt64.random(in: 1 ... .max), deltaLogBytes: settings.deltaLogBytes,
      maximumRows: settings.maximumRowsPerRequest, syncFormats: tables.syncFormats(settings.syncWeights),
      isSnapshotted: isSnapshotted)
  }

  /// An endpoint whose shards are empty, or with a store, one that waits for `restore`.
  func makeEndpoint(_ machine: ShardServer.Configuration, _ store: (any FileStore)?) -> ParameterServerEndpoint {
    let settings = configuration.parameterServer
    let phase: ParameterServerEndpoint.Phase =
      if let store {
        .loading(Restoration(storeName: store.description))
      } else {
        .open(ShardServer(configuration: machine), nil)
      }
    return ParameterServerEndpoint(
      phase: phase,
      sync: SyncDesk.Settings(
        intervalMs: settings.syncIntervalMs, denseIntervalMs: settings.denseIntervalMs,
        bytesPerSecond: settings.syncBytesPerSecond),
      servers: configuration.cluster.servers, taskCount: configuration.model.tasks.count,
      slotTables: tables.slotTableCount)
  }

  /// Reads the shards from the store, in the background, and opens the endpoint. A failure ends the role.
  func restore(
    _ machine: ShardServer.Configuration, from store: any FileStore,
    into endpoint: NIOLoopBound<ParameterServerEndpoint>, on loop: any EventLoop, _ outcome: RoleOutcome
  ) {
    logger.info("restoring", metadata: ["store": "\(store.description)"])
    loop.execute {
      guard case .loading(let restoration) = endpoint.value.phase else { return }
      restoration.start(store: store, compressor: ZstdCompressor.forSnapshots, configuration: machine) { result in
        guard !outcome.isEnded else { return }
        loop.execute {
          do {
            open(endpoint.value, try result.get(), machine, store, restoration, loop)
            logReady(endpoint.value.listener?.port)
          } catch {
            outcome.fail(error)
          }
        }
      }
    }
  }

  private func open(
    _ endpoint: ParameterServerEndpoint, _ restored: RestoredShards, _ machine: ShardServer.Configuration,
    _ store: any FileStore, _ restoration: Restoration, _ loop: any EventLoop
  ) {
    let summary = RestoreSummary(restored.reports, elapsedMs: restoration.elapsedMs)
    summary.log(to: logger, store: store.description)
    let section = configuration.snapshot
    let keeper = SnapshotKeeper(
      settings: SnapshotSettings(
        intervalMs: section.intervalMs, baseEvery: section.baseEvery, keep: section.keep, seed: machine.generation),
      life: machine.generation, histories: restored.histories)
    let shards = ShardServer(configuration: machine, restored: restored)
    let desk = SnapshotDesk(
      shards: shards, access: { $0() }, keeper: keeper, store: store, compressor: ZstdCompressor.forSnapshots,
      loop: loop, logger: logger)
    endpoint.open(shards, desk, restored: summary)
  }

  func logReady(_ port: Int?) {
    logger.info(
      "ready",
      metadata: [
        "server": "\(server)", "listen": "\(configuration.parameterServer.host):\(port ?? 0)",
        "shards": "\(configuration.cluster.map.shards(of: server).count)",
      ])
  }
}

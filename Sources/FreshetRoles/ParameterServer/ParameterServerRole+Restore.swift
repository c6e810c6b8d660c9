import FreshetCluster
import FreshetCore
import FreshetStore
import NIOCore

extension ParameterServerRole {
  /// On the loop: an endpoint whose shards are empty, or that waits for them to be restored.
  func makeEndpoint(_ store: (any FileStore)?, _ loop: any EventLoop, _ outcome: RoleOutcome) -> ParameterServerEndpoint
  {
    let settings = configuration.parameterServer
    let machine = ShardServer.Configuration(
      map: configuration.cluster.map, server: server, layouts: tables.layouts,
      generation: UInt64.random(in: 1 ... .max), deltaLogBytes: settings.deltaLogBytes,
      maximumRows: settings.maximumRowsPerRequest, isSnapshotted: store != nil)
    let servers = configuration.cluster.servers
    let taskCount = configuration.model.tasks.count
    guard let store else {
      return ParameterServerEndpoint(
        phase: .open(ShardServer(configuration: machine), nil), servers: servers, taskCount: taskCount)
    }
    logger.info("restoring", metadata: ["store": "\(store.description)"])
    let restoration = Restoration(storeName: store.description)
    let endpoint = ParameterServerEndpoint(phase: .loading(restoration), servers: servers, taskCount: taskCount)
    let bound = NIOLoopBound(endpoint, eventLoop: loop)
    let compressor = ZstdCompressor(level: 1)
    restoration.start(store: store, compressor: compressor, configuration: machine) { [self] result in
      guard !outcome.isEnded else { return }
      loop.execute {
        do {
          open(bound.value, try result.get(), machine, store, restoration, loop)
          logReady(bound.value.listener?.port)
        } catch {
          outcome.fail(error)
        }
      }
    }
    return endpoint
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
      shards: shards, keeper: keeper, store: store, compressor: ZstdCompressor(level: 1), loop: loop, logger: logger)
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

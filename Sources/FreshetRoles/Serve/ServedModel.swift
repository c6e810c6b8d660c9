import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetNet
import FreshetStore
import FreshetWire
import Logging
import NIOCore
import NIOPosix

/// One model as a replica serves it: the copy of its rows, its items, and what keeps them up to date, on a thread of their own.
///
/// A replica has one, and a second one while that is promoted.
final class ServedModel: Sendable {
  /// What saving the copy may take at the end.
  private static let lastStateMs = 5_000

  /// The replica's own settings with this model in them.
  let configuration: FreshetConfiguration
  let readers: ReplicaReaders
  let catalog: ServingCatalog
  let freshness: FreshnessRecord
  let progress: CopyProgress
  let state: ReplicaStateStatus?
  let items: any ItemFeed
  private let copy: NIOLoopBound<ReplicaLoop>
  private let loop: any EventLoop
  private let group: MultiThreadedEventLoopGroup

  private init(
    configuration: FreshetConfiguration, readers: ReplicaReaders, catalog: ServingCatalog, freshness: FreshnessRecord,
    progress: CopyProgress, state: ReplicaStateStatus?, items: any ItemFeed, copy: NIOLoopBound<ReplicaLoop>,
    loop: any EventLoop, group: MultiThreadedEventLoopGroup
  ) {
    self.configuration = configuration
    self.readers = readers
    self.catalog = catalog
    self.freshness = freshness
    self.progress = progress
    self.state = state
    self.items = items
    self.copy = copy
    self.loop = loop
    self.group = group
  }

  var model: ModelSpec { configuration.model }

  /// Reads what is saved of the copy, if anything is; follows nothing yet.
  /// - Parameters:
  ///   - directory: Where the copy is saved; nil if it is not.
  ///   - items: Not started.
  static func open(
    _ configuration: FreshetConfiguration, directory: StateDirectory?, items: any ItemFeed, logger: Logger
  ) async throws -> ServedModel {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      let loop = group.next()
      let (freshness, progress) = (FreshnessRecord(), CopyProgress())
      let catalog = ServingCatalog(extractor: try FeatureExtractor(configuration.model))
      let (copy, readers, state) = try await loop.submit {
        try makeCopy(configuration, directory, catalog, freshness, progress, loop, logger)
      }.get()
      return ServedModel(
        configuration: configuration, readers: readers, catalog: catalog, freshness: freshness, progress: progress,
        state: state, items: items, copy: copy, loop: loop, group: group)
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
  }

  /// Called on the loop.
  private static func makeCopy(
    _ configuration: FreshetConfiguration, _ directory: StateDirectory?, _ catalog: ServingCatalog,
    _ freshness: FreshnessRecord, _ progress: CopyProgress, _ loop: any EventLoop, _ logger: Logger
  ) throws -> (copy: NIOLoopBound<ReplicaLoop>, readers: ReplicaReaders, state: ReplicaStateStatus?) {
    let tables = try ModelTables(configuration.model)
    let state = try directory.map { directory in
      try ReplicaStateDesk(
        directory: directory, intervalMs: configuration.serving.stateIntervalMs, tables: tables,
        shardCount: configuration.cluster.shards, settings: configuration.serving, logger: logger)
    }
    let replica = Replica(
      tables: tables, map: configuration.cluster.map, weightFormat: configuration.serving.weights,
      compressor: ZstdCompressor(level: 1), seed: UInt64.random(in: 0 ... .max), isSaved: state != nil,
      restored: state?.takeRestored())
    state?.start(replica, on: loop)
    let copy = ReplicaLoop(
      replica: replica, state: state, catalog: catalog, freshness: freshness, progress: progress,
      cluster: configuration.cluster, loop: loop, logger: logger)
    return (NIOLoopBound(copy, eventLoop: loop), replica.readers, state?.status)
  }

  /// Follows the parameter servers and the items.
  func start() async throws {
    try await loop.submit { [copy] in copy.value.start() }.get()
    items.start { [copy, loop] batch, applied in
      loop.execute {
        copy.value.apply(batch)
        applied()
      }
    }
  }

  /// Follows nothing any more, and saves the copy where copies are saved. Readers may go on reading; `close` follows.
  func stop() async {
    await items.stop()
    let saved = loop.makePromise(of: Void.self)
    loop.execute { [copy] in
      copy.value.stop()
      copy.value.saveState(withinMs: Self.lastStateMs) { saved.succeed() }
    }
    try? await saved.futureResult.get()
  }

  /// After `stop`: nothing is asked of the copy's thread any more.
  func close() async throws { try await group.shutdownGracefully() }

  /// The reply comes on the responder's loop.
  func answerChecksum(_ responder: RESPResponder) {
    loop.execute { [copy] in copy.value.answerChecksum(responder) }
  }

  /// For one thread.
  func makeEngine(limits: ServingLimits) throws -> ServingEngine {
    try ServingEngine(model: model, reader: readers.makeReader(), catalog: catalog, limits: limits)
  }
}

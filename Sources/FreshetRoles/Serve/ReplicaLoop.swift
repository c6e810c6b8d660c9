import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetNet
import Logging
import NIOCore
import Synchronization

/// The one thread that changes what the serving threads read: it follows the parameter servers and the `items` topic, and
/// answers no requests. Belongs to its event loop.
final class ReplicaLoop {
  private let replica: Replica
  private let catalog: ServingCatalog
  private let freshness: FreshnessRecord
  private let progress: CopyProgress
  private let feed: ReplicaFeed
  private let checksums: ChecksumDesk
  private let state: ReplicaStateDesk?
  private let logger: Logger
  private var catalogWasCaughtUp = false

  /// Called on the loop.
  init(
    replica: Replica, state: ReplicaStateDesk?, catalog: ServingCatalog, freshness: FreshnessRecord,
    progress: CopyProgress, cluster: ClusterSettings, loop: any EventLoop, logger: Logger
  ) {
    self.replica = replica
    self.state = state
    checksums = ChecksumDesk(source: replica, shards: (0..<replica.shardCount).map { ShardID($0) }, loop: loop)
    self.catalog = catalog
    self.freshness = freshness
    self.progress = progress
    self.logger = logger
    feed = ReplicaFeed(
      replica: replica, cluster: cluster, loop: loop, logger: logger, onFresh: { freshness.note($0) },
      onTrouble: { progress.note(trouble: $0) })
  }

  func start() {
    ThreadSchedule.giveWay()
    feed.start()
  }

  func stop() { feed.stop() }

  /// Saves what has changed, if copies are saved.
  /// - Parameter completion: Called on the loop when that is done or the time is over.
  func saveState(withinMs: Int, _ completion: @escaping () -> Void) {
    guard let state else { return completion() }
    state.stop(withinMs: withinMs, completion)
  }

  /// The reply comes on the responder's loop.
  func answerChecksum(_ responder: RESPResponder) {
    checksums.request(formats: replica.tables.layouts.map { _ in [] }, responder)
  }

  func apply(_ batch: ItemBatch) {
    for notice in catalog.apply(batch, to: replica) { logger.warning("\(notice)") }
    if !catalogWasCaughtUp, catalog.isCaughtUp {
      catalogWasCaughtUp = true
      progress.noteItems()
      logger.info("item catalog read", metadata: ["items": "\(catalog.items.count)"])
    }
  }
}

/// How old actions were when scores came to reflect them. One thread notes, any reads.
final class FreshnessRecord: Sendable {
  private let ages = Mutex(RecentHistogram.freshness())

  /// The scores now reflect a batch of examples. All count as its oldest one: the figure is never better than the truth.
  func note(_ receipt: BatchReceipt) {
    let age = UnixTime.now().milliseconds - receipt.oldestIngest.milliseconds
    let now = Instant.now()
    ages.withLock { $0.record(age, count: receipt.exampleCount, now: now) }
  }

  var histogram: RecentHistogram { ages.withLock { $0 } }
}

/// What a promotion must know of a copy beside its status. One thread notes, any reads.
final class CopyProgress: Sendable {
  private struct Value {
    var hasItems = false
    var trouble: String?
  }

  private let value = Mutex(Value())

  func noteItems() { value.withLock { $0.hasItems = true } }
  func note(trouble: String) { value.withLock { $0.trouble = trouble } }

  /// Whether the items have been read to the end once.
  var hasItems: Bool { value.withLock { $0.hasItems } }
  /// The last one, whether it is over or not.
  var trouble: String? { value.withLock { $0.trouble } }
}

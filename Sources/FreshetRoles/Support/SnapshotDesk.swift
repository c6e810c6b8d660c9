import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import Logging
import NIOCore

/// Keeps the snapshots of a process's shards going beside its requests. Lives on the event loop that owns the shards.
///
/// Rows are copied one slice (about 0.1 ms) in each turn of the loop: between two slices every request that has come is
/// answered. Everything that blocks happens on the writer's thread.
final class SnapshotDesk {
  static let tickMs: Int64 = 50

  let storeName: String
  private let shards: any SnapshotSource
  /// Wraps whatever reads the shards.
  private let access: (() -> Void) -> Void
  private let loop: any EventLoop
  private let logger: Logger
  private(set) var keeper: SnapshotKeeper
  private var writer: SnapshotWriterThread!
  private let writerEnded: EventLoopPromise<Void>
  private var ticking: RepeatedTask?
  private var isSliceDue = false
  private var asking: [UInt64: RESPResponder] = [:]
  private var lastRequest: UInt64 = 0
  private var notices = NoticeLimiter()
  private var onStopped: (() -> Void)?

  /// - Parameter access: Calls what it is given, at once, while nobody else reads the shards' rows.
  init(
    shards: any SnapshotSource, access: @escaping (() -> Void) -> Void, keeper: SnapshotKeeper, store: any FileStore,
    compressor: any BlockCompressor,
    loop: any EventLoop, logger: Logger
  ) {
    storeName = store.description
    self.shards = shards
    self.access = access
    self.keeper = keeper
    self.loop = loop
    self.logger = logger
    let ended = loop.makePromise(of: Void.self)
    writerEnded = ended
    let bound = NIOLoopBound(self, eventLoop: loop)
    writer = SnapshotWriterThread(store: store, compressor: compressor) { event in
      loop.execute { bound.value.handle(event) }
    } onEnd: {
      ended.succeed()
    }
    ticking = loop.scheduleRepeatedTask(
      initialDelay: .milliseconds(Self.tickMs), delay: .milliseconds(Self.tickMs)
    ) { _ in
      bound.value.handle(.tick)
    }
  }

  /// Answers when all shards have a snapshot of this instant or a later one.
  func request(_ responder: RESPResponder) {
    lastRequest += 1
    asking[lastRequest] = responder
    handle(.requested(id: lastRequest))
  }

  /// Saves what has changed.
  /// - Parameter completion: Called on the loop when that is done or the time is over.
  func stop(withinMs: Int, _ completion: @escaping () -> Void) {
    onStopped = completion
    handle(.stopping(withinMs: withinMs))
  }

  /// After `stop`. The future's value comes when the writer has taken back what is unfinished; a store that does not answer
  /// may keep it.
  func end() -> EventLoopFuture<Void> {
    ticking?.cancel()
    writer.end()
    return writerEnded.futureResult
  }

  private func handle(_ event: SnapshotEvent) {
    var actions: [SnapshotAction] = []
    access { actions = keeper.handle(event, shards: shards, now: .now(), time: .now()) }
    perform(actions)
    scheduleSlice()
  }

  private func scheduleSlice() {
    guard !isSliceDue, keeper.hasWork else { return }
    isSliceDue = true
    loop.assumeIsolated().execute { [self] in
      isSliceDue = false
      var actions: [SnapshotAction] = []
      access { actions = keeper.advance(shards: shards, now: .now()) }
      perform(actions)
      scheduleSlice()
    }
  }

  private func perform(_ actions: [SnapshotAction]) {
    for action in actions {
      switch action {
      case .begin, .part, .abandon, .remove: writer.perform(action)
      case .reply(let id, let reply): answer(id, reply)
      case .notice(let text):
        if let suppressed = notices.admit(text, topic: "", now: .now()) {
          logger.warning("\(text)", metadata: suppressed > 0 ? ["repeated": "\(suppressed)"] : [:])
        }
      case .stopped:
        onStopped?()
        onStopped = nil
      }
    }
  }

  private func answer(_ id: UInt64, _ reply: SnapshotReply) {
    guard let responder = asking.removeValue(forKey: id) else { return }
    switch reply {
    case .failed(let reason): responder.fail(WireError(.err, reason))
    case .taken(let snapshots):
      responder.reply { encoder in
        encoder.writeArrayHeader(count: snapshots.count)
        for snapshot in snapshots {
          encoder.writeArrayHeader(count: 3)
          encoder.writeInteger(Int64(snapshot.shard.value))
          encoder.writeInteger(Int64(clamping: snapshot.number))
          encoder.writeInteger(Int64(snapshot.bytes))
        }
      }
    }
  }
}

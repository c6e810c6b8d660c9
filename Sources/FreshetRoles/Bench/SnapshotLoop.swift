import Foundation
import FreshetCluster
import FreshetCore
import FreshetStore
import Synchronization

/// What an event loop does for a server's snapshots, without the event loop: takes turns with pushes on their thread.
final class SnapshotLoop {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private(set) var keeper: SnapshotKeeper
  private(set) var peakSideBytes = 0
  private let shards: ShardServer
  private let writer: SnapshotWriterThread
  private let arrived: Inbox
  private var lastRequest: UInt64 = 0
  private var repliedTo: UInt64 = 0
  private var failure: String?

  /// What the writer's thread has to say.
  private final class Inbox: Sendable {
    let events = Mutex<[SnapshotEvent]>([])
    let ended = DispatchSemaphore(value: 0)
  }

  init(_ server: PushedServer, directory: String, baseEvery: Int) throws(FileStoreError) {
    shards = server.shards
    let store = try DirectoryStore(writing: directory)
    keeper = SnapshotKeeper(
      settings: Self.settings(baseEvery: baseEvery), life: 1, histories: Self.noHistories(server))
    let inbox = Inbox()
    arrived = inbox
    writer = SnapshotWriterThread(store: store, compressor: ZstdCompressor.forSnapshots) { event in
      inbox.events.withLock { $0.append(event) }
    } onEnd: {
      inbox.ended.signal()
    }
  }

  /// Nothing happens but on request.
  static func settings(baseEvery: Int) -> SnapshotSettings {
    SnapshotSettings(intervalMs: 3_600_000, baseEvery: baseEvery, keep: 1, seed: 1)
  }

  static func noHistories(_ server: PushedServer) -> [ShardID: SnapshotHistory] {
    let hosted = server.configuration.map.shards(of: server.configuration.server)
    return Dictionary(uniqueKeysWithValues: hosted.map { ($0, SnapshotHistory.empty) })
  }

  /// Takes a snapshot of all shards as they are.
  /// - Returns: The seconds until all of it was durable.
  func takeSnapshot() -> Double {
    let began = Instant.now()
    request()
    while repliedTo < lastRequest, failure == nil { turn(isEndless: false) }
    return Instant.now().milliseconds(since: began) / 1e3
  }

  /// One slice, or what has come from the writer.
  /// - Parameter isEndless: Whether the next snapshot begins when one is complete.
  func turn(isEndless: Bool) {
    let events = arrived.events.withLock { events in
      defer { events.removeAll(keepingCapacity: true) }
      return events
    }
    for event in events { perform(keeper.handle(event, shards: shards, now: .now(), time: .now())) }
    if isEndless, repliedTo == lastRequest { request() }
    peakSideBytes = max(peakSideBytes, keeper.sideBytes(shards: shards))
    if keeper.hasWork {
      perform(keeper.advance(shards: shards, now: .now()))
    } else if !isEndless {
      usleep(50)
    }
  }

  /// Ends the writer's thread.
  /// - Returns: What has become of the snapshots.
  func end() throws(Failure) -> SnapshotStatistics {
    writer.end()
    arrived.ended.wait()
    if let failure { throw Failure(description: failure) }
    return keeper.statistics
  }

  private func request() {
    lastRequest += 1
    perform(keeper.handle(.requested(id: lastRequest), shards: shards, now: .now(), time: .now()))
  }

  private func perform(_ actions: [SnapshotAction]) {
    for action in actions {
      switch action {
      case .begin, .part, .abandon, .remove: writer.perform(action)
      case .reply(let id, .taken): repliedTo = max(repliedTo, id)
      case .reply(let id, .failed(let reason)):
        repliedTo = max(repliedTo, id)
        failure = reason
      case .notice, .stopped: break
      }
    }
  }
}

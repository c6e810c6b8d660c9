import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetStore
import FreshetWire
import NIOCore

/// Turns requests into calls of the `ShardServer` and its answers into replies. Lives on the server's one event loop.
final class ParameterServerEndpoint {
  enum Phase {
    /// Only INFO is answered, and what every port has; the rest is `LOADING`.
    case loading(Restoration)
    case open(ShardServer, SnapshotDesk?)
  }

  /// A replica that has everything waits for the next seal, at most this long.
  private static let syncWaitMs = 1_000
  /// More are refused with `BUSY`.
  static let maximumWaiting = 1_024
  /// How long requests may wait behind the removal of expired rows, give or take one slice.
  private static let sweepBudgetMs = 1

  private struct Waiting {
    let request: SyncRequest
    let responder: RESPResponder
    let deadline: Instant
  }

  private(set) var phase: Phase
  /// Where each server is, for those who ask the wrong one.
  private let servers: [ServerAddress]
  let taskCount: Int
  let startedAt = Instant.now()
  private let compressor = ZstdCompressor(level: 1)
  private var waiting: [Waiting] = []
  private(set) var refusedWaits: UInt64 = 0
  private(set) var earlySeals: UInt64 = 0
  private(set) var restored: RestoreSummary?
  /// Nothing is learned any more.
  private(set) var isStopping = false
  /// Nobody waits for news any more.
  private var isClosing = false
  var listener: RESPServer?

  /// - Parameters:
  ///   - servers: Of the cluster.
  ///   - taskCount: Of the model.
  init(phase: Phase, servers: [ServerAddress], taskCount: Int) {
    self.phase = phase
    self.servers = servers
    self.taskCount = taskCount
  }

  var waitingCount: Int { waiting.count }

  /// Begins to serve what was restored.
  func open(_ shards: ShardServer, _ desk: SnapshotDesk, restored: RestoreSummary) {
    self.restored = restored
    phase = .open(shards, desk)
  }

  // MARK: - Requests

  func handle(_ request: RESPRequest, _ responder: RESPResponder) {
    do {
      try handle(ParameterServerCommand(request), responder)
    } catch let error as WireError {
      responder.fail(error)
    } catch let error as ClusterError {
      responder.fail(WireError(error, servers: servers))
    } catch let error as MalformedBlob {
      responder.fail(WireError(ClusterError(error), servers: servers))
    } catch {
      responder.fail(WireError(.err, "\(error)"))
    }
  }

  private func handle(_ command: ParameterServerCommand, _ responder: RESPResponder) throws {
    if case .info(let section) = command { return responder.reply(.bulk(info.text(section: section))) }
    switch phase {
    case .loading(let restoration):
      let progress = "\(restoration.readBytes >> 20) MiB of \(restoration.storeName) are read"
      responder.fail(WireError(.loading, "the shards are being restored, \(progress); try again in a moment"))
    case .open(let shards, let desk): try handle(command, shards, desk, responder)
    }
  }

  private func handle(
    _ command: ParameterServerCommand, _ shards: ShardServer, _ desk: SnapshotDesk?, _ responder: RESPResponder
  ) throws {
    switch command {
    case .push where isStopping, .claim where isStopping:
      responder.fail(WireError(.busy, "the server is stopping; it takes this when it is back"))
    case .pull(let blob):
      let rows = try blob.withUnsafeReadableBytes { try shards.pull($0) }
      responder.reply { $0.writeBulk(UnsafeRawBufferPointer(rows)) }
    case .push(let partition, let epoch, let from, let to, let blob):
      let outcome = try blob.withUnsafeReadableBytes {
        try shards.push($0, partition: partition, epoch: epoch, from: from, to: to)
      }
      responder.reply { $0.writeSimpleString(outcome == .applied ? "OK" : "DUPLICATE") }
    case .claim(let partition):
      guard (0..<ShardServer.maximumPartitions).contains(partition.value) else {
        throw ClusterError(.mismatch, "partition \(partition) is not in 0 ..< \(ShardServer.maximumPartitions)")
      }
      let reply = shards.claim(partition)
      responder.reply { encoder in
        encoder.writeArrayHeader(count: reply.integers.count)
        for integer in reply.integers { encoder.writeInteger(integer) }
      }
    case .sync(let blob):
      let request = try blob.withUnsafeReadableBytes { try SyncRequest(decoding: $0) }
      if try answer(request, shards, responder) { return }
      if isClosing { return responder.reply { $0.writeArrayHeader(count: 0) } }
      wait(request, responder)
    case .row(let table, let fid):
      let row = try shards.row(table: table, fid: fid)
      responder.reply { $0.write(row: row) }
    case .metrics:
      let report = shards.validation(taskCount: taskCount).encode()
      responder.reply { encoder in report.withUnsafeBytes { encoder.writeBulk($0) } }
    case .snapshot:
      guard let desk else {
        throw WireError(.err, "this server has no snapshot.store")
      }
      desk.request(responder)
    case .info: preconditionFailure("INFO is answered in every phase")
    }
  }

  // MARK: - Sync

  private func wait(_ request: SyncRequest, _ responder: RESPResponder) {
    guard waiting.count < Self.maximumWaiting else {
      refusedWaits += 1
      return responder.fail(WireError(.busy, "\(waiting.count) replicas wait for news, which is the limit"))
    }
    waiting.append(
      Waiting(request: request, responder: responder, deadline: Instant.now().advanced(byMs: Self.syncWaitMs)))
  }

  /// Closes the interval and wakes the replicas that wait for it.
  func seal() {
    guard case .open(let shards, _) = phase else { return }
    let hasNews = shards.sealDeltas(compressor: compressor)
    let now = Instant.now()
    var still: [Waiting] = []
    for replica in waiting where replica.responder.isConnected {
      do {
        if hasNews, try answer(replica.request, shards, replica.responder) { continue }
      } catch {
        replica.responder.fail(WireError(error, servers: servers))
        continue
      }
      if isClosing || now >= replica.deadline {
        replica.responder.reply { $0.writeArrayHeader(count: 0) }
      } else {
        still.append(replica)
      }
    }
    waiting = still
  }

  /// - Returns: Whether there was anything to answer with.
  private func answer(
    _ request: SyncRequest, _ shards: ShardServer, _ responder: RESPResponder
  ) throws(ClusterError) -> Bool {
    let frames = try shards.sync(request, compressor: compressor)
    guard !frames.isEmpty else { return false }
    responder.reply { encoder in
      encoder.writeArrayHeader(count: frames.count)
      for frame in frames { frame.withUnsafeBytes { encoder.writeBulk($0) } }
    }
    return true
  }

  // MARK: - Housekeeping

  /// Removes expired rows for as long as the budget allows, and does a slice of the tables' housekeeping.
  func keepHouse() {
    guard case .open(let shards, _) = phase else { return }
    let end = Instant.now().advanced(byMs: Self.sweepBudgetMs)
    while shards.sweepExpired(), Instant.now() < end {}
    shards.maintainTables()
    if shards.mustSeal {
      earlySeals += 1
      seal()
    }
  }

  // MARK: - The end

  /// Learns nothing more and saves what was learned.
  /// - Parameter completion: Called when that is done or the time is over.
  func stop(withinMs: Int, _ completion: @escaping () -> Void) {
    isStopping = true
    guard case .open(_, let desk?) = phase else { return completion() }
    desk.stop(withinMs: withinMs, completion)
  }

  /// Hands replicas what they have not got yet; nobody waits from now on.
  /// - Returns: When the store has been let go of; nil without one.
  func close() -> EventLoopFuture<Void>? {
    isClosing = true
    seal()
    guard case .open(_, let desk?) = phase else { return nil }
    return desk.end()
  }
}

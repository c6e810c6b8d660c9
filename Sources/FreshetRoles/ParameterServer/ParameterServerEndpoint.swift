import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetStore
import FreshetTable
import FreshetWire
import NIOCore

/// Turns requests into calls of the `ShardServer` and its answers into replies. Lives on the server's one event loop.
final class ParameterServerEndpoint {
  enum Phase {
    /// Only INFO is answered, and what every port has; the rest is `LOADING`.
    case loading(Restoration)
    case open(ShardServer, SnapshotDesk?)
  }

  /// How long requests may wait behind the removal of expired rows, give or take one slice.
  private static let sweepBudgetMs = 1

  private(set) var phase: Phase
  /// Where each server is, for those who ask the wrong one.
  private let servers: [ServerAddress]
  let taskCount: Int
  let startedAt = Instant.now()
  private let compressor = ZstdCompressor(level: 1)
  private(set) var sync: SyncDesk
  private var checksums: ChecksumDesk?
  private let slotTables: Int
  /// By the desk's number, where the answers to replicas that wait go.
  private var asking: [UInt64: RESPResponder] = [:]
  private var lastRequest: UInt64 = 0
  private(set) var restored: RestoreSummary?
  /// Nothing is learned any more.
  private(set) var isStopping = false
  var listener: RESPServer?
  /// From the arrival of requests to their replies.
  private(set) var pulls = RecentHistogram.latencies()
  private(set) var pushes = RecentHistogram.latencies()

  /// - Parameters:
  ///   - servers: Of the cluster.
  ///   - taskCount: Of the model.
  ///   - slotTables: Of the model, those that slots live in; they come first.
  init(phase: Phase, sync: SyncDesk.Settings, servers: [ServerAddress], taskCount: Int, slotTables: Int) {
    self.slotTables = slotTables
    self.phase = phase
    self.sync = SyncDesk(settings: sync)
    self.servers = servers
    self.taskCount = taskCount
  }

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
      let receivedAt = responder.receivedAt
      let rows = try blob.withUnsafeReadableBytes { try shards.pull($0) }
      responder.reply { $0.writeBulk(UnsafeRawBufferPointer(rows)) }
      pulls.record(since: receivedAt)
    case .push(let partition, let epoch, let from, let to, let blob):
      let receivedAt = responder.receivedAt
      let outcome = try blob.withUnsafeReadableBytes {
        try shards.push($0, partition: partition, epoch: epoch, from: from, to: to)
      }
      responder.reply { $0.writeSimpleString(outcome == .applied ? "OK" : "DUPLICATE") }
      pushes.record(since: receivedAt)
      tell(.pushed, shards)
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
      lastRequest += 1
      asking[lastRequest] = responder
      tell(.asked(id: lastRequest, request), shards)
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
    case .checksum(let format):
      guard let weights = WeightFormat(rawValue: format ?? WeightFormat.float32.rawValue) else {
        throw WireError(.err, "unknown format; expected: fp32, fp16 or bf16")
      }
      // Requests come on the loop that owns the shards.
      let desk =
        checksums ?? ChecksumDesk(source: shards, shards: shards.hostedShardIDs, loop: responder.eventLoop)
      checksums = desk
      desk.request(
        formats: shards.checksumFormats(replicaWeights: weights, slotTables: slotTables), responder)
    case .info: preconditionFailure("INFO is answered in every phase")
    }
  }

  // MARK: - Sync

  /// Time has passed.
  func tickSync() {
    guard case .open(let shards, _) = phase else { return }
    for id in sync.waitingIDs where !asking[id]!.isConnected {
      asking[id] = nil
      tell(.gone(id: id), shards)
    }
    tell(.tick, shards)
  }

  private func tell(_ event: SyncEvent, _ shards: ShardServer) {
    for action in sync.handle(event, shards: shards, compressor: compressor, now: Instant.now()) {
      switch action {
      case .answer(let id, let frames):
        asking.removeValue(forKey: id)?.reply { encoder in
          encoder.writeArrayHeader(count: frames.count)
          for frame in frames { frame.withUnsafeBytes { encoder.writeBulk($0) } }
        }
      case .refuse(let id, let error): asking.removeValue(forKey: id)?.fail(WireError(error, servers: servers))
      case .busy(let id, let reason): asking.removeValue(forKey: id)?.fail(WireError(.busy, reason))
      }
    }
  }

  // MARK: - Housekeeping

  /// Removes expired rows for as long as the budget allows, and does a slice of the tables' housekeeping.
  func keepHouse() {
    guard case .open(let shards, _) = phase else { return }
    let end = Instant.now().advanced(byMs: Self.sweepBudgetMs)
    while shards.sweepExpired(), Instant.now() < end {}
    shards.maintainTables()
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
    guard case .open(let shards, let desk) = phase else { return nil }
    tell(.closing, shards)
    return desk?.end()
  }
}

import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetStore
import FreshetWire
import NIOCore

/// Turns requests into calls of the `ShardServer` and its answers into replies. Lives on the server's one event loop.
final class ParameterServerEndpoint {
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

  private let shards: ShardServer
  /// Where each server is, for those who ask the wrong one.
  private let servers: [ServerAddress]
  private let taskCount: Int
  private let compressor = ZstdCompressor(level: 1)
  private let startedAt = Instant.now()
  private var waiting: [Waiting] = []
  private var refusedWaits: UInt64 = 0
  var listener: RESPServer?

  init(machine: ShardServer.Configuration, servers: [ServerAddress], taskCount: Int) {
    shards = ShardServer(configuration: machine)
    self.servers = servers
    self.taskCount = taskCount
  }

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
    switch command {
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
      if try !answer(request, responder) { wait(request, responder) }
    case .row(let table, let fid):
      let row = try shards.row(table: table, fid: fid)
      responder.reply { $0.write(row: row) }
    case .metrics:
      let report = shards.validation(taskCount: taskCount).encode()
      responder.reply { encoder in report.withUnsafeBytes { encoder.writeBulk($0) } }
    case .info(let section):
      responder.reply(.bulk(info.text(section: section)))
    }
  }

  private func wait(_ request: SyncRequest, _ responder: RESPResponder) {
    guard waiting.count < Self.maximumWaiting else {
      refusedWaits += 1
      return responder.fail(WireError(.busy, "\(waiting.count) replicas wait for news, which is the limit"))
    }
    waiting.append(
      Waiting(request: request, responder: responder, deadline: Instant.now().advanced(byMs: Self.syncWaitMs)))
  }

  /// Tells all replicas that wait that there is nothing new; they need not hold up the end.
  func releaseWaiting() {
    for replica in waiting where replica.responder.isConnected {
      replica.responder.reply { $0.writeArrayHeader(count: 0) }
    }
    waiting = []
  }

  /// Closes the interval and wakes the replicas that wait for it.
  func seal() {
    let hasNews = shards.sealDeltas(compressor: compressor)
    let now = Instant.now()
    var still: [Waiting] = []
    for replica in waiting where replica.responder.isConnected {
      do {
        if hasNews, try answer(replica.request, replica.responder) { continue }
      } catch {
        replica.responder.fail(WireError(error, servers: servers))
        continue
      }
      if now >= replica.deadline {
        replica.responder.reply { $0.writeArrayHeader(count: 0) }
      } else {
        still.append(replica)
      }
    }
    waiting = still
  }

  /// Removes expired rows for as long as the budget allows, and does a slice of the tables' housekeeping.
  func keepHouse() {
    let end = Instant.now().advanced(byMs: Self.sweepBudgetMs)
    while shards.sweepExpired(), Instant.now() < end {}
    shards.maintainTables()
  }

  /// - Returns: Whether there was anything to answer with.
  private func answer(_ request: SyncRequest, _ responder: RESPResponder) throws(ClusterError) -> Bool {
    let frames = try shards.sync(request, compressor: compressor)
    guard !frames.isEmpty else { return false }
    responder.reply { encoder in
      encoder.writeArrayHeader(count: frames.count)
      for frame in frames { frame.withUnsafeBytes { encoder.writeBulk($0) } }
    }
    return true
  }

  private var info: InfoText {
    var info = InfoText()
    info.addProcess(role: "ps", startedAt: startedAt, now: Instant.now())
    if let listener { info.add(listener.statistics) }
    info.section("tables")
    for table in shards.tableTotals() { info.add(table) }
    let statistics = shards.statistics
    info.section("training")
    info.add("claims", statistics.claims)
    info.add("pulls", statistics.pulls)
    info.add("rows_pulled", statistics.rowsPulled)
    info.add("pushes", statistics.pushes)
    info.add("rows_pushed", statistics.rowsPushed)
    info.add("duplicate_pushes", statistics.duplicates)
    info.add("fenced_pushes", statistics.fenced)
    info.add("watermark_refusals", statistics.watermarkRefusals)
    for (shard, partition, offset) in shards.watermarks { info.add("watermark_\(shard)_\(partition)", offset) }
    info.section("sync")
    info.add("replicas_waiting", waiting.count)
    info.add("replicas_refused", refusedWaits)
    info.add("deltas_dropped", statistics.deltasDropped)
    info.add("receipts_merged", statistics.receiptsMerged)
    info.add("deltas_sealed", statistics.deltasSealed)
    info.add("delta_bytes", statistics.deltaBytes)
    info.add("base_chunks", statistics.baseChunks)
    info.section("validation")
    for (number, task) in shards.validation(taskCount: taskCount).tasks.enumerated() {
      info.add("task\(number)_examples", task.total.count)
      info.add("task\(number)_recent_auc", rounded: task.recent.auc)
      info.add("task\(number)_auc", rounded: task.total.auc)
    }
    return info
  }
}

extension InfoText {
  fileprivate mutating func add(_ table: TableTotals) {
    let statistics = table.statistics
    add("\(table.name)_rows", table.rows)
    add("\(table.name)_bytes", table.bytes)
    add("\(table.name)_load_factor", rounded: table.loadFactor)
    add("\(table.name)_mean_probes", rounded: table.meanProbes)
    add("\(table.name)_maximum_probes", table.maximumProbes)
    add("\(table.name)_updates", statistics.updates)
    add("\(table.name)_inserts", statistics.inserts)
    add("\(table.name)_removals", statistics.removals)
    add("\(table.name)_expired", statistics.expired)
    add("\(table.name)_evicted", statistics.evicted)
    add("\(table.name)_rejected", statistics.rejected)
    add("\(table.name)_nonfinite_gradients", statistics.nonFiniteGradients)
  }
}

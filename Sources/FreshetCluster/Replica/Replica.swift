import FreshetCore
import FreshetTable

public enum ReplicaEvent {
  case connected(ServerID)
  case disconnected(ServerID, reason: String)
  /// One frame of a server's answer to `SYNC`, in order.
  case frame(ServerID, UnsafeRawBufferPointer)
  /// The answer is complete (or was refused): the next request may go.
  case answered(ServerID, Result<Void, ClusterError>)
  case tick
}

public enum ReplicaAction {
  case sync(ServerID, body: [UInt8])
  /// Examples that the scores now reflect, and when their actions were appended to Kafka.
  case fresh(BatchReceipt)
  case notice(String)
}

/// A serving replica without its sockets: keeps a weights-only copy of all shards up to date.
///
/// It never stops answering: whatever happens to servers and frames, the rows that it has stay until better ones arrive.
public final class Replica {
  public struct Statistics: Sendable, Equatable {
    public var frames: UInt64 = 0
    public var frameBytes: UInt64 = 0
    public var rows: UInt64 = 0
    public var tombstones: UInt64 = 0
    public var duplicates: UInt64 = 0
    /// Frames that did not follow on from what the replica had; it asked again.
    public var gaps: UInt64 = 0
    /// Frames whose checksum or format was wrong; the replica asked again.
    public var malformed: UInt64 = 0
    public var basesCompleted: UInt64 = 0
    /// Examples whose freshness nobody will know: a base took the place of the deltas that had their receipts.
    public var unmeasuredExamples: UInt64 = 0
  }

  /// A frame's body is refused above this.
  static let maximumBodyBytes = 256 << 20

  private struct Server {
    var isConnected = false
    var isAsking = false
    /// A frame of the current answer could not be used. Asking again at once might bring it again, for ever.
    var isTroubled = false
    var waitUntil: Instant?
    var backoff: Backoff
  }

  public let tables: ModelTables
  private let map: ShardMap
  private let compressor: any BlockCompressor
  let shards: [ReplicaShard]
  private var servers: [Server]
  private var pendingReceipts: [BatchReceipt] = []
  private let content: ReplicaContent
  private var actions: [ReplicaAction] = []
  public private(set) var statistics = Statistics()

  /// - Parameter weightFormat: What the copy's embeddings are kept as.
  public convenience init(
    tables: ModelTables, map: ShardMap, weightFormat: WeightFormat, compressor: any BlockCompressor, seed: UInt64
  ) {
    self.init(
      tables: tables, map: map, weightFormat: weightFormat, compressor: compressor, seed: seed, isSaved: false,
      restored: nil)
  }

  /// - Parameters:
  ///   - isSaved: Whether a `SnapshotKeeper` is to save the copy.
  ///   - restored: What to begin with, read for the same tables, shards and format; it is used up. Nil: nothing.
  public init(
    tables: ModelTables, map: ShardMap, weightFormat: WeightFormat, compressor: any BlockCompressor, seed: UInt64,
    isSaved: Bool, restored: RestoredReplica?
  ) {
    self.tables = tables
    self.map = map
    self.compressor = compressor
    let layouts = tables.servingLayouts(weightFormat: weightFormat)
    shards = (0..<map.shardCount).map { number in
      restored?.take(ShardID(number)).map { ReplicaShard($0) }
        ?? ReplicaShard(id: ShardID(number), layouts: layouts, isSaved: isSaved)
    }
    content = ReplicaContent(tables: tables, shards: shards)
    servers = (0..<map.serverCount).map {
      Server(backoff: Backoff(baseMs: 100, capMs: 2_000, seed: seed ^ UInt64($0)))
    }
    publishStatus()
  }

  /// Whether every shard has been copied completely at least once.
  public var isReady: Bool { shards.allSatisfy(\.isComplete) }

  public var connectedServers: Int { servers.filter(\.isConnected).count }

  /// Milliseconds since the shard that has waited longest was last brought up to date; nil while one never was.
  public func ageMs(now: Instant) -> Double? { oldestCurrent.map { now.milliseconds(since: $0) } }

  private var oldestCurrent: Instant? {
    var oldest: Instant?
    for shard in shards {
      guard let last = shard.lastCurrent else { return nil }
      oldest = min(oldest ?? last, last)
    }
    return oldest
  }

  /// For each shard its generation, sequence and completeness.
  public var positions: [(shard: ShardID, generation: UInt64, sequence: UInt64, isComplete: Bool)] {
    shards.map { ($0.id, $0.position.generation, $0.position.sequence, $0.isComplete) }
  }

  /// The offset of each partition below which every example is reflected in every shard.
  public var watermarks: [(partition: PartitionID, offset: Offset)] {
    let partitions = Set(shards.flatMap { $0.watermarks.keys }).sorted()
    return partitions.map { ($0, smallestWatermark($0)) }
  }

  public func rowCounts() -> [(name: String, rows: Int, bytes: Int)] {
    tables.layouts.enumerated().map { number, layout in
      (
        layout.name, shards.reduce(0) { $0 + $1.tables[number].rowCount },
        shards.reduce(0) { $0 + $1.tables[number].sizeBytes }
      )
    }
  }

  /// One row's weights as scores use them, and whether the row exists.
  public func row(table name: String, fid: Fid) throws(ClusterError) -> (weights: [Float], exists: Bool) {
    content.embedding(try tables.position(ofTable: name), of: fid).weights(fid)
  }

  /// One slice of a table's housekeeping (`EmbeddingTable.maintain`), in the first table that has any.
  public func maintainTables() {
    content.gate.write { _ = content.embeddings.contains { $0.maintain() } }
  }

  // MARK: - Readers

  /// Makes readers on other threads.
  public var readers: ReplicaReaders { ReplicaReaders(content: content) }

  /// A reader for one thread.
  public func makeReader() -> ReplicaReader { readers.makeReader() }

  /// Runs `body` while no reader is inside `read`: for what is kept beside the rows and read with them, such as the item
  /// catalog. Readers wait meanwhile: it should take microseconds.
  public func write<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try content.gate.write(body)
  }

  private func publishStatus() {
    let isReady = isReady
    let status = ReplicaStatus(
      isReady: isReady, connectedServers: connectedServers, oldestCurrent: oldestCurrent,
      positions: shards.map {
        ReplicaStatus.Position(
          shard: $0.id, generation: $0.position.generation, sequence: $0.position.sequence, isComplete: $0.isComplete)
      },
      watermarks: watermarks,
      tables: rowCounts().map { ReplicaStatus.Table(name: $0.name, rows: $0.rows, bytes: $0.bytes) },
      statistics: statistics)
    content.status.withLock { $0 = status }
    content.isReady.store(isReady, ordering: .releasing)
  }

  // MARK: - Events

  /// - Returns: What to do now, in order.
  public func handle(_ event: ReplicaEvent, now: Instant) -> [ReplicaAction] {
    actions.removeAll(keepingCapacity: true)
    switch event {
    case .connected(let server):
      servers[server.value].isConnected = true
      servers[server.value].isAsking = false
      servers[server.value].waitUntil = nil
      ask(server, now)
    case .disconnected(let server, let reason):
      servers[server.value].isConnected = false
      servers[server.value].isAsking = false
      actions.append(.notice("server \(server): \(reason); answering from the copy of its shards"))
    case .frame(let server, let bytes):
      apply(bytes, from: server, now)
    case .answered(let server, let result):
      answered(server, result, now)
    case .tick:
      for server in servers.indices { ask(ServerID(server), now) }
    }
    // Frames come in thousands, and each answer ends them.
    if case .frame = event {} else { publishStatus() }
    return actions
  }

  private func ask(_ server: ServerID, _ now: Instant) {
    let state = servers[server.value]
    guard state.isConnected, !state.isAsking, state.waitUntil.map({ now >= $0 }) ?? true else { return }
    servers[server.value].isAsking = true
    servers[server.value].isTroubled = false
    servers[server.value].waitUntil = nil
    let request = SyncRequest(positions: map.shards(of: server).map { ($0, shards[Int($0.value)].position) })
    actions.append(.sync(server, body: request.encode()))
  }

  private func answered(_ server: ServerID, _ result: Result<Void, ClusterError>, _ now: Instant) {
    servers[server.value].isAsking = false
    switch result {
    case .success:
      releaseReceipts()
      if servers[server.value].isTroubled {
        servers[server.value].waitUntil = now.advanced(byMs: servers[server.value].backoff.next())
      } else {
        servers[server.value].backoff.reset()
        for shard in map.shards(of: server) { shards[Int(shard.value)].confirmCurrent(now: now) }
        ask(server, now)
      }
    case .failure(let error):
      servers[server.value].waitUntil = now.advanced(byMs: servers[server.value].backoff.next())
      actions.append(.notice("server \(server) refused to sync: \(error)"))
    }
  }

  private func apply(_ bytes: UnsafeRawBufferPointer, from server: ServerID, _ now: Instant) {
    statistics.frames += 1
    statistics.frameBytes += UInt64(bytes.count)
    do {
      let frame = try SyncFrame(decoding: bytes, compressor: compressor, maximumBodyBytes: Self.maximumBodyBytes)
      guard Int(frame.shard.value) < shards.count else {
        servers[server.value].isTroubled = true
        actions.append(.notice("server \(server) sent shard \(frame.shard) of \(shards.count)"))
        return
      }
      let shard = shards[Int(frame.shard.value)]
      switch try shard.apply(frame, through: content, now: now) {
      case .applied: noteApplied(frame)
      case .duplicate: statistics.duplicates += 1
      case .gap:
        // What is missing is asked for again by position.
        statistics.gaps += 1
        servers[server.value].isTroubled = true
      }
    } catch let error as MalformedBlob {
      statistics.malformed += 1
      servers[server.value].isTroubled = true
      actions.append(.notice("server \(server): \(error)"))
    } catch {
      servers[server.value].isTroubled = true
      actions.append(.notice("server \(server): \(error)"))
    }
  }

  private func noteApplied(_ frame: SyncFrame) {
    for table in frame.tables {
      statistics.rows += UInt64(table.fids.count)
      statistics.tombstones += UInt64(table.tombstones.count)
    }
    if case .base(let from, let next) = frame.kind {
      if from == .start { statistics.unmeasuredExamples = shards.reduce(0) { $0 + $1.unmeasuredExamples } }
      if next == nil { statistics.basesCompleted += 1 }
    }
    pendingReceipts += frame.receipts
    // Far behind, a receipt more or less says nothing new.
    if pendingReceipts.count > ShardState.maximumReceipts * 4 { BatchReceipt.coarsen(&pendingReceipts) }
  }

  private func smallestWatermark(_ partition: PartitionID) -> Offset {
    shards.map { $0.watermarks[partition] ?? .none }.min() ?? .none
  }

  /// Reports the batches that every shard has by now.
  private func releaseReceipts() {
    guard !pendingReceipts.isEmpty else { return }
    let smallest = Dictionary(uniqueKeysWithValues: watermarks)
    pendingReceipts.removeAll { receipt in
      guard receipt.end <= smallest[receipt.partition] ?? .none else { return false }
      actions.append(.fresh(receipt))
      return true
    }
  }
}

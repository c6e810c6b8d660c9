import FreshetCore
import FreshetTable

extension ShardServer {
  /// Most bytes of a reply to `SYNC`, give or take one frame.
  static let syncReplyBytes = 8 << 20

  /// Closes the interval: what each shard changed since the last call becomes its next delta.
  /// - Returns: Whether any shard had news.
  public func sealDeltas(compressor: some BlockCompressor) -> Bool {
    var hasNews = false
    for shard in hostedShards {
      let number = Int(shard.id.value)
      let tables = shard.tables.enumerated().compactMap { number, table in Self.takeDelta(of: table, number: number) }
      let news = shard.takeNews()
      statistics.receiptsMerged += news.receiptMerges
      guard !tables.isEmpty || news.watermarksChanged else { continue }
      hasNews = true
      sealedWatermarks[number] = shard.watermarks.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
      let frame = SyncFrame(
        kind: .delta, shard: shard.id, generation: configuration.generation,
        sequence: deltaLogs[number]!.nextSequence, newestMinutes: shard.newestMinutes,
        watermarks: sealedWatermarks[number], receipts: news.receipts, tables: tables
      ).encode(compressor: compressor)
      statistics.deltasDropped += UInt64(deltaLogs[number]!.append(frame))
      statistics.deltasSealed += 1
      statistics.deltaBytes += UInt64(frame.count)
    }
    return hasNews
  }

  private static func takeDelta(of table: EmbeddingTable, number: Int) -> SyncFrame.Table? {
    let tombstones = table.takeRemoved(feed: ShardFeed.sync)
    let touched = table.touchedCount(feed: ShardFeed.sync)
    guard touched > 0 || !tombstones.isEmpty else { return nil }
    let width = table.layout.width
    var delta = SyncFrame.Table(table: number, width: width, fids: [], tombstones: tombstones, weights: [])
    delta.fids.reserveCapacity(touched)
    delta.weights.reserveCapacity(touched * width)
    table.takeTouched(feed: ShardFeed.sync) { fid, weights in
      delta.fids.append(fid)
      delta.weights.append(contentsOf: UnsafeBufferPointer(start: weights, count: width))
    }
    return delta
  }

  /// The frames that bring a replica on from where it is: deltas if they are still held, else the next chunk of a base.
  /// - Returns: Encoded frames in the order in which they are to be applied; empty if the replica has everything sealed.
  public func sync(_ request: SyncRequest, compressor: some BlockCompressor) throws(ClusterError) -> [[UInt8]] {
    var reply: [[UInt8]] = []
    var bytes = 0
    for (shard, position) in request.positions {
      let number = Int(shard.value)
      guard number < shards.count else {
        throw ClusterError(.mismatch, "shard \(shard) of \(shards.count): do both sides have the same cluster.shards?")
      }
      guard let state = shards[number], let log = deltaLogs[number] else {
        throw moved(shard)
      }
      if bytes >= Self.syncReplyBytes { break }
      var base = position.base
      if position.generation == log.generation, let deltas = log.frames(after: position.sequence) {
        for delta in deltas where bytes < Self.syncReplyBytes {
          reply.append(delta)
          bytes += delta.count
        }
        // A chunk may only follow the last delta; what is left goes with the next reply.
        if bytes >= Self.syncReplyBytes { break }
      } else {
        base = .start
      }
      if let base {
        let chunk = try baseChunk(of: state, from: base, sequence: log.sequence).encode(compressor: compressor)
        statistics.baseChunks += 1
        reply.append(chunk)
        bytes += chunk.count
      }
    }
    return reply
  }

  /// Up to `Configuration.baseChunkBytes` of one table from the cursor on.
  private func baseChunk(
    of shard: ShardState, from base: ShardPosition.BaseCursor, sequence: UInt64
  ) throws(ClusterError) -> SyncFrame {
    guard base.table < shard.tables.count, base.cursor <= UInt64(UInt32.max) else {
      throw ClusterError(.mismatch, "shard \(shard.id): no table \(base.table) or no row \(base.cursor)")
    }
    let table = shard.tables[base.table]
    let width = table.layout.width
    var rows = SyncFrame.Table(table: base.table, width: width, fids: [], tombstones: [], weights: [])
    let limit = max(1, configuration.baseChunkBytes / (width * 4 + 8))
    let next = table.scan(from: Int(base.cursor), limit: limit) { fid, weights in
      rows.fids.append(fid)
      rows.weights.append(contentsOf: UnsafeBufferPointer(start: weights, count: width))
    }
    let cursor: ShardPosition.BaseCursor? =
      if let next {
        ShardPosition.BaseCursor(table: base.table, cursor: UInt64(next))
      } else if base.table + 1 < shard.tables.count {
        ShardPosition.BaseCursor(table: base.table + 1, cursor: 0)
      } else {
        nil
      }
    return SyncFrame(
      kind: .base(from: base, next: cursor), shard: shard.id, generation: configuration.generation, sequence: sequence,
      newestMinutes: shard.newestMinutes, watermarks: sealedWatermarks[Int(shard.id.value)], receipts: [],
      tables: [rows])
  }
}

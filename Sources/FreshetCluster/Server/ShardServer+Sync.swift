import FreshetCore
import FreshetTable

extension ShardServer {
  /// Most bytes of a reply to `SYNC`, give or take one frame.
  public static let syncReplyBytes = 8 << 20

  /// Most bytes of base chunks kept for other replicas that copy at the same time.
  static let sharedChunkBytes = 8 << 20

  /// The dense tensors are the last table (`ModelTables`).
  private var denseTable: Int { configuration.layouts.count - 1 }

  /// Removals of one table that may wait for the next delta.
  static let maximumRemoved = 1 << 18

  /// Whether the next delta must not wait for its time, since a list of removed fids has become too long.
  public var mustSeal: Bool {
    hostedShards.contains { shard in
      shard.tables.contains { $0.removedCount(feed: ShardFeed.sync) > Self.maximumRemoved }
    }
  }

  /// Closes the interval: what each shard changed since the last call becomes its next delta, or several of them in a row if it
  /// is large.
  /// - Parameter includingDense: Whether the dense tensors' changes are part of it, or wait for another call.
  /// - Returns: Whether any shard had news.
  public func sealDeltas(includingDense: Bool, compressor: some BlockCompressor) -> Bool {
    var hasNews = false
    for shard in hostedShards {
      if sealDeltas(of: shard, includingDense: includingDense, compressor: compressor) { hasNews = true }
    }
    return hasNews
  }

  private func sealDeltas(
    of shard: ShardState, includingDense: Bool, compressor: some BlockCompressor
  ) -> Bool {
    let number = Int(shard.id.value)
    var parts = DeltaParts(limitBytes: configuration.deltaBodyBytes)
    for (position, table) in shard.tables.enumerated() where includingDense || position != denseTable {
      parts.begin(table: position, width: table.layout.width, format: configuration.syncFormats[position])
      for fid in table.takeRemoved(feed: ShardFeed.sync) {
        if parts.add(tombstone: fid) { sealPart(parts.take(), of: shard, compressor: compressor) }
      }
      guard table.touchedCount(feed: ShardFeed.sync) > 0 else { continue }
      table.takeTouched(feed: ShardFeed.sync) { fid, weights in
        if parts.add(fid, weights) { sealPart(parts.take(), of: shard, compressor: compressor) }
      }
    }
    let news = shard.takeNews()
    statistics.receiptsMerged += news.receiptMerges
    let tables = parts.take()
    guard !tables.isEmpty || news.watermarksChanged else { return parts.count > 0 }
    // The last part has all that the watermarks promise.
    sealedWatermarks[number] = shard.streamWatermarks
    seal(tables, receipts: news.receipts, of: shard, compressor: compressor)
    return true
  }

  /// A part that is not the last promises no more than the delta before it; its rows may know more.
  private func sealPart(_ tables: [SyncFrame.Table], of shard: ShardState, compressor: some BlockCompressor) {
    statistics.deltasSplit += 1
    seal(tables, receipts: [], of: shard, compressor: compressor)
  }

  private func seal(
    _ tables: [SyncFrame.Table], receipts: [BatchReceipt], of shard: ShardState, compressor: some BlockCompressor
  ) {
    let number = Int(shard.id.value)
    let reported = receipts.reduce(deltaLogs[number]!.reported) { $0 + UInt64($1.exampleCount) }
    let frame = SyncFrame(
      kind: .delta, shard: shard.id, generation: configuration.generation, sequence: deltaLogs[number]!.nextSequence,
      newestMinutes: shard.newestMinutes, reported: reported, watermarks: sealedWatermarks[number], receipts: receipts,
      tables: tables
    ).encode(compressor: compressor)
    statistics.deltasDropped += UInt64(deltaLogs[number]!.append(frame, reported: reported))
    statistics.deltasSealed += 1
    statistics.deltaBytes += UInt64(frame.count)
    baseChunks.forget(shard.id)
  }

  /// Whether `sync` would have anything to answer with.
  public func hasNews(for request: SyncRequest) throws(ClusterError) -> Bool {
    for (shard, position) in request.positions where try log(of: shard).hasNews(for: position) { return true }
    return false
  }

  private func log(of shard: ShardID) throws(ClusterError) -> DeltaLog {
    guard Int(shard.value) < shards.count else {
      throw ClusterError(.mismatch, "shard \(shard) of \(shards.count): do both sides have the same cluster.shards?")
    }
    guard let log = deltaLogs[Int(shard.value)] else { throw moved(shard) }
    return log
  }

  /// The frames that bring a replica on from where it is: deltas if they are still held, else the next chunk of a base.
  /// - Parameter limitBytes: About how many bytes at most; a frame more than that is always possible.
  /// - Returns: Encoded frames in the order in which they are to be applied; empty if the replica has everything sealed.
  public func sync(
    _ request: SyncRequest, limitBytes: Int, compressor: some BlockCompressor
  ) throws(ClusterError) -> [[UInt8]] {
    var reply: [[UInt8]] = []
    var bytes = 0
    for (shard, position) in request.positions {
      let log = try log(of: shard)
      if bytes >= limitBytes { break }
      var base = position.base
      if position.generation == log.generation, let deltas = log.frames(after: position.sequence) {
        for delta in deltas where bytes < limitBytes {
          reply.append(delta)
          bytes += delta.count
        }
        // A chunk may only follow the last delta; what is left goes with the next reply.
        if bytes >= limitBytes { break }
      } else {
        // Whoever has been too slow for the deltas that are held starts over; nothing is kept for it.
        if position.generation == log.generation { statistics.replicasRebased += 1 }
        base = .start
      }
      if let base {
        let chunk = try encodedChunk(of: shard, from: base, log: log, compressor: compressor)
        reply.append(chunk)
        bytes += chunk.count
      }
    }
    return reply
  }

  private func encodedChunk(
    of shard: ShardID, from base: ShardPosition.BaseCursor, log: DeltaLog, compressor: some BlockCompressor
  ) throws(ClusterError) -> [UInt8] {
    let state = state(shard)
    guard base.table < state.tables.count, base.cursor <= UInt64(UInt32.max) else {
      throw ClusterError(.mismatch, "shard \(shard): no table \(base.table) or no row \(base.cursor)")
    }
    let key = BaseChunkCache.Key(
      shard: shard, table: base.table, cursor: base.cursor, sequence: log.sequence,
      removals: state.tables[base.table].statistics.removals)
    statistics.baseChunks += 1
    if let chunk = baseChunks.chunk(key) {
      statistics.baseChunksShared += 1
      return chunk
    }
    let chunk = baseChunk(of: state, from: base, log: log).encode(compressor: compressor)
    baseChunks.add(chunk, for: key)
    return chunk
  }

  /// Up to `Configuration.baseChunkBytes` of one table from the cursor on.
  private func baseChunk(of shard: ShardState, from base: ShardPosition.BaseCursor, log: DeltaLog) -> SyncFrame {
    let table = shard.tables[base.table]
    let width = table.layout.width
    let format = configuration.syncFormats[base.table]
    var rows = SyncFrame.Table(
      table: base.table, width: width, format: format, fids: [], tombstones: [], weights: [])
    let limit = max(1, configuration.baseChunkBytes / (width * format.byteCount + 8))
    rows.fids.reserveCapacity(min(limit, table.rowCount))
    rows.weights.reserveCapacity(min(limit, table.rowCount) * width)
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
      kind: .base(from: base, next: cursor), shard: shard.id, generation: configuration.generation,
      sequence: log.sequence, newestMinutes: shard.newestMinutes, reported: log.reported,
      watermarks: sealedWatermarks[Int(shard.id.value)], receipts: [], tables: [rows])
  }
}

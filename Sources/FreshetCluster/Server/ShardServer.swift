import FreshetCore
import FreshetModel
import FreshetTable

/// A parameter server without its sockets: the shards of one server and the commands on them.
///
/// Not thread-safe: one thread owns it outright. Every command is answered at once from memory; nothing here does I/O or
/// reads a clock.
public final class ShardServer {
  public struct Configuration: Sendable {
    public let map: ShardMap
    public let server: ServerID
    /// With limits of rows that hold for all shards together; each shard takes its share.
    public let layouts: [TableLayout]
    /// Tells this life of the server's shards from earlier ones; random, not 0.
    public let generation: UInt64
    /// Deltas kept for replicas, per shard.
    public let deltaLogBytes: Int
    /// Most rows in one pull or push.
    public let maximumRows: Int
    /// Rows of a chunk of a base are chosen so that their weights stay near this.
    public let baseChunkBytes: Int
    /// Rows and tombstones of a delta beyond this go into another one. Well below what replicas refuse.
    public let deltaBodyBytes: Int
    /// By table, what its weights travel to replicas as.
    public let syncFormats: [WeightFormat]
    /// Whether a `SnapshotKeeper` is to take snapshots of the shards.
    public let isSnapshotted: Bool

    public init(
      map: ShardMap, server: ServerID, layouts: [TableLayout], generation: UInt64, deltaLogBytes: Int, maximumRows: Int,
      syncFormats: [WeightFormat]? = nil, baseChunkBytes: Int = 256 << 10, deltaBodyBytes: Int = 8 << 20,
      isSnapshotted: Bool = false
    ) {
      precondition(deltaBodyBytes <= Replica.maximumBodyBytes / 2)
      self.map = map
      self.server = server
      self.layouts = layouts
      self.generation = generation
      self.deltaLogBytes = deltaLogBytes
      self.maximumRows = maximumRows
      self.baseChunkBytes = baseChunkBytes
      self.deltaBodyBytes = deltaBodyBytes
      self.syncFormats = syncFormats ?? layouts.map { _ in .float32 }
      self.isSnapshotted = isSnapshotted
    }

    func emptyShard(_ shard: ShardID) -> ShardState {
      ShardState(
        id: shard, layouts: layouts.map { $0.share(ofShards: map.shardCount) }, feeds: ShardFeed.count,
        isSnapshotted: isSnapshotted)
    }

    /// The epoch before the first claim of a partition: the life's generation above 28 bits for the claims to come, below
    /// 2^63. Lives of a server begin at different ones, so that nobody who claimed in an earlier life passes for the
    /// claimant of this one.
    var initialEpoch: Epoch { Epoch((generation << 28) & (1 << 63 - 1)) }
  }

  public enum PushOutcome: Sendable, Equatable {
    /// At least one shard applied the batch; shards that already had it took nothing.
    case applied
    /// Every shard already had it.
    case duplicate
  }

  public struct Statistics: Sendable, Equatable {
    public var claims: UInt64 = 0
    public var pulls: UInt64 = 0
    public var rowsPulled: UInt64 = 0
    public var pushes: UInt64 = 0
    public var rowsPushed: UInt64 = 0
    public var duplicates: UInt64 = 0
    public var fenced: UInt64 = 0
    public var watermarkRefusals: UInt64 = 0
    public var deltasSealed: UInt64 = 0
    public var deltaBytes: UInt64 = 0
    /// Deltas that were only a part because one frame would have been too large.
    public var deltasSplit: UInt64 = 0
    /// Base chunks sent.
    public var baseChunks: UInt64 = 0
    /// Of them, those that had been encoded for another replica.
    public var baseChunksShared: UInt64 = 0
    /// How often a replica of this generation got a base because its deltas were no longer held.
    public var replicasRebased: UInt64 = 0
    /// Deltas given up because the log of a shard had reached its bytes.
    public var deltasDropped: UInt64 = 0
    /// How often receipts were merged because there were too many between two deltas.
    public var receiptsMerged: UInt64 = 0
  }

  let configuration: Configuration
  /// By shard number; nil where another server hosts the shard.
  var shards: [ShardState?]
  var deltaLogs: [DeltaLog?]
  /// What the last sealed delta said, for base chunks: they promise no more than that.
  var sealedWatermarks: [[(partition: PartitionID, offset: Offset)]]
  var baseChunks = BaseChunkCache(maximumBytes: ShardServer.sharedChunkBytes)
  var expirySweep: ExpirySweep
  private var epochs: [PartitionID: Epoch] = [:]
  public internal(set) var statistics = Statistics()

  private var sections: [RowSection] = []
  private var fids: [Fid] = []
  private let rows = FloatBuffer()

  /// A server whose shards are empty.
  public init(configuration: Configuration) {
    self.configuration = configuration
    let map = configuration.map
    let hosted = (0..<map.shardCount).map { map.owners[$0] == configuration.server }
    shards = hosted.enumerated().map { $1 ? configuration.emptyShard(ShardID($0)) : nil }
    let layouts = configuration.layouts
    expirySweep = ExpirySweep(
      shards: map.shards(of: configuration.server).map { Int($0.value) },
      tables: layouts.indices.filter { layouts[$0].expiry.timeToLiveMinutes != nil })
    deltaLogs = hosted.map {
      $0 ? DeltaLog(generation: configuration.generation, maximumBytes: configuration.deltaLogBytes) : nil
    }
    sealedWatermarks = hosted.map { _ in [] }
  }

  /// A server that goes on from what a store had.
  /// - Parameter restored: Made for the same configuration; it is used up.
  public convenience init(configuration: Configuration, restored: RestoredShards) {
    self.init(configuration: configuration)
    for state in restored.take() {
      let number = Int(state.id.value)
      precondition(shards[number] != nil, "shard \(state.id) is not hosted here")
      shards[number] = state
      // A base is copied from these rows, which hold what the watermarks say.
      sealedWatermarks[number] = state.streamWatermarks
    }
  }

  /// Deltas list the watermarks of all partitions, and count them in 16 bits.
  public static let maximumPartitions: Int32 = 65_535

  var hostedShards: [ShardState] { shards.compactMap { $0 } }

  /// - Precondition: The shard is hosted here.
  func state(_ shard: ShardID) -> ShardState { shards[Int(shard.value)]! }

  // MARK: - Commands

  /// Raises the partition's epoch, which fences every earlier claimant, and tells how far each shard is.
  public func claim(_ partition: PartitionID) -> ClaimReply {
    let epoch = Epoch((epochs[partition] ?? configuration.initialEpoch).value + 1)
    epochs[partition] = epoch
    statistics.claims += 1
    return ClaimReply(
      epoch: epoch,
      watermarks: hostedShards.map {
        ClaimReply.ShardWatermark(
          shard: $0.id, watermark: $0.watermark(of: partition), origin: $0.origin(of: partition))
      })
  }

  /// The weights, and optimizer states, that a `PullRequest` asks for; valid until the next command.
  public func pull(_ request: UnsafeRawBufferPointer) throws(ClusterError) -> UnsafeBufferPointer<Float> {
    do throws(MalformedBlob) {
      var reader = BinaryReader(request, what: "PULL request")
      let version = try reader.read(UInt8.self)
      guard version == PullRequest.version else { throw reader.malformed("version \(version)") }
      try readRows(from: &reader)
      try reader.finish()
    } catch {
      throw ClusterError(error)
    }
    let floats = try checkSections()
    rows.reserve(floats)
    var target = rows.start
    fids.withUnsafeBufferPointer { fids in
      var first = 0
      for section in sections {
        let table = shards[Int(section.shard.value)]!.tables[section.table]
        let wanted = UnsafeBufferPointer(rebasing: fids[first..<first + section.count])
        first += section.count
        let weights = target
        target += section.count * table.layout.width
        if section.withState {
          table.gather(wanted, into: weights, states: target)
          target += section.count * table.layout.copiedStateWidth
        } else {
          table.gather(wanted, into: weights)
        }
      }
    }
    statistics.pulls += 1
    statistics.rowsPulled += UInt64(fids.count)
    return UnsafeBufferPointer(start: rows.start, count: floats)
  }

  /// Applies the batch `from ..< to` of a partition to every shard that has not had it.
  ///
  /// The whole push is checked before anything changes: it is applied entirely or refused entirely.
  public func push(
    _ body: UnsafeRawBufferPointer, partition: PartitionID, epoch: Epoch, from: Offset, to: Offset
  ) throws(ClusterError) -> PushOutcome {
    try checkEpoch(epoch, partition)
    guard partition.value >= 0, partition.value < Self.maximumPartitions else {
      throw ClusterError(.mismatch, "partition \(partition) is not in 0 ..< \(Self.maximumPartitions)")
    }
    guard from < to, to.value >= 0 else {
      throw ClusterError(.mismatch, "push of partition \(partition): \(from) ..< \(to) is not a range of offsets")
    }
    let minutes: UInt32
    let report: BatchReport?
    let floats: Int
    do throws(MalformedBlob) {
      var reader = BinaryReader(body, what: "PUSH body")
      let version = try reader.read(UInt8.self)
      guard version == PushRequest.version else { throw reader.malformed("version \(version)") }
      minutes = try reader.read()
      report = try PushRequest.decodeReport(from: &reader)
      try readRows(from: &reader)
      floats = reader.remaining / 4
      rows.reserve(floats)
      let raw = try reader.readBytes(floats * 4)
      UnsafeMutableRawBufferPointer(start: rows.start, count: raw.count).copyMemory(from: raw)
      try reader.finish()
    } catch {
      throw ClusterError(error)
    }
    guard !sections.contains(where: \.withState) else {
      throw ClusterError(.mismatch, "push of partition \(partition): a section asks for state, which pulls do")
    }
    let expected = try checkSections()
    guard floats == expected else {
      throw ClusterError(.mismatch, "push of partition \(partition): \(floats) floats, \(expected) expected")
    }
    try checkWatermarks(partition, from, to)
    return apply(partition: partition, from: from, to: to, minutes: minutes, report: report)
  }

  /// One row's weights as a trainer would pull them, and whether the row exists.
  public func row(table name: String, fid: Fid) throws(ClusterError) -> (weights: [Float], exists: Bool) {
    guard let table = configuration.layouts.firstIndex(where: { $0.name == name }) else {
      let names = configuration.layouts.map(\.name).joined(separator: ", ")
      throw ClusterError(.mismatch, "no table \(name); the tables are \(names)")
    }
    let shard = configuration.map.shard(of: fid)
    guard let state = shards[Int(shard.value)] else { throw moved(shard) }
    return state.tables[table].weights(fid)
  }

  /// Progressive validation of all partitions that report here, merged; by task.
  public func validation(taskCount: Int) -> ValidationReport {
    var report = ValidationReport(taskCount: taskCount)
    for shard in hostedShards {
      for perTask in shard.validation.values {
        for (task, validation) in perTask.enumerated() where task < taskCount { report.add(validation, task: task) }
      }
    }
    return report
  }

  public var watermarks: [(shard: ShardID, partition: PartitionID, offset: Offset)] {
    hostedShards.flatMap { shard in
      shard.watermarks.sorted { $0.key < $1.key }.map { (shard.id, $0.key, $0.value) }
    }
  }

  // MARK: - Checks

  private func checkEpoch(_ epoch: Epoch, _ partition: PartitionID) throws(ClusterError) {
    let current = epochs[partition]
    guard current == epoch else {
      statistics.fenced += 1
      let known = current.map { "epoch \($0)" } ?? "no claim"
      throw ClusterError(.fenced, "partition \(partition): push of epoch \(epoch), the server knows \(known)")
    }
  }

  private func checkWatermarks(_ partition: PartitionID, _ from: Offset, _ to: Offset) throws(ClusterError) {
    for shard in hostedShards {
      let watermark = shard.watermark(of: partition)
      if from == watermark || to <= watermark { continue }
      statistics.watermarkRefusals += 1
      throw ClusterError(
        .watermark, "partition \(partition) shard \(shard.id) is at \(watermark), the push covers \(from) ..< \(to)")
    }
  }

  /// Reads sections and fids into `sections` and `fids`.
  private func readRows(from reader: inout BinaryReader) throws(MalformedBlob) {
    let count = try RowSectionsCodec.decode(from: &reader, into: &sections)
    guard count <= configuration.maximumRows else {
      throw reader.malformed("\(count) rows, at most \(configuration.maximumRows) are taken at once")
    }
    let raw = try reader.readBytes(count * 8)
    fids.removeAll(keepingCapacity: true)
    fids.reserveCapacity(count)
    // Copied to where they are aligned.
    for index in 0..<count {
      fids.append(UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self)))
    }
  }

  /// Every section names a hosted shard and a table, every fid belongs to its section's shard.
  /// - Returns: Floats of all rows together.
  private func checkSections() throws(ClusterError) -> Int {
    var floats = 0
    var first = 0
    let shardCount = configuration.map.shardCount
    for section in sections {
      let shard = Int(section.shard.value)
      guard shard < shardCount else {
        throw ClusterError(.mismatch, "shard \(shard) of \(shardCount): do both sides have the same cluster.shards?")
      }
      guard shards[shard] != nil else { throw moved(section.shard) }
      guard section.table < configuration.layouts.count else {
        throw ClusterError(
          .mismatch, "table \(section.table) of \(configuration.layouts.count): do both sides have the same model?")
      }
      for fid in fids[first..<first + section.count]
      where ShardMap.shardIndex(of: fid, shardCount: shardCount) != shard {
        throw ClusterError(.mismatch, "fid \(fid) does not belong to shard \(shard)")
      }
      first += section.count
      let layout = configuration.layouts[section.table]
      floats += section.count * (layout.width + (section.withState ? layout.copiedStateWidth : 0))
    }
    return floats
  }

  func moved(_ shard: ShardID) -> ClusterError {
    ClusterError(moved: ClusterError.Redirection(shard: shard, server: configuration.map.owner(of: shard)))
  }

  // MARK: - Applying

  private func apply(
    partition: PartitionID, from: Offset, to: Offset, minutes: UInt32, report: BatchReport?
  ) -> PushOutcome {
    var outcome = PushOutcome.duplicate
    fids.withUnsafeBufferPointer { fids in
      var first = 0
      var gradients = rows.start
      for section in sections {
        let shard = shards[Int(section.shard.value)]!
        if shard.watermark(of: partition) == from {
          shard.update(
            table: section.table, UnsafeBufferPointer(rebasing: fids[first..<first + section.count]),
            gradients: gradients, minutes: minutes)
        }
        first += section.count
        gradients += section.count * configuration.layouts[section.table].width
      }
    }
    let reportShard = Self.reportShard(of: partition, shardCount: configuration.map.shardCount)
    for shard in hostedShards where shard.watermark(of: partition) == from {
      // A trainer's first push takes the shard to where the log begins and carries nothing. One that carries something may
      // stand for examples from the first offset on.
      if from == .none { shard.begin(partition, at: sections.isEmpty && report == nil ? to : Offset(0)) }
      if shard.id == reportShard, let report { shard.record(report, partition: partition, end: to) }
      shard.advance(partition, to: to, minutes: minutes)
      outcome = .applied
    }
    statistics.pushes += 1
    statistics.rowsPushed += UInt64(fids.count)
    if outcome == .duplicate { statistics.duplicates += 1 }
    return outcome
  }

  /// The shard that keeps a partition's progressive validation, under that shard's watermark: counted exactly once.
  public static func reportShard(of partition: PartitionID, shardCount: Int) -> ShardID {
    ShardID(Int(partition.value) % shardCount)
  }
}

import FreshetCore
import FreshetModel
import FreshetTable

@testable import FreshetCluster

/// Servers, one replica, and lines between them that lose, repeat, reorder and corrupt frames as a seed says.
///
/// Each shard has one marker row for each partition, whose last weight is exactly the shard's watermark: what a receipt
/// promises can be read off the replica's rows.
final class SyncHarness {
  struct Options {
    /// Its second table has the markers, which must neither be refused nor go away.
    var model = TestModel.tiny
    /// What the replica keeps embeddings as; `differences` wants them as the servers have them.
    var weightFormat = WeightFormat.float32
    var servers = 2
    var shards = 4
    var partitions = 2
    var deltaLogBytes = 1 << 20
    var chunkBytes = 1 << 18
    var deltaBodyBytes = 1 << 20
    /// What embeddings travel as; `differences` takes it into account.
    var syncWeights = WeightFormat.float32
    /// In percent, for each frame.
    var drops = 0
    var repeats = 0
    var corruptions = 0
    var swaps = 0
    /// In percent, for each round.
    var restarts = 0
    var disconnects = 0
    var removesRows = true
    var fids = 60
    /// Whether the replica's copy can be saved.
    var isSaved = false
    /// Whether everything is copied before the first example.
    var startsWithBase = false
    /// Event time that passes from one offset to the next.
    var minutesPerOffset: UInt32 = 0
  }

  let options: Options
  var model: TestModel { options.model }
  let map: ShardMap
  private(set) var replica: Replica
  private(set) var servers: [ShardServer] = []
  private var random: SeededGenerator
  private var now = Instant(nanoseconds: 1)
  private var requests: [(server: ServerID, body: [UInt8])] = []
  /// The end of each partition's log.
  private var ends: [Int64]
  private(set) var sent: [BatchReceipt] = []
  private(set) var released: [BatchReceipt] = []
  private(set) var problems: [String] = []
  private(set) var restarted = 0
  private var wasReady = false
  private let markerTable = 1

  init(_ options: Options, seed: UInt64) {
    self.options = options
    random = SeededGenerator(seed: seed)
    map = ShardMap(shardCount: options.shards, serverCount: options.servers)
    ends = Array(repeating: 0, count: options.partitions)
    replica = Replica(
      tables: options.model.tables, map: map, weightFormat: options.weightFormat, compressor: RunLengthCompressor(),
      seed: seed, isSaved: options.isSaved, restored: nil)
    for number in 0..<options.servers { servers.append(makeServer(number)) }
    for number in servers.indices { deliver(.connected(ServerID(number))) }
  }

  private func makeServer(_ number: Int) -> ShardServer {
    let server = model.server(
      number, of: map, generation: random.next() | 1, deltaLogBytes: options.deltaLogBytes,
      chunkBytes: options.chunkBytes, deltaBodyBytes: options.deltaBodyBytes, syncWeights: options.syncWeights)
    // What a life has that no other one has must disappear with it.
    for _ in 0..<options.partitions { push(to: server, rows: 20, partition: 0, to: 0, reports: false) }
    return server
  }

  private func marker(_ shard: ShardID, _ partition: Int) -> Fid {
    TestModel.fid(of: shard, map: map, number: partition)
  }

  // MARK: - Servers

  /// Random gradients, and markers moved to `to`. Nothing if the server has had it.
  private func push(to server: ShardServer, rows: Int, partition number: Int, to: Int64, reports: Bool) {
    let partition = PartitionID(Int32(number))
    let claim = server.claim(partition)
    let from = claim.watermarks.map(\.watermark.value).min()!
    guard from < to || from < 0 else { return }
    var sections: [TestSection] = []
    for shard in map.shards(of: server.configuration.server) {
      let step = Float(to - max(0, from))
      sections.append(
        TestSection(shard: shard, table: markerTable, fids: [marker(shard, number)], gradients: [0, -step]))
    }
    for _ in 0..<rows {
      let fid = Fid.random(in: 0..<Fid(options.fids), using: &random)
      let shard = map.shard(of: fid)
      guard map.owner(of: shard) == server.configuration.server else { continue }
      let table = Int(random.next() % UInt64(model.tables.denseTable))
      let width = model.tables.layouts[table].width
      sections.append(
        TestSection(
          shard: shard, table: table, fids: [fid],
          gradients: (0..<width).map { _ in Float.random(in: -1...1, using: &random) }))
    }
    for fid in model.tables.denseLayout.fids where map.owner(of: map.shard(of: fid)) == server.configuration.server {
      sections.append(
        TestSection(
          shard: map.shard(of: fid), table: model.tables.denseTable, fids: [fid],
          gradients: (0..<DenseLayout.chunkWidth).map { _ in Float.random(in: -0.1...0.1, using: &random) }))
    }
    let minutes = 5 + UInt32(to) * options.minutesPerOffset
    let report = BatchReport(
      tasks: [BatchReport.Task(loss: 0, predicted: 0, predictions: [])], exampleCount: Int(to - max(0, from)),
      oldestIngest: UnixTime(milliseconds: to), newestIngest: UnixTime(milliseconds: to))
    do {
      _ = try server.push(
        TestSection.push(sections, minutes: minutes, report: reports ? report : nil), partition, claim.epoch, from, to)
    } catch {
      problems.append("push: \(error)")
    }
  }

  /// A new batch for all servers; one that restarted gets all before it as well.
  private func train() {
    let number = Int.random(in: 0..<options.partitions, using: &random)
    let partition = PartitionID(Int32(number))
    let from = ends[number]
    ends[number] += Int64.random(in: 1...5, using: &random)
    for server in servers {
      if from > 0 { push(to: server, rows: 5, partition: number, to: from, reports: false) }
      push(to: server, rows: 12, partition: number, to: ends[number], reports: true)
    }
    let time = UnixTime(milliseconds: ends[number])
    sent.append(
      BatchReceipt(
        partition: partition, end: Offset(ends[number]), exampleCount: Int(ends[number] - from), oldestIngest: time,
        newestIngest: time))
  }

  private func removeRows() {
    for shard in servers.flatMap(\.hostedShards) {
      let fids = (0..<4).map { _ in Fid.random(in: 0..<Fid(options.fids), using: &random) }
      fids.withUnsafeBufferPointer { _ = shard.tables[Int(random.next() % 2)].remove($0) }
    }
  }

  // MARK: - Lines

  private func deliver(_ event: ReplicaEvent) {
    for action in replica.handle(event, now: now) {
      switch action {
      case .sync(let server, let body): requests.append((server, body))
      case .fresh(let receipt): release(receipt)
      case .notice: break
      }
    }
    if wasReady && !replica.isReady { problems.append("no longer ready") }
    wasReady = replica.isReady
  }

  private func release(_ receipt: BatchReceipt) {
    released.append(receipt)
    for shard in (0..<options.shards).map({ ShardID($0) }) {
      let row = replica.shards[Int(shard.value)].tables[markerTable].weights(
        marker(shard, Int(receipt.partition.value)))
      if row.weights[1] < Float(receipt.end.value) {
        problems.append("receipt \(receipt.end) of \(receipt.partition): shard \(shard) is at \(row.weights[1])")
      }
    }
  }

  /// Answers the replica's requests, each with what the line does to the frames.
  func answer(faulty: Bool) {
    let asked = requests
    requests = []
    for (server, body) in asked {
      do {
        let request = try body.withUnsafeBytes { try SyncRequest(decoding: $0) }
        var frames = try servers[server.value].sync(
          request, limitBytes: ShardServer.syncReplyBytes, compressor: RunLengthCompressor())
        if faulty { disturb(&frames) }
        for frame in frames { frame.withUnsafeBytes { deliver(.frame(server, $0)) } }
        seen += frames.suffix(2)
        if seen.count > 40 { seen.removeFirst(20) }
      } catch {
        problems.append("sync: \(error)")
      }
      if faulty && chance(options.disconnects) {
        deliver(.disconnected(server, reason: "broken"))
        deliver(.connected(server))
      } else {
        deliver(.answered(server, .success(())))
      }
    }
    now = now.advanced(byMs: 100)
    deliver(.tick)
  }

  /// Frames of earlier answers, to come again much later.
  private var seen: [[UInt8]] = []

  private func disturb(_ frames: inout [[UInt8]]) {
    frames.removeAll { _ in chance(options.drops) }
    for index in frames.indices.reversed() where chance(options.repeats) {
      frames.insert(frames[index], at: Int.random(in: index...frames.count, using: &random))
    }
    if chance(options.repeats), let old = seen.randomElement(using: &random) {
      frames.insert(old, at: Int.random(in: 0...frames.count, using: &random))
    }
    for index in frames.indices where chance(options.swaps) {
      frames.swapAt(index, Int.random(in: frames.indices, using: &random))
    }
    for index in frames.indices where chance(options.corruptions) {
      if Bool.random(using: &random) {
        frames[index].removeLast(Int.random(in: 1...frames[index].count, using: &random))
      } else {
        frames[index][Int.random(in: frames[index].indices, using: &random)] ^= UInt8.random(
          in: 1...255, using: &random)
      }
    }
  }

  private func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  // MARK: - Running

  func run(rounds: Int, each: () -> Void = {}) {
    if options.startsWithBase { for _ in 0..<80 { answer(faulty: false) } }
    for _ in 0..<rounds {
      for _ in 0..<Int.random(in: 0...3, using: &random) { train() }
      if options.removesRows && chance(40) { removeRows() }
      if options.minutesPerOffset > 0 { sweep(atMost: Int.random(in: 0...3, using: &random)) }
      if chance(70) { seal() }
      if chance(options.restarts) {
        let number = Int.random(in: servers.indices, using: &random)
        servers[number] = makeServer(number)
        restarted += 1
        requests.removeAll { $0.server.value == number }
        deliver(.disconnected(ServerID(number), reason: "restarted"))
        deliver(.connected(ServerID(number)))
      }
      answer(faulty: true)
      each()
    }
    // Quiet: everybody gets everything, the last changes are sealed, the lines are good.
    for partition in 0..<options.partitions where ends[partition] > 0 {
      for server in servers { push(to: server, rows: 0, partition: partition, to: ends[partition], reports: false) }
    }
    sweep(atMost: .max)
    seal()
    for _ in 0..<80 {
      answer(faulty: false)
      each()
    }
  }

  /// Another replica takes the place of the present one.
  func replace(_ replica: Replica) {
    self.replica = replica
    requests = []
    wasReady = replica.isReady
    for number in servers.indices { deliver(.connected(ServerID(number))) }
  }

  /// All servers begin anew.
  func restartServers() {
    for number in servers.indices { servers[number] = makeServer(number) }
  }

  private func sweep(atMost limit: Int) {
    for server in servers {
      var left = limit
      while left > 0, server.sweepExpired() { left -= 1 }
    }
  }

  private func seal() {
    for server in servers { _ = server.sealDeltas(includingDense: true, compressor: RunLengthCompressor()) }
  }

  /// Rows that differ, exist on one side only, or do not belong.
  var differences: [String] {
    var differences: [String] = []
    for shard in servers.flatMap(\.hostedShards) {
      for (number, table) in shard.tables.enumerated() {
        let copy = replica.shards[Int(shard.id.value)].tables[number]
        copy.checkInvariants()
        let format = options.model.tables.syncFormats(options.syncWeights)[number]
        let mine = Self.rows(table).mapValues { weights in
          var weights = weights
          weights.withUnsafeMutableBufferPointer { format.round($0) }
          return weights
        }
        let theirs = Self.rows(copy)
        for fid in Set(mine.keys).union(theirs.keys) where mine[fid] != theirs[fid] {
          differences.append(
            "shard \(shard.id) table \(number) fid \(fid): \(mine[fid].map { "\($0.prefix(2))" } ?? "none") there, "
              + "\(theirs[fid].map { "\($0.prefix(2))" } ?? "none") here")
        }
      }
    }
    return differences
  }

  private static func rows(_ table: EmbeddingTable) -> [Fid: [Float]] {
    var rows: [Fid: [Float]] = [:]
    let width = table.layout.width
    _ = table.scan(from: 0, limit: .max) { fid, weights in
      rows[fid] = Array(UnsafeBufferPointer(start: weights, count: width))
    }
    return rows
  }
}

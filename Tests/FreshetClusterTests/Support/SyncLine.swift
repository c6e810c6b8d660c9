import FreshetCore
import FreshetModel
import FreshetTable

@testable import FreshetCluster

/// One server with one shard, its desk, and some replicas, on a clock of its own. Nothing is lost here.
final class SyncLine {
  let model = TestModel.tiny
  let server: ShardServer
  private(set) var desk: SyncDesk
  private(set) var replicas: [Replica] = []
  private var now = Instant(nanoseconds: 1_000_000_000)
  private(set) var elapsedMs = 0
  /// By the desk's number, which replica asked what.
  private var asking: [UInt64: (replica: Int, request: SyncRequest)] = [:]
  private var requests: UInt64 = 0
  /// Whether the server has ended.
  private var isClosed = false
  private var offset: Int64 = 0
  /// Replicas get their answers when this is over.
  var isStalled = false { didSet { if !isStalled { deliverHeld() } } }
  private var held: [(replica: Int, frames: [[UInt8]])] = []
  private(set) var sentBytes = 0
  private(set) var largestAnswer = 0
  private(set) var emptyAnswersWithNews = 0
  private(set) var busy = 0
  /// Examples of the receipts that the first replica has released.
  private(set) var measured = 0
  /// Examples pushed.
  private(set) var pushed = 0

  init(
    _ settings: SyncDesk.Settings, replicas count: Int = 1, deltaLogBytes: Int = 1 << 20, chunkBytes: Int = 1 << 18,
    startsConnected: Bool = true
  ) {
    desk = SyncDesk(settings: settings)
    let map = ShardMap(shardCount: 1, serverCount: 1)
    server = model.server(of: map, deltaLogBytes: deltaLogBytes, chunkBytes: chunkBytes)
    replicas = (0..<count).map {
      Replica(
        tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: UInt64($0))
    }
    if startsConnected { connect() }
  }

  func connect() { for number in replicas.indices { tell(number, .connected(ServerID(0))) } }

  /// Moves these rows, and one of the dense tensors', by −1: one example.
  func push(_ fids: [Fid], dense: Fid? = nil) throws {
    let claim = server.claim(PartitionID(0))
    var sections = [
      TestSection(
        shard: ShardID(0), table: 0, fids: fids, gradients: [Float](repeating: 1, count: fids.count * 2))
    ]
    if let dense {
      sections.append(
        TestSection(shard: ShardID(0), table: 2, fids: [dense], gradients: [Float](repeating: 1, count: 256)))
    }
    let time = UnixTime(milliseconds: 1)
    let report = BatchReport(
      tasks: [BatchReport.Task(loss: 0, predicted: 0, predictions: [])], exampleCount: 1, oldestIngest: time,
      newestIngest: time)
    let from = claim.watermarks[0].watermark.value
    _ = try server.push(
      TestSection.push(sections, report: report), PartitionID(0), claim.epoch, from, offset + 1)
    offset += 1
    pushed += 1
    perform(desk.handle(.pushed, shards: server, compressor: NoCompressor(), now: now))
  }

  func run(milliseconds: Int) {
    for _ in 0..<milliseconds / SyncDesk.tickMs {
      now = now.advanced(byMs: SyncDesk.tickMs)
      elapsedMs += SyncDesk.tickMs
      perform(desk.handle(.tick, shards: server, compressor: NoCompressor(), now: now))
      for number in replicas.indices { tell(number, .tick) }
    }
  }

  func close() {
    isClosed = true
    perform(desk.handle(.closing, shards: server, compressor: NoCompressor(), now: now))
  }

  /// Whether the first replica has the row.
  func has(_ fid: Fid) -> Bool { replicas[0].shards[0].tables[0].contains(fid) }

  /// Rows that a replica has otherwise than the server, or that only one of them has.
  func differences(_ number: Int) -> Int {
    zip(server.hostedShards[0].tables, replicas[number].shards[0].tables).reduce(0) { sum, tables in
      let mine = rows(tables.0)
      let theirs = rows(tables.1)
      return sum + Set(mine.keys).union(theirs.keys).count { mine[$0] != theirs[$0] }
    }
  }

  private func rows(_ table: EmbeddingTable) -> [Fid: [Float]] {
    var rows: [Fid: [Float]] = [:]
    _ = table.scan(from: 0, limit: .max) { fid, weights in
      rows[fid] = Array(UnsafeBufferPointer(start: weights, count: table.layout.width))
    }
    return rows
  }

  // MARK: - Between desk and replicas

  private func tell(_ number: Int, _ event: ReplicaEvent) {
    for action in replicas[number].handle(event, now: now) {
      switch action {
      case .sync(_, let body): ask(number, body)
      case .fresh(let receipt): if number == 0 { measured += receipt.exampleCount }
      case .notice: break
      }
    }
  }

  private func ask(_ number: Int, _ body: [UInt8]) {
    guard !isClosed else { return }
    guard let request = try? body.withUnsafeBytes({ try SyncRequest(decoding: $0) }) else {
      preconditionFailure("a replica's request cannot be read")
    }
    requests += 1
    asking[requests] = (number, request)
    perform(desk.handle(.asked(id: requests, request), shards: server, compressor: NoCompressor(), now: now))
  }

  private func perform(_ actions: [SyncAction]) {
    for action in actions {
      switch action {
      case .answer(let id, let frames):
        let (replica, request) = asking.removeValue(forKey: id)!
        let bytes = frames.reduce(0) { $0 + $1.count }
        sentBytes += bytes
        largestAnswer = max(largestAnswer, bytes)
        if frames.isEmpty, (try? server.hasNews(for: request)) != false { emptyAnswersWithNews += 1 }
        held.append((replica, frames))
      case .refuse(let id, let error):
        tell(asking.removeValue(forKey: id)!.replica, .answered(ServerID(0), .failure(error)))
      case .busy(let id, let reason):
        busy += 1
        tell(asking.removeValue(forKey: id)!.replica, .answered(ServerID(0), .failure(ClusterError(.loading, reason))))
      }
    }
    deliverHeld()
  }

  private func deliverHeld() {
    guard !isStalled else { return }
    while !held.isEmpty {
      let (replica, frames) = held.removeFirst()
      for frame in frames { frame.withUnsafeBytes { tell(replica, .frame(ServerID(0), $0)) } }
      tell(replica, .answered(ServerID(0), .success(())))
    }
  }
}

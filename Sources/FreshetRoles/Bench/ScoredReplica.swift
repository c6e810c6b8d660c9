import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire

/// A replica of the shipped MovieLens model with a row for every user, item and value, in one process: what requests for scores
/// are measured on.
final class ScoredReplica {
  private static let partition = PartitionID(0)
  private static let rowsPerPush = 2048

  let model = ModelSpec.movieLens
  let engine: ServingEngine
  private let users: Int
  private let items: Int
  private let tables: ModelTables
  private let map: ShardMap
  private let server: ShardServer
  private let replica: Replica
  private let epoch: Epoch
  private var offset: Int64 = 0

  init(users: Int, items: Int, shards: Int) throws {
    self.users = users
    self.items = items
    tables = try ModelTables(model)
    map = ShardMap(shardCount: shards, serverCount: 1)
    server = ShardServer(
      configuration: .init(
        map: map, server: ServerID(0), layouts: tables.layouts, generation: 1, deltaLogBytes: 64 << 20,
        maximumRows: 1 << 16))
    epoch = server.claim(Self.partition).epoch
    replica = Replica(tables: tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let catalog = ServingCatalog(extractor: try FeatureExtractor(model))
    engine = try ServingEngine(
      model: model, reader: replica.makeReader(), catalog: catalog, limits: ServingLimits(maxCandidates: 10_000))
    try fill(catalog)
  }

  private func fill(_ catalog: ServingCatalog) throws {
    let genres = (0..<18).map { "genre\($0)" }
    let notices = catalog.apply(
      ItemBatch(
        records: (1...items).map { item in
          let own = (0...item % 3).map { "\"\(genres[(item * 7 + $0 * 5) % 18])\"" }.joined(separator: ",")
          return ItemRecord(
            partition: Self.partition, offset: Offset(Int64(item)), key: nil,
            value: Array("{\"item_id\":\(item),\"year\":\(1920 + item % 81),\"genres\":[\(own)]}".utf8))
        }, isCaughtUp: true), to: replica)
    precondition(notices.isEmpty, "\(notices)")
    var fids = (1...users).map { Hashing.fid(slot: "user_id", value: "\($0)") }
    fids += (1...items).map { Hashing.fid(slot: "item_id", value: "\($0)") }
    fids += (0..<81).map { Hashing.fid(slot: "year", value: "\(1920 + $0)") }
    fids += genres.map { Hashing.fid(slot: "genres", value: $0) }
    fids += ["F", "M"].map { Hashing.fid(slot: "gender", value: $0) }
    fids += (0..<60).map { Hashing.fid(slot: "age", value: "\($0)") }
    fids += (0..<21).map { Hashing.fid(slot: "occupation", value: "\($0)") }
    fids += (10..<100).map { Hashing.fid(slot: "zip", value: "\($0)") }
    for first in stride(from: 0, to: fids.count, by: Self.rowsPerPush) {
      try push(Array(fids[first..<min(first + Self.rowsPerPush, fids.count)]), table: 0)
    }
    try push(tables.denseLayout.fids, table: tables.denseTable)
    _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
    sync(replica.handle(.connected(ServerID(0)), now: .now()))
    precondition(replica.isReady)
  }

  /// Applies a random gradient to distinct rows.
  private func push(_ fids: [Fid], table: Int) throws {
    let sorted = fids.sorted { map.shard(of: $0).value < map.shard(of: $1).value }
    var sections: [RowSection] = []
    for shard in 0..<map.shardCount {
      let count = sorted.count { map.shard(of: $0) == ShardID(shard) }
      if count > 0 { sections.append(RowSection(shard: ShardID(shard), table: table, count: count)) }
    }
    var body = BinaryWriter(capacity: 1 << 16)
    sorted.withUnsafeBufferPointer {
      PushRequest.encodeHead(minutes: 1, report: nil, sections: sections, fids: $0, into: &body)
    }
    let gradients = sorted.flatMap { fid -> [Float] in
      var generator = SeededGenerator(seed: fid)
      return (0..<tables.layouts[table].width).map { _ in Float(generator.nextUnit()) - 0.5 }
    }
    gradients.withUnsafeBufferPointer { body.write(floats: $0) }
    _ = try body.bytes.withUnsafeBytes {
      try server.push(
        $0, partition: Self.partition, epoch: epoch, from: offset == 0 ? .none : Offset(offset), to: Offset(offset + 1))
    }
    offset += 1
  }

  private func sync(_ actions: [ReplicaAction]) {
    for case .sync(let id, let body) in actions {
      do {
        let request = try body.withUnsafeBytes { try SyncRequest(decoding: $0) }
        let frames = try server.sync(request, limitBytes: 8 << 20, compressor: NoCompressor())
        guard !frames.isEmpty else { continue }
        for frame in frames { sync(frame.withUnsafeBytes { replica.handle(.frame(id, $0), now: .now()) }) }
        sync(replica.handle(.answered(id, .success(())), now: .now()))
      } catch {
        preconditionFailure("a sync of the benchmark was refused: \(error)")
      }
    }
  }

  /// Changes a row of one user and the dense tensors, as a delta does.
  func change() throws {
    try push([Hashing.fid(slot: "user_id", value: "1")], table: 0)
    try push(tables.denseLayout.fids, table: tables.denseTable)
    _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
    // The replica's last request found nothing and was not repeated; a new connection asks again.
    _ = replica.handle(.disconnected(ServerID(0), reason: "asks again"), now: .now())
    sync(replica.handle(.connected(ServerID(0)), now: .now()))
  }

  // MARK: - Requests

  private func context(_ number: Int) -> [String] {
    [
      "user_id=\(1 + number * 7919 % users)", "gender=\(number % 2 == 0 ? "F" : "M")", "age=\(18 + number % 40)",
      "occupation=\(number % 21)", "zip=\(10_000 + number * 37 % 90_000)",
    ]
  }

  func scoreRequest(_ number: Int, candidates: Int) -> RESPRequest {
    var random = SeededGenerator(seed: UInt64(number))
    let ids = (0..<candidates).map { _ in String(1 + Int(random.next() % UInt64(items))) }
    return RESPRequest(["SCORE", model.name] + context(number) + ["CANDIDATES", "item_id"] + ids)
  }

  func recommendation(_ number: Int, topK: Int) throws -> Recommendation {
    try engine.beginRecommendation(
      model: model.name,
      fields: context(number).map { word in
        let parts = word.split(separator: "=")
        return RequestField(name: String(parts[0]), value: String(parts[1]))
      }, topK: topK, filters: [], exclude: [])
  }
}

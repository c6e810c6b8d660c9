import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetTable
import FreshetWire
import NIOCore
import Testing

@testable import FreshetRoles

/// Two parameter servers and a serving engine in one thread, without sockets.
final class ServeFixture {
  /// Every kind of slot, tables of different dimensions, a dense feature and two tasks.
  static let model = ModelSpec(
    name: "shop", userKey: 0, itemKey: 1,
    fields: [
      FieldSpec(name: "user_id", type: .integer),
      FieldSpec(name: "item_id", type: .integer),
      FieldSpec(name: "gender"),
      FieldSpec(name: "age", type: .integer),
      FieldSpec(name: "zip"),
      FieldSpec(name: "tags", multi: true),
      FieldSpec(name: "year", type: .integer, source: .item),
      FieldSpec(name: "genres", multi: true, source: .item),
    ],
    slots: [
      SlotSpec(name: "user", index: 0, fields: [0]),
      SlotSpec(name: "item", index: 1, fields: [1]),
      SlotSpec(name: "age", index: 2, fields: [3], transform: .bucketize(boundaries: [18, 35, 50])),
      SlotSpec(name: "zip", index: 3, fields: [4], transform: .prefix(characters: 2), table: 1),
      SlotSpec(name: "tags", index: 4, fields: [5], table: 1, pooling: .sum),
      SlotSpec(name: "genres", index: 5, fields: [7], pooling: .mean),
      SlotSpec(name: "taste", index: 6, fields: [2, 7], pooling: .mean),
    ],
    denseFeatures: [
      DenseFeatureSpec(name: "year", field: 6, transform: .standardize(mean: 1990, deviation: 10), defaultValue: 0.25)
    ],
    tables: [
      TableSpec(name: "ids", dimension: 8, optimizer: .sgd(learningRate: 1), initialDeviation: 0.2, seed: 1),
      TableSpec(name: "values", dimension: 11, optimizer: .sgd(learningRate: 1), initialDeviation: 0.2, seed: 2),
    ],
    network: NetworkSpec(
      kind: .deepFM, factorizedSlots: [0, 1, 2, 5, 6], hidden: [12, 6], optimizer: .sgd(learningRate: 1)),
    tasks: [
      TaskSpec(name: "click", action: "click", positive: .presence),
      TaskSpec(name: "buy", action: "buy", positive: .presence),
    ])

  static let items = (1...40).map { id in
    """
    {"item_id":\(id),"title":"Item \(id)","year":\(1960 + id),"genres":\(id % 5 == 0 ? "[]" : "[\"g\(id % 3)\",\"g\(id % 7)\"]")}
    """
  }

  let tables: ModelTables
  let map = ShardMap(shardCount: 6, serverCount: 2)
  private(set) var servers: [ShardServer]
  let replica: Replica
  let engine: ServingEngine
  private var offset: Int64 = 0

  init(maxCandidates: Int = 1000) throws {
    tables = try ModelTables(Self.model)
    let (map, layouts) = (map, tables.layouts)
    servers = (0..<2).map { Self.makeServer(map, layouts, number: $0, generation: UInt64(7 + $0)) }
    replica = Replica(tables: tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    engine = try ServingEngine(
      model: Self.model, reader: replica.makeReader(),
      catalog: ServingCatalog(extractor: try FeatureExtractor(Self.model)),
      limits: ServingLimits(maxCandidates: maxCandidates))
  }

  /// With trained rows for users 1...5 and all items, copied and with a catalog.
  static func ready(maxCandidates: Int = 1000) throws -> ServeFixture {
    let fixture = try ServeFixture(maxCandidates: maxCandidates)
    try fixture.train(seed: 11)
    fixture.loadItems(items)
    try fixture.connect()
    return fixture
  }

  private static func makeServer(
    _ map: ShardMap, _ layouts: [TableLayout], number: Int, generation: UInt64
  ) -> ShardServer {
    ShardServer(
      configuration: .init(
        map: map, server: ServerID(number), layouts: layouts, generation: generation, deltaLogBytes: 1 << 20,
        maximumRows: 10_000))
  }

  // MARK: - Training

  /// Rows that the fixture trains: fids by table.
  private static func trainedFids(_ tables: ModelTables) -> [[Fid]] {
    var ids: [Fid] = []
    for user in 1...5 { ids.append(Hashing.fid(slot: "user", value: "\(user)")) }
    for item in 1...40 { ids.append(Hashing.fid(slot: "item", value: "\(item)")) }
    for bucket in 0...3 { ids.append(Hashing.fid(slot: "age", value: "\(bucket)")) }
    for genre in 0..<7 { ids.append(Hashing.fid(slot: "genres", value: "g\(genre)")) }
    for genre in 0..<7 {
      for gender in ["F", "M"] { ids.append(Hashing.fid(slot: "taste", value: "\(gender)\u{1f}g\(genre)")) }
    }
    var values: [Fid] = []
    for zip in ["48", "10"] { values.append(Hashing.fid(slot: "zip", value: zip)) }
    for tag in ["x", "y"] { values.append(Hashing.fid(slot: "tags", value: tag)) }
    return [ids, values, tables.denseLayout.fids]
  }

  /// The body of a push with a random gradient for every row of one server, as the sum of a batch of three examples.
  static func pushBody(
    server: ServerID, map: ShardMap, tables: ModelTables, seed: UInt64, ingest: UnixTime
  ) -> [UInt8] {
    var sections: [RowSection] = []
    var fids: [Fid] = []
    var gradients: [Float] = []
    for shard in map.shards(of: server) {
      for (table, candidates) in trainedFids(tables).enumerated() {
        let mine = candidates.filter { map.shard(of: $0) == shard }
        guard !mine.isEmpty else { continue }
        sections.append(RowSection(shard: shard, table: table, count: mine.count))
        fids += mine
        for fid in mine {
          var generator = SeededGenerator(seed: seed ^ fid)
          for _ in 0..<tables.layouts[table].width { gradients.append(Float(generator.nextUnit()) - 0.5) }
        }
      }
    }
    let report = BatchReport(
      tasks: model.tasks.map { _ in BatchReport.Task(loss: 0, predicted: 0, predictions: []) }, exampleCount: 3,
      oldestIngest: ingest, newestIngest: UnixTime(milliseconds: ingest.milliseconds + 500))
    var writer = BinaryWriter(capacity: 1024)
    fids.withUnsafeBufferPointer {
      PushRequest.encodeHead(minutes: 1, report: report, sections: sections, fids: $0, into: &writer)
    }
    gradients.withUnsafeBufferPointer { writer.write(floats: $0) }
    return writer.bytes
  }

  func train(seed: UInt64, ingest: UnixTime = UnixTime(milliseconds: 1_000)) throws {
    let partition = PartitionID(0)
    for server in servers.indices {
      let claim = servers[server].claim(partition)
      let body = Self.pushBody(server: ServerID(server), map: map, tables: tables, seed: seed, ingest: ingest)
      let outcome = try body.withUnsafeBytes {
        try servers[server].push(
          $0, partition: partition, epoch: claim.epoch, from: claim.watermarks[0].watermark, to: Offset(offset + 1))
      }
      #expect(outcome == .applied)
      _ = servers[server].sealDeltas(includingDense: true, compressor: NoCompressor())
    }
    offset += 1
  }

  /// The server comes back with nothing.
  func restart(server number: Int, generation: UInt64) {
    servers[number] = Self.makeServer(map, tables.layouts, number: number, generation: generation)
  }

  // MARK: - Sync

  @discardableResult
  func connect() throws -> [ReplicaAction] {
    try servers.indices.flatMap { try connect(server: $0) }
  }

  /// - Returns: What the replica reported on the way.
  @discardableResult
  func connect(server: Int) throws -> [ReplicaAction] {
    try perform(replica.handle(.connected(ServerID(server)), now: .now()))
  }

  func disconnect(server: Int) {
    _ = replica.handle(.disconnected(ServerID(server), reason: "gone"), now: .now())
  }

  /// Answers `SYNC` until there is no news.
  private func perform(_ actions: [ReplicaAction]) throws -> [ReplicaAction] {
    var reported: [ReplicaAction] = []
    for action in actions {
      guard case .sync(let server, let body) = action else {
        reported.append(action)
        continue
      }
      let request = try body.withUnsafeBytes { try SyncRequest(decoding: $0) }
      let frames = try servers[server.value].sync(
        request, limitBytes: ShardServer.syncReplyBytes, compressor: NoCompressor())
      if frames.isEmpty { continue }
      for frame in frames {
        reported += try perform(frame.withUnsafeBytes { replica.handle(.frame(server, $0), now: .now()) })
      }
      reported += try perform(replica.handle(.answered(server, .success(())), now: .now()))
    }
    return reported
  }

  // MARK: - Items

  @discardableResult
  func loadItems(_ records: [String], isCaughtUp: Bool = true) -> [String] {
    engine.catalog.apply(
      ItemBatch(
        records: records.enumerated().map {
          ItemRecord(partition: PartitionID(0), offset: Offset(Int64($0)), key: nil, value: Array($1.utf8))
        }, isCaughtUp: isCaughtUp), to: replica)
  }

  func deleteItem(_ key: String) -> [String] {
    engine.catalog.apply(
      ItemBatch(records: [
        ItemRecord(partition: PartitionID(0), offset: Offset(99), key: Array(key.utf8), value: nil)
      ]), to: replica)
  }

  // MARK: - Requests

  /// Sends a request through the commands' parser and the replies' encoder and decoder.
  func ask(_ words: [String]) throws -> RESPValue {
    var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v3)
    let request = RESPRequest(words)
    switch try ServingCommand(request, limits: engine.limits) {
    case .score: engine.write(try engine.score(request), to: &encoder)
    case .scoreJSON: engine.write(try engine.scoreJSON(request), to: &encoder)
    case .recommend(let model, let fields, let topK, let filters, let exclude):
      let recommendation = try engine.beginRecommendation(
        model: model, fields: fields, topK: topK, filters: filters, exclude: exclude)
      while try !engine.advance(recommendation) {}
      encoder.write(recommendation: recommendation.result)
    case .models: engine.writeModels(to: &encoder, now: .now())
    case .row(let table, let fid): encoder.write(row: try engine.row(table: table, fid: fid))
    case .info, .checksum, .promote: Issue.record("the endpoint answers that")
    }
    var decoder = RESPReplyDecoder(limits: .replies)
    decoder.append(encoder.buffer)
    return try #require(try decoder.next())
  }

  func ask(_ line: String) throws -> RESPValue { try ask(line.split(separator: " ").map(String.init)) }

  func scores(_ line: String) throws -> [Double] { try doubles(ask(line)) }
  func scores(json: String) throws -> [Double] { try doubles(ask(["SCOREJSON", "shop", json])) }

  private func doubles(_ value: RESPValue) throws -> [Double] {
    if let single = value.double { return [single] }
    return try #require(value.elements).map { try #require($0.double) }
  }

  func recommendation(_ line: String) throws -> [(id: String, score: Double)] {
    let flat = try #require(try ask(line).elements)
    return try stride(from: 0, to: flat.count, by: 2).map {
      (try #require(flat[$0].text), try #require(flat[$0 + 1].double))
    }
  }

  /// The error that the request is refused with, `CODE message`.
  func refusal(_ words: [String]) -> String {
    do {
      return "answered: \(try ask(words))"
    } catch let error as WireError {
      return "\(error.code) \(error.message)"
    } catch {
      return "\(error)"
    }
  }

  func refusal(_ line: String) -> String { refusal(line.split(separator: " ").map(String.init)) }
}

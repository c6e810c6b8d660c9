import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire

/// One parameter server, its trainer and a replica in one process, without sockets between them.
final class TrainedServer {
  private static let partition = PartitionID(0)
  private static let id = ServerID(0)

  let engine: ServingEngine
  private let server: ShardServer
  private let trainer: Trainer
  private let replica: Replica
  private let taskCount: Int
  private var attempt: UInt64 = 0
  private let now = Instant.now()

  init(_ model: ModelSpec, items: [ItemRecord], batchSize: Int, microBatchSize: Int) throws {
    let tables = try ModelTables(model)
    let map = ShardMap(shardCount: 4, serverCount: 1)
    taskCount = model.tasks.count
    server = ShardServer(
      configuration: .init(
        map: map, server: Self.id, layouts: tables.layouts, generation: 1, deltaLogBytes: 256 << 20,
        maximumRows: 1 << 18))
    trainer = Trainer(
      configuration: .init(
        tables: tables, map: map, batchSize: batchSize, microBatchSize: microBatchSize, pipelineDepth: 1,
        maximumUnacknowledged: 1, allowsGap: false, seed: 1))
    replica = Replica(tables: tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: 1)
    let catalog = ServingCatalog(extractor: try FeatureExtractor(model))
    engine = try ServingEngine(
      model: model, reader: replica.makeReader(), catalog: catalog, limits: ServingLimits(maxCandidates: 10_000))
    apply(items)
    try handle(.connected(Self.id))
    try handle(.assigned(Self.partition))
  }

  /// Takes up records of items and enrichments.
  func apply(_ records: [ItemRecord]) {
    let notices = engine.catalog.apply(ItemBatch(records: records, isCaughtUp: true), to: replica)
    precondition(notices.isEmpty, "\(notices)")
  }

  func train(_ batch: ExampleBatch) throws { try handle(.examples(Self.partition, attempt: attempt, batch)) }

  /// Progressive validation of everything that has been learned, of the first task.
  var validation: ValidationWindow { server.validation(taskCount: taskCount).tasks[0].total }

  private func handle(_ event: TrainerEvent) throws {
    var actions = trainer.handle(event, now: now)
    while !actions.isEmpty {
      var next: [TrainerAction] = []
      for action in actions { next += try perform(action) }
      actions = next
    }
  }

  private func perform(_ action: TrainerAction) throws -> [TrainerAction] {
    switch action {
    case .claim(let id, let partition, let attempt):
      let reply = server.claim(partition)
      return trainer.handle(.claimed(id, partition, attempt: attempt, .success(reply)), now: now)
    case .locate(let partition, let attempt):
      return trainer.handle(
        .located(partition, attempt: attempt, start: Offset(0), end: Offset(.max)), now: now)
    case .fetch(_, let attempt, _):
      self.attempt = attempt
      return []
    case .pull(let id, let partition, let attempt, let batch, let body):
      let rows = try body.withUnsafeBytes { try server.pull($0) }
      return trainer.handle(
        .pulled(id, partition, attempt: attempt, batch: batch, .success(UnsafeRawBufferPointer(rows))), now: now)
    case .push(let id, let partition, let attempt, let batch, let epoch, let from, let to, let body):
      _ = try body.withUnsafeBytes { try server.push($0, partition: partition, epoch: epoch, from: from, to: to) }
      return trainer.handle(.pushed(id, partition, attempt: attempt, batch: batch, .success(())), now: now)
    case .fail(let error): throw error
    case .fetchPass, .stopFetching, .consumed, .commit, .notice: return []
    }
  }

  /// Brings the replica up to what has been learned.
  func synchronise() throws {
    _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
    // The replica's last request found nothing and was not repeated; a new connection asks again.
    _ = replica.handle(.disconnected(Self.id, reason: "asks again"), now: now)
    var actions = replica.handle(.connected(Self.id), now: now)
    while !actions.isEmpty {
      var next: [ReplicaAction] = []
      for case .sync(let id, let body) in actions {
        let request = try body.withUnsafeBytes { try SyncRequest(decoding: $0) }
        let frames = try server.sync(request, limitBytes: 8 << 20, compressor: NoCompressor())
        guard !frames.isEmpty else { continue }
        for frame in frames { next += frame.withUnsafeBytes { replica.handle(.frame(id, $0), now: now) } }
        next += replica.handle(.answered(id, .success(())), now: now)
      }
      actions = next
    }
  }
}

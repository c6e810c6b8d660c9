import FreshetCluster
import FreshetCore
import FreshetModel

/// A parameter server and its trainer in one thread: the machines of the roles, and memory instead of sockets.
final class LocalTraining {
  private static let partition = PartitionID(0)
  private static let id = ServerID(0)

  private let server: ShardServer
  private let trainer: Trainer
  private var attempt: UInt64 = 0
  private let now = Instant.now()
  private var pending: [TrainerAction] = []
  private var following: [TrainerAction] = []

  init(tables: ModelTables, batchSize: Int, microBatchSize: Int) throws {
    let map = ShardMap(shardCount: 1, serverCount: 1)
    server = ShardServer(
      configuration: .init(
        map: map, server: Self.id, layouts: tables.layouts, generation: 1, deltaLogBytes: 0, maximumRows: .max))
    trainer = Trainer(
      configuration: .init(
        tables: tables, map: map, batchSize: batchSize, microBatchSize: microBatchSize, pipelineDepth: 1,
        maximumUnacknowledged: 1, allowsGap: false, seed: 1))
    try handle(.connected(Self.id))
    try handle(.assigned(Self.partition))
  }

  /// - Parameter observe: Gets the logits of each batch, before it is learned.
  func observe(_ observe: @escaping (UnsafeBufferPointer<Float>) -> Void) {
    trainer.predictionObserver = { _, logits in observe(logits) }
  }

  /// Predicts and learns the examples of a block.
  func train(_ block: ExampleBatch) throws { try handle(.examples(Self.partition, attempt: attempt, block)) }

  /// Of the rows and dense tensors, with their optimizer states: equal for equal models.
  var checksum: UInt64 { server.contentChecksum }

  private func handle(_ event: TrainerEvent) throws {
    pending += trainer.handle(event, now: now)
    while !pending.isEmpty {
      following.removeAll(keepingCapacity: true)
      for action in pending { try perform(action) }
      swap(&pending, &following)
    }
  }

  private func perform(_ action: TrainerAction) throws {
    switch action {
    case .claim(let id, let partition, let attempt):
      let reply = server.claim(partition)
      following += trainer.handle(.claimed(id, partition, attempt: attempt, .success(reply)), now: now)
    case .locate(let partition, let attempt):
      following += trainer.handle(
        .located(partition, attempt: attempt, start: Offset(0), end: Offset(.max)), now: now)
    case .fetch(_, let attempt, _): self.attempt = attempt
    case .pull(let id, let partition, let attempt, let batch, let body):
      let rows = try body.withUnsafeBytes { try server.pull($0) }
      following += trainer.handle(
        .pulled(id, partition, attempt: attempt, batch: batch, .success(UnsafeRawBufferPointer(rows))), now: now)
    case .push(let id, let partition, let attempt, let batch, let epoch, let from, let to, let body):
      _ = try body.withUnsafeBytes { try server.push($0, partition: partition, epoch: epoch, from: from, to: to) }
      following += trainer.handle(.pushed(id, partition, attempt: attempt, batch: batch, .success(())), now: now)
    case .fail(let error): throw error
    case .fetchPass, .stopFetching, .consumed, .commit, .notice: break
    }
  }
}

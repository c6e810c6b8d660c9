import FreshetCluster
import FreshetCore
import FreshetModel

/// Parameter servers and their trainer in one thread: the machines of the roles, and memory instead of sockets.
final class LocalTraining {
  private static let partition = PartitionID(0)

  let map: ShardMap
  private(set) var servers: [ShardServer]
  private let trainer: Trainer
  private var attempt: UInt64 = 0
  /// Moves only when a trainer that waits has to be woken.
  private var now = Instant.now()
  private var pending: [TrainerAction] = []
  private var following: [TrainerAction] = []
  /// The offset that the trainer asked for at its last claim: the smallest watermark.
  private(set) var claimedFrom = Offset(0)

  /// - Parameters:
  ///   - validation: What the trainer counts; nil: nothing.
  ///   - server: Makes each server, for the same map and tables.
  init(
    tables: ModelTables, map: ShardMap, batchSize: Int, microBatchSize: Int,
    validation: PartitionValidation.Settings? = nil, server: (ServerID) throws -> ShardServer
  ) throws {
    self.map = map
    servers = try (0..<map.serverCount).map { try server(ServerID($0)) }
    var configuration = Trainer.Configuration(
      tables: tables, map: map, batchSize: batchSize, microBatchSize: microBatchSize, pipelineDepth: 1,
      maximumUnacknowledged: 1, allowsGap: false, seed: 1)
    configuration.validation = validation
    trainer = Trainer(configuration: configuration)
    for number in 0..<map.serverCount { try handle(.connected(ServerID(number))) }
    try handle(.assigned(Self.partition))
  }

  /// One server with one shard, which nobody follows.
  convenience init(
    tables: ModelTables, batchSize: Int, microBatchSize: Int, validation: PartitionValidation.Settings? = nil
  ) throws {
    let map = ShardMap(shardCount: 1, serverCount: 1)
    try self.init(
      tables: tables, map: map, batchSize: batchSize, microBatchSize: microBatchSize, validation: validation
    ) { id in
      ShardServer(
        configuration: Self.configuration(
          tables: tables, map: map, server: id, deltaLogBytes: 0, isSnapshotted: false))
    }
  }

  /// - Parameter deltaLogBytes: Of each shard, for replicas.
  static func configuration(
    tables: ModelTables, map: ShardMap, server: ServerID, deltaLogBytes: Int, isSnapshotted: Bool
  ) -> ShardServer.Configuration {
    ShardServer.Configuration(
      map: map, server: server, layouts: tables.layouts, generation: 1, deltaLogBytes: deltaLogBytes,
      maximumRows: .max, isSnapshotted: isSnapshotted)
  }

  /// - Parameter observe: Gets the logits of each batch, before it is learned.
  func observe(_ observe: @escaping (UnsafeBufferPointer<Float>) -> Void) {
    trainer.predictionObserver = { _, logits in observe(logits) }
  }

  /// Predicts and learns the examples of a block.
  func train(_ block: ExampleBatch) throws { try handle(.examples(Self.partition, attempt: attempt, block)) }

  /// Another life of a server takes the place of one that has died, and the trainer claims again: what it is to be fed next
  /// begins at `claimedFrom`.
  func replace(_ id: ServerID, with server: ShardServer) throws {
    try handle(.disconnected(id, reason: "died"))
    servers[id.value] = server
    try handle(.connected(id))
    // The trainer pauses before it claims again; the longest pause is far shorter.
    now = now.advanced(byMs: 3_600_000)
    try handle(.tick)
  }

  /// Tells a server that examples up to an offset are not going to come: its watermarks move there, its rows stay as they are.
  func skip(_ server: ShardServer, from: Offset, to: Offset) throws {
    let epoch = server.claim(Self.partition).epoch
    var writer = BinaryWriter(capacity: 64)
    PushRequest.encodeHead(
      minutes: 0, report: nil, sections: [], fids: UnsafeBufferPointer(start: nil, count: 0), into: &writer)
    _ = try writer.bytes.withUnsafeBytes {
      try server.push($0, partition: Self.partition, epoch: epoch, from: from, to: to)
    }
  }

  /// Of the rows and dense tensors, with their optimizer states: equal for equal models.
  var checksum: UInt64 { servers.reduce(0) { $0 &+ $1.contentChecksum } }

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
      let reply = servers[id.value].claim(partition)
      following += trainer.handle(.claimed(id, partition, attempt: attempt, .success(reply)), now: now)
    case .locate(let partition, let attempt):
      following += trainer.handle(
        .located(partition, attempt: attempt, start: Offset(0), end: Offset(.max)), now: now)
    case .fetch(_, let attempt, let from):
      self.attempt = attempt
      claimedFrom = from
    case .pull(let id, let partition, let attempt, let batch, let body):
      let rows = try body.withUnsafeBytes { try servers[id.value].pull($0) }
      following += trainer.handle(
        .pulled(id, partition, attempt: attempt, batch: batch, .success(UnsafeRawBufferPointer(rows))), now: now)
    case .push(let id, let partition, let attempt, let batch, let epoch, let from, let to, let body):
      _ = try body.withUnsafeBytes {
        try servers[id.value].push($0, partition: partition, epoch: epoch, from: from, to: to)
      }
      following += trainer.handle(.pushed(id, partition, attempt: attempt, batch: batch, .success(())), now: now)
    case .fail(let error): throw error
    case .fetchPass, .stopFetching, .consumed, .commit, .notice, .held: break
    }
  }
}

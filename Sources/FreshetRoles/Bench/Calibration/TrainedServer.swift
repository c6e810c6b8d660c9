import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetWire

/// One parameter server, its trainer and a serving replica in one process, without sockets between them.
final class TrainedServer {
  let engine: ServingEngine
  private let training: LocalTraining
  private let copy: LocalReplica
  private let taskCount: Int

  init(_ model: ModelSpec, items: [ItemRecord], batchSize: Int, microBatchSize: Int) throws {
    let tables = try ModelTables(model)
    let map = ShardMap(shardCount: 4, serverCount: 1)
    taskCount = model.tasks.count
    training = try LocalTraining(
      tables: tables, map: map, batchSize: batchSize, microBatchSize: microBatchSize
    ) { id in
      ShardServer(
        configuration: LocalTraining.configuration(
          tables: tables, map: map, server: id, deltaLogBytes: 256 << 20, isSnapshotted: false))
    }
    copy = LocalReplica(tables: tables, map: map)
    let catalog = ServingCatalog(extractor: try FeatureExtractor(model))
    engine = try ServingEngine(
      model: model, reader: copy.replica.makeReader(), catalog: catalog, limits: ServingLimits(maxCandidates: 10_000))
    apply(items)
  }

  /// Takes up records of items and enrichments.
  func apply(_ records: [ItemRecord]) {
    let notices = engine.catalog.apply(ItemBatch(records: records, isCaughtUp: true), to: copy.replica)
    precondition(notices.isEmpty, "\(notices)")
  }

  func train(_ batch: ExampleBatch) throws { try training.train(batch) }

  /// Progressive validation of everything that has been learned, of the first task.
  var validation: ValidationWindow { training.servers[0].validation(taskCount: taskCount).tasks[0].total }

  /// Brings the replica up to what has been learned.
  func synchronise() throws { try copy.synchronise(with: training.servers) }
}

import FreshetCluster
import FreshetCore
import FreshetKafka
import FreshetModel
import FreshetTable

/// Everything that a configuration file says. Roles take what concerns them; docs/configuration.md has every key with its
/// default and range.
public struct FreshetConfiguration: Sendable {
  public var kafka: KafkaSettings
  public var cluster: ClusterSettings
  public var parameterServer: ParameterServerSettings
  public var snapshot: SnapshotSection
  public var trainer: TrainerSettings
  public var joiner: JoinerSettings
  public var archive: ArchiveConfiguration
  public var gateway: GatewayConfiguration
  public var serving: ServingSettings
  public var dashboard: DashboardSettings
  public var model: ModelSpec
  /// In the order of reading.
  public var effective: [EffectiveValue]
}

public struct KafkaSettings: Sendable {
  public struct Topics: Sendable {
    public var features: String
    public var actions: String
    public var items: String
    public var examples: String
    public var deadLetter: String
    /// nil if trainers write none of their validation.
    public var validation: String?
    /// Of the model's enrichments, in their order.
    public var enrichments: [String]
  }

  /// `host:port`, several separated by commas. Default: 127.0.0.1:9092.
  public var bootstrapServers: String
  /// Any librdkafka property, passed through.
  public var properties: [String: String]
  public var topics: Topics
  /// Of `features`, `actions` and `examples`, which are co-partitioned. Default: 4.
  public var partitions: Int
  /// Of topics that Freshet creates. Default: 1.
  public var replicationFactor: Int
}

public struct ClusterSettings: Sendable {
  /// Logical partitions of the fid space; fixed for the life of a cluster. Default: 16.
  public var shards: Int
  /// Where the parameter servers listen; a server's position is its index.
  public var servers: [ServerAddress]
  /// Asked for by every port (AUTH); nil for none.
  public var password: String?

  public var map: ShardMap { ShardMap(shardCount: shards, serverCount: servers.count) }
}

public struct ServerAddress: Sendable, Equatable, CustomStringConvertible {
  public var host: String
  public var port: Int
  public var description: String { "\(host):\(port)" }

  /// `host:port`; nil if it is not that.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (1...65535).contains(port), colon > text.startIndex
    else { return nil }
    host = String(text[..<colon])
    self.port = port
  }
}

public struct ParameterServerSettings: Sendable {
  /// The interface to listen on. Default: 127.0.0.1.
  public var host: String
  /// Time between two deltas of a shard. Default: 100.
  public var syncIntervalMs: Int
  /// The same for the dense tensors; nil: with the others. Default: nil.
  public var denseIntervalMs: Int?
  /// What embeddings travel to replicas as. Default: fp32.
  public var syncWeights: WeightFormat
  /// To all replicas of a server together; nil for no limit. Default: nil.
  public var syncBytesPerSecond: Int?
  /// Deltas kept for replicas, per shard. Default: 4 MiB.
  public var deltaLogBytes: Int
  /// In one pull or push. Default: 262,144.
  public var maximumRowsPerRequest: Int
  /// Server 0's HTTP port for metrics and health; server i has the i-th after it. 0 opens none. Default: 8100.
  public var metricsPort: Int
}

public struct TrainerSettings: Sendable {
  /// Consumer group on `examples`. Default: freshet-trainer.
  public var group: String
  /// Most examples in a batch. Default: 128.
  public var batchSize: Int
  /// Examples of a batch after which the trainer takes a step on its copies of rows. Default: 1.
  public var microBatchSize: Int
  /// Batches of a partition between their pull and their push. Default: 1, which leaves no staleness.
  public var pipelineDepth: Int
  /// Batches of a partition that are pushed and not acknowledged. Default: 8.
  public var maximumUnacknowledged: Int
  /// Examples of a partition that wait in memory. Default: 8192.
  public var queuedExamples: Int
  public var validation: ValidationSettings
  public var guardSettings: GuardSettings
  /// Where the status port listens; port 0 opens none. Default: 127.0.0.1:7200.
  public var host: String
  public var port: Int
  /// The HTTP port for metrics and health; 0 opens none. Default: 8200.
  public var metricsPort: Int
}

public struct JoinerSettings: Sendable {
  /// Consumer group on `features` and `actions`. Default: freshet-joiner.
  public var group: String
  /// Event time for which an impression waits for its actions. Default: 2 hours.
  public var windowMs: Int
  /// Event time for which an action waits for its impression. Default: 10 minutes.
  public var graceMs: Int
  /// Wall time after which a quiet topic no longer holds the other one back. Default: 1000.
  public var idleTimeoutMs: Int
  /// Default: on-action.
  public var emit: JoinerEmit
  /// Default: dead-letter.
  public var lateActions: LateActions
  /// How long after its window's end an action corrects what its impression gave, event time. Default: 0.
  public var correctionMs: Int
  /// How far an event time may lie ahead of append time and wall clock. Default: one day.
  public var maxAheadMs: Int
  /// Whether windows that close without an action give negative examples. Default: false.
  public var emitsNegatives: Bool
  /// The probability with which those are kept. Default: 1.
  public var negativeRate: Double
  /// Bytes of features that wait, per partition; with `state`, of those that are kept in memory. Default: 256 MiB.
  public var stateBytes: Int
  /// A directory of this joiner alone, where features that wait are kept beyond `stateBytes` and across restarts; nil for
  /// none. Default: nil.
  public var state: String?
  /// Bytes that a partition may use of that directory. Default: 64 GiB.
  public var diskBytes: Int
  /// Most time between two transactions on `examples`. Default: 50.
  public var commitIntervalMs: Int
  /// Where the status port listens; port 0 opens none. Default: 127.0.0.1:7300.
  public var host: String
  public var port: Int
  /// The HTTP port for metrics and health; 0 opens none. Default: 8300.
  public var metricsPort: Int

  var machine: JoinerConfig {
    var config = JoinerConfig()
    config.windowMs = Int64(windowMs)
    config.graceMs = Int64(graceMs)
    config.idleTimeoutMs = idleTimeoutMs
    config.maxAheadMs = Int64(maxAheadMs)
    config.emit = emit
    config.lateActions = lateActions
    config.correctionMs = Int64(correctionMs)
    config.negativeRate = emitsNegatives ? Float(negativeRate) : 0
    config.maxWaitingFeatureBytes = stateBytes
    return config
  }
}

public struct ServingSettings: Sendable {
  /// The interface to listen on. Default: 127.0.0.1.
  public var host: String
  /// Default: 7000; 0 lets the system choose.
  public var port: Int
  /// The HTTP port; 0 opens none. Default: 8080.
  public var httpPort: Int
  /// In one request. Default: 10,000.
  public var maximumCandidates: Int
  /// What the copies of embeddings are kept as. Default: fp32.
  public var weights: WeightFormat
  /// That answer requests, from one copy. Default: 1.
  public var threads: Int
  /// A directory where the replica saves its copy to start from; nil for none. Default: nil.
  public var state: String?
  /// From one round of saving to the next. Default: 30,000.
  public var stateIntervalMs: Int
}

extension FreshetConfiguration {
  /// Throws if parts that are right by themselves do not fit together: tables and slots, Kafka properties.
  func checkDerived() throws {
    _ = try ModelTables(model)
    try KafkaConfiguration(bootstrapServers: kafka.bootstrapServers, properties: kafka.properties).validate()
  }

  /// What `CONFIG GET` shows.
  var settings: [String: String] {
    Dictionary(effective.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
  }
}

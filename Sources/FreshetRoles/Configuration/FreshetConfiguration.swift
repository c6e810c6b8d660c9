import FreshetCluster
import FreshetCore
import FreshetKafka
import FreshetModel

/// Everything that a configuration file says. Roles take what concerns them; `Config/cluster.yaml` documents every key.
public struct FreshetConfiguration: Sendable {
  public var kafka: KafkaSettings
  public var cluster: ClusterSettings
  public var parameterServer: ParameterServerSettings
  public var trainer: TrainerSettings
  public var joiner: JoinerSettings
  public var serving: ServingSettings
  public var model: ModelSpec
  /// Dotted path → value in effect, in the order of reading.
  public var effective: [(path: String, value: String)]
}

public struct KafkaSettings: Sendable {
  public struct Topics: Sendable {
    public var features: String
    public var actions: String
    public var items: String
    public var examples: String
    public var deadLetter: String
  }

  public var bootstrapServers: String
  /// Any librdkafka property, passed through.
  public var properties: [String: String]
  public var topics: Topics
  /// Of `features`, `actions` and `examples`, which are co-partitioned.
  public var partitions: Int
  public var replicationFactor: Int
}

public struct ClusterSettings: Sendable {
  /// Logical partitions of the fid space; fixed for the life of a cluster.
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
  /// The interface to listen on.
  public var host: String
  public var syncIntervalMs: Int
  /// Deltas kept for replicas, per shard.
  public var deltaLogBytes: Int
  public var maximumRowsPerRequest: Int
}

public struct TrainerSettings: Sendable {
  public var group: String
  public var batchSize: Int
  public var pipelineDepth: Int
  public var maximumUnacknowledged: Int
  /// Examples of a partition that wait in memory.
  public var queuedExamples: Int
  /// Where the status port listens; port 0 opens none.
  public var host: String
  public var port: Int
}

public struct JoinerSettings: Sendable {
  public var group: String
  public var windowMs: Int
  public var graceMs: Int
  public var idleTimeoutMs: Int
  /// Whether windows that close without an action give negative examples.
  public var emitsNegatives: Bool
  /// The probability with which those are kept.
  public var negativeRate: Double
  /// Bytes of features that wait, per partition.
  public var stateBytes: Int
  /// Most time between two transactions on `examples`.
  public var commitIntervalMs: Int
  /// Where the status port listens; port 0 opens none.
  public var host: String
  public var port: Int
}

public struct ServingSettings: Sendable {
  public var host: String
  public var port: Int
  public var maximumCandidates: Int
}

extension FreshetConfiguration {
  /// Throws if parts that are right by themselves do not fit together: tables and slots, Kafka properties.
  public func checkDerived() throws {
    _ = try ModelTables(model)
    try KafkaConfiguration(bootstrapServers: kafka.bootstrapServers, properties: kafka.properties).validate()
  }
}

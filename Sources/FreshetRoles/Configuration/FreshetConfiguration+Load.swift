import Foundation
import FreshetCore
import FreshetModel

extension FreshetConfiguration {
  /// Environment variables that stand above the file: one address of a broker or a list of servers differs from machine to
  /// machine, the rest does not.
  static let environmentOverrides = [
    "FRESHET_KAFKA_BOOTSTRAP_SERVERS": "kafka.bootstrap_servers",
    "FRESHET_SERVERS": "cluster.servers",
    "FRESHET_PASSWORD": "cluster.password",
  ]

  /// Reads a configuration file.
  /// - Parameters:
  ///   - overrides: Dotted path → value; stand above the environment, which stands above the file.
  public static func load(
    file: String, overrides: [String: String], environment: [String: String]
  ) throws(ConfigurationError) -> FreshetConfiguration {
    let text: String
    do {
      text = try String(contentsOfFile: file, encoding: .utf8)
    } catch {
      throw ConfigurationError(file: file, line: nil, key: "", reason: "cannot be read: \(error.localizedDescription)")
    }
    var all = overrides.mapValues { YAMLSource.Override(value: $0, origin: .option) }
    for (variable, path) in environmentOverrides where all[path] == nil {
      if let value = environment[variable], !value.isEmpty {
        all[path] = YAMLSource.Override(value: value, origin: .environment(variable))
      }
    }
    return try parse(text, YAMLSource(file: file, overrides: all, environment: environment), file: file)
  }

  /// - Parameter environment: Where values come from that are given neither in the file nor by an override, as far as they have
  ///   variables of their own (`AWS_…`).
  public static func parse(
    _ text: String, file: String, overrides: [String: String], environment: [String: String]
  ) throws(ConfigurationError) -> FreshetConfiguration {
    let given = overrides.mapValues { YAMLSource.Override(value: $0, origin: .option) }
    return try parse(text, YAMLSource(file: file, overrides: given, environment: environment), file: file)
  }

  private static func parse(
    _ text: String, _ source: YAMLSource, file: String
  ) throws(ConfigurationError) -> FreshetConfiguration {
    var configuration = try read(source.root(text: text))
    try source.finish()
    if configuration.trainer.validation.intervalMs == 0 { configuration.kafka.topics.validation = nil }
    try configuration.takeEnrichmentTopics(file)
    try configuration.checkSlices(file)
    try configuration.checkGateway(file)
    do {
      try configuration.model.validate()
    } catch {
      throw ConfigurationError(file: file, line: nil, key: "model." + error.path, reason: error.message)
    }
    do {
      try configuration.checkDerived()
    } catch {
      let reason = (error as? any DescribedError)?.message ?? "\(error)"
      throw ConfigurationError(file: file, line: nil, key: "", reason: reason)
    }
    configuration.effective = source.effective
    return configuration
  }

  /// Reads every section; what must fit together is not compared.
  static func read(_ root: YAMLSection) throws(ConfigurationError) -> FreshetConfiguration {
    let configuration = FreshetConfiguration(
      kafka: try KafkaSettings(root.section("kafka")), cluster: try ClusterSettings(root.section("cluster")),
      parameterServer: try ParameterServerSettings(root.section("ps")),
      snapshot: try SnapshotSection(root.section("snapshot")),
      trainer: try TrainerSettings(root.section("trainer")), joiner: try JoinerSettings(root.section("joiner")),
      archive: try ArchiveConfiguration(root.section("archive")),
      gateway: try GatewayConfiguration(root.section("gateway")),
      serving: try ServingSettings(root.section("serve")), dashboard: try DashboardSettings(root.section("dashboard")),
      model: try ModelSpec(root.section("model")), effective: [])
    try root.finish()
    return configuration
  }

  /// Tells the topics of the model's enrichments where all topics are; each is a topic of its own, as that of the validation is.
  private mutating func takeEnrichmentTopics(_ file: String) throws(ConfigurationError) {
    let topics = kafka.topics
    var taken = [topics.features, topics.actions, topics.items, topics.examples, topics.deadLetter]
    if let validation = topics.validation {
      guard !taken.contains(validation) else {
        throw ConfigurationError(
          file: file, line: nil, key: "kafka.topics.validation", reason: "`\(validation)` is another topic's name")
      }
      taken.append(validation)
    }
    for enrichment in model.enrichments {
      guard !taken.contains(enrichment.topic) else {
        throw ConfigurationError(
          file: file, line: nil, key: "model.enrichments.\(enrichment.name).topic",
          reason: "`\(enrichment.topic)` is another topic's name")
      }
      taken.append(enrichment.topic)
    }
    kafka.topics.enrichments = model.enrichments.map(\.topic)
  }
}

extension KafkaSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    bootstrapServers = try section.string("bootstrap_servers", default: "127.0.0.1:9092")
    partitions = try section.int("partitions", default: 4, in: 1...1024)
    replicationFactor = try section.int("replication_factor", default: 1, in: 1...15)
    let topics = try section.section("topics")
    self.topics = Topics(
      features: try topics.string("features", default: "features"),
      actions: try topics.string("actions", default: "actions"),
      items: try topics.string("items", default: "items"),
      examples: try topics.string("examples", default: "examples"),
      deadLetter: try topics.string("dead_letter", default: "dead-letter"),
      validation: try topics.string("validation", default: "validation"), enrichments: [])
    try topics.finish()
    properties = try section.dictionary("properties")
    try section.finish()
  }
}

extension ClusterSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    shards = try section.int("shards", default: 16, in: 1...1024)
    servers = []
    for text in try section.strings("servers", default: ["127.0.0.1:7100", "127.0.0.1:7101"]) {
      guard let address = ServerAddress(text) else { throw section.error("servers", "`\(text)` is not host:port") }
      servers.append(address)
    }
    guard (1...shards).contains(servers.count) else {
      throw section.error("servers", "\(servers.count) servers cannot share \(shards) shards")
    }
    password = try section.optionalString("password")
    try section.finish()
  }
}

extension ParameterServerSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    host = try section.string("host", default: "127.0.0.1")
    syncIntervalMs = try section.int("sync_interval_ms", default: 100, in: 50...86_400_000)
    denseIntervalMs = try section.optionalInt("dense_interval_ms", in: 50...86_400_000)
    syncWeights = try section.choice("sync_weights", default: .float32)
    syncBytesPerSecond = try section.optionalInt("sync_bytes_per_second", in: 1 << 16...1 << 40)
    deltaLogBytes = try section.int("delta_log_bytes", default: 4 << 20, in: 1 << 16...1 << 34)
    maximumRowsPerRequest = try section.int("maximum_rows_per_request", default: 1 << 18, in: 1024...1 << 24)
    metricsPort = try section.int("metrics_port", default: 8100, in: 0...64_511)
    try section.finish()
  }
}

extension TrainerSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    group = try section.string("group", default: "freshet-trainer")
    batchSize = try section.int("batch_size", default: 128, in: 1...65_536)
    microBatchSize = try section.int("micro_batch_size", default: 1, in: 1...65_536)
    pipelineDepth = try section.int("pipeline_depth", default: 1, in: 1...64)
    maximumUnacknowledged = try section.int("maximum_unacknowledged", default: 8, in: 1...1024)
    queuedExamples = try section.int("queued_examples", default: 8192, in: 1...1 << 20)
    validation = try ValidationSettings(section.section("validation"))
    guardSettings = try GuardSettings(section.section("guard"), batchSize: batchSize)
    host = try section.string("host", default: "127.0.0.1")
    port = try section.int("port", default: 7200, in: 0...65_535)
    metricsPort = try section.int("metrics_port", default: 8200, in: 0...65_535)
    try section.finish()
  }
}

extension JoinerSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    group = try section.string("group", default: "freshet-joiner")
    windowMs = try section.int("window_ms", default: 7_200_000, in: 1...2_592_000_000)
    graceMs = try section.int("grace_ms", default: 600_000, in: 0...2_592_000_000)
    idleTimeoutMs = try section.int("idle_timeout_ms", default: 2_000, in: 1...86_400_000)
    emit = try section.choice("emit", default: .onAction)
    lateActions = try section.choice("late_actions", default: .deadLetter)
    correctionMs = try section.int("correction_ms", default: 0, in: 0...2_592_000_000)
    guard correctionMs == 0 || lateActions == .correct else {
      throw section.error("correction_ms", "has no meaning without `late_actions: correct`")
    }
    maxAheadMs = try section.int("max_ahead_ms", default: 86_400_000, in: 0...2_592_000_000)
    emitsNegatives = try section.bool("negatives", default: false)
    negativeRate = try section.double("negative_rate", default: 1, in: 0.000001...1)
    stateBytes = try section.int("state_bytes", default: 256 << 20, in: 1 << 20...1 << 38)
    state = try section.optionalString("state")
    diskBytes = try section.int("disk_bytes", default: 64 << 30, in: 1 << 20...1 << 46)
    commitIntervalMs = try section.int("commit_interval_ms", default: 50, in: 1...60_000)
    host = try section.string("host", default: "127.0.0.1")
    port = try section.int("port", default: 7300, in: 0...65_535)
    metricsPort = try section.int("metrics_port", default: 8300, in: 0...65_535)
    try section.finish()
  }
}

extension ServingSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    host = try section.string("host", default: "127.0.0.1")
    port = try section.int("port", default: 7000, in: 0...65_535)
    httpPort = try section.int("http_port", default: 8080, in: 0...65_535)
    maximumCandidates = try section.int("maximum_candidates", default: 10_000, in: 1...100_000)
    weights = try section.choice("weights", default: .float32)
    threads = try section.int("threads", default: 1, in: 1...64)
    state = try section.optionalString("state")
    stateIntervalMs = try section.int("state_interval_ms", default: 30_000, in: 50...86_400_000)
    try section.finish()
  }
}

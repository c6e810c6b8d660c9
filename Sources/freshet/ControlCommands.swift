import ArgumentParser
import FreshetRoles
import NIOPosix

struct ControlCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ctl",
    abstract: "Look at a running cluster, change its model, save it, resume trainers, prepare topics and stores.",
    discussion: """
      EXAMPLES:
        freshet ctl status
        freshet ctl topics create
        freshet ctl promote --to second.yaml
      """,
    subcommands: [
      StatusCommand.self, PromoteCommand.self, SnapshotCommand.self, StoreCommand.self, TopicsCommand.self,
      TrainerControlCommand.self,
    ])
}

struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show every process and the progressive validation of the whole cluster.",
    discussion: """
      LAG: records of Kafka that the process has not read. AUC: of its predictions, or
      of those that report to it. FRESHNESS: from an action to what the process makes
      of it, the median of the last seconds. Exits with 1 if a process is down.

      EXAMPLES:
        freshet ctl status
        freshet ctl status --trainer 127.0.0.1:7200 --joiner 127.0.0.1:7300
        freshet ctl status --json --replica a:7000 --replica b:7000
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @Option(help: "A replica to ask, as host:port; default: serve.host:serve.port. Repeatable.")
  var replica: [String] = []
  @Option(help: "A trainer's status port to ask, as host:port. Repeatable.")
  var trainer: [String] = []
  @Option(help: "A joiner's status port to ask, as host:port. Repeatable.")
  var joiner: [String] = []
  @Option(help: "A gateway's status port to ask, as host:port. Repeatable.")
  var gateway: [String] = []
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() async throws {
    let settings = try configuration.load()
    let replicas = try ServerAddress.replicas(replica, settings)
    let others =
      try ServerAddress.all(trainer).map { (role: "trainer", address: $0) }
      + ServerAddress.all(joiner).map { (role: "joiner", address: $0) }
      + ServerAddress.all(gateway).map { (role: "gateway", address: $0) }
    let status = await ClusterStatus.collect(
      settings, replicas: replicas, others: others, on: MultiThreadedEventLoopGroup.singleton)
    print(json ? try status.json : status.text)
    if !status.processes.allSatisfy(\.isUp) { throw ExitCode(1) }
  }
}

struct TopicsCommand: ParsableCommand {
  enum Action: String, ExpressibleByArgument, CaseIterable { case create }

  static let configuration = CommandConfiguration(
    commandName: "topics", abstract: "Create the topics of the configuration that do not exist.",
    discussion: """
      With kafka.partitions and kafka.replication_factor; items, enrichments and
      validation compacted, with one partition. What exists stays as it is, so the
      command can be repeated. It is an error, and nothing is created, if features,
      actions or examples have another number of partitions than the configuration.

      EXAMPLES:
        freshet ctl topics create
        freshet ctl topics create --set kafka.replication_factor=3 --fail-fast
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Argument(help: "create")
  var action: Action
  @Flag(help: "Exit with 1 if no broker answers, instead of trying again.")
  var failFast = false

  func run() throws {
    let topics = try KafkaStartup.prepare(
      configuration.load().kafka, clientID: "freshet-ctl", failsFast: failFast, logger: log.logger(role: "ctl")
    ) { false }
    let rows = topics.map { topic in
      [
        topic.name, "\(topic.partitions)",
        topic.isNew ? topic.isCompacted ? "created, compacted" : "created" : "is there",
      ]
    }
    let lines = TextTable.lines(head: ["TOPIC", "PARTITIONS", ""], rows: rows, alignRight: [1])
    print(lines.joined(separator: "\n"))
  }
}

extension ServerAddress {
  /// - Throws: `UsageError` if one is not `host:port`.
  static func all(_ texts: [String]) throws -> [ServerAddress] {
    try texts.map { text in
      guard let address = ServerAddress(text) else { throw UsageError("`\(text)` is not host:port") }
      return address
    }
  }

  /// The replicas named on the command line, or the one of the configuration.
  static func replicas(_ texts: [String], _ settings: FreshetConfiguration) throws -> [ServerAddress] {
    try all(texts.isEmpty ? ["\(settings.serving.host):\(settings.serving.port)"] : texts)
  }
}

import ArgumentParser
import FreshetRoles

struct ParameterServerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ps", abstract: "Run a parameter server: holds rows and watermarks of its shards.",
    discussion: """
      Listens on its entry in cluster.servers. With snapshot.store it saves its shards,
      and goes on from there when it is started again.

      EXAMPLES:
        freshet ps --index 0
        freshet ps --index 1 --set ps.host=0.0.0.0
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "This server's position in cluster.servers, from 0.")
  var index: Int

  func run() async throws {
    let logger = log.logger(role: "ps", ["server": "\(index)"])
    try await runService(
      ParameterServerRole(configuration: configuration.load(), index: index, logger: logger), logger: logger)
  }
}

struct TrainerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trainer", abstract: "Run a trainer: learns from the examples of the partitions it is assigned.",
    discussion: """
      More of them share the partitions. With --from it learns what there is first, in
      epochs, and goes online by itself.

      EXAMPLES:
        freshet trainer
        freshet trainer --port 7201 --metrics-port 8201
        freshet trainer --from archive --epochs 3
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "Status port, instead of trainer.port; 0 opens none.")
  var port: Int?
  @Option(help: "Metrics port, instead of trainer.metrics_port; 0 opens none.")
  var metricsPort: Int?
  @Flag(help: "Exit with 1 if no broker answers at the start, instead of trying again.")
  var failFast = false
  @Flag(help: "Go on, and count, when Kafka has deleted examples that were not trained on.")
  var allowGap = false
  @Option(
    help:
      "Batch stage first: learn what is in the archive (archive.store), or in Kafka from its beginning; then go on online."
  )
  var from: BatchStage.Source?
  @Option(
    help: "How often the batch stage learns it, each example once per epoch. Start trainers with the same value again.")
  var epochs = 1
  @Option(help: "Epochs but the last end before the archive's files of this day (UTC), YYYY-MM-DD.")
  var until: String?

  func run() async throws {
    let logger = log.logger(role: "trainer")
    try await runService(
      TrainerRole(
        configuration: configuration.load(),
        options: TrainerRole.Options(
          port: port, metricsPort: metricsPort, failsFast: failFast, allowsGap: allowGap,
          stage: BatchStage(source: from, epochs: epochs, until: until)), logger: logger),
      logger: logger)
  }
}

extension BatchStage.Source: ExpressibleByArgument {}

struct JoinerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "joiner", abstract: "Run a joiner: pairs features with actions and writes examples.",
    discussion: """
      More of them share the partitions; each on a machine needs ports of its own.

      EXAMPLES:
        freshet joiner
        freshet joiner --port 7301 --metrics-port 8301
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "Status port, instead of joiner.port; 0 opens none.")
  var port: Int?
  @Option(help: "Metrics port, instead of joiner.metrics_port; 0 opens none.")
  var metricsPort: Int?
  @Flag(help: "Exit with 1 if no broker answers at the start, instead of trying again.")
  var failFast = false

  func run() async throws {
    let logger = log.logger(role: "joiner")
    try await runService(
      JoinerRole(
        configuration: configuration.load(),
        options: JoinerRole.Options(port: port, metricsPort: metricsPort, failsFast: failFast), logger: logger),
      logger: logger)
  }
}

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Run a serving replica: answers SCORE and RECOMMEND from its own copy.",
    discussion: """
      It copies all shards first, and answers from what it has whatever happens to the
      servers.

      EXAMPLES:
        freshet serve
        freshet serve --port 7001 --http-port 8081 --set serve.threads=4
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "The port, instead of serve.port.")
  var port: Int?
  @Option(help: "The HTTP port, instead of serve.http_port; 0 opens none.")
  var httpPort: Int?
  @Flag(help: "Exit with 1 if no broker answers at the start, instead of trying again.")
  var failFast = false

  func run() async throws {
    let logger = log.logger(role: "serve")
    try await runService(
      ServeRole(
        configuration: configuration.load(),
        options: ServeOptions(port: port, httpPort: httpPort, failFast: failFast), logger: logger),
      logger: logger)
  }
}

struct DashboardCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dashboard",
    abstract: "Run the dashboard: a page that shows what the cluster does.",
    discussion: """
      It asks every process for its state each second, and Kafka for the ends of its topics; it changes nothing, and nothing needs \
      it (docs/dashboard.md).

      EXAMPLES:
        freshet dashboard
        freshet dashboard --set dashboard.trainers=a:7200,b:7200
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "The HTTP port, instead of dashboard.port.")
  var port: Int?

  func run() async throws {
    let logger = log.logger(role: "dashboard")
    try await runService(
      DashboardRole(configuration: configuration.load(), port: port, logger: logger), logger: logger)
  }
}

import ArgumentParser
import Foundation
import FreshetRoles

struct UpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Run a whole cluster on this machine: one process for each role, started again when it ends.")

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "Trainers to run; more than kafka.partitions have nothing to do.")
  var trainers = 2
  @Option(help: "Serving replicas to run, on serve.port, serve.http_port and the ports after them.")
  var replicas = 1

  @Flag(
    help: "Only parameter servers and trainers: a second model beside a cluster that runs already, for `ctl promote`.")
  var candidate = false
  @Option(help: "As for trainer: learn from the archive or from Kafka's beginning first.")
  var from: BatchStage.Source?
  @Option(help: "As for trainer, with --from.")
  var epochs: Int?

  func validate() throws {
    guard trainers >= 0, replicas >= 0 else { throw ValidationError("Counts must be 0 or more.") }
  }

  func run() async throws {
    // Before anything is started: trainers would end with it again and again.
    _ = try BatchStage(source: from, epochs: epochs ?? 1, until: nil)
    let settings = try configuration.load()
    guard let executable = Bundle.main.executablePath else { throw UsageError("the path of the program is not known") }
    let common = configuration.arguments + ["--log-level", log.logLevel.rawValue]
    var children: [Supervisor.Child] = []
    for index in settings.cluster.servers.indices {
      children.append(Supervisor.Child(name: "ps-\(index)", arguments: ["ps", "--index", "\(index)"] + common))
    }
    if !candidate { children.append(Supervisor.Child(name: "joiner", arguments: ["joiner"] + common)) }
    let stage = (from.map { ["--from", $0.rawValue] } ?? []) + (epochs.map { ["--epochs", "\($0)"] } ?? [])
    for index in 0..<trainers {
      let ports =
        ["--port", Self.port(settings.trainer.port, index)]
        + ["--metrics-port", Self.port(settings.trainer.metricsPort, index)]
      children.append(Supervisor.Child(name: "trainer-\(index)", arguments: ["trainer"] + ports + stage + common))
    }
    if settings.archive.store != nil, !candidate {
      children.append(Supervisor.Child(name: "archive", arguments: ["archive"] + common))
    }
    for index in 0..<(candidate ? 0 : replicas) {
      let ports =
        ["--port", "\(settings.serving.port + index)"]
        + ["--http-port", Self.port(settings.serving.httpPort, index)]
      children.append(Supervisor.Child(name: "serve-\(index)", arguments: ["serve"] + ports + common))
    }
    if settings.dashboard.port > 0, !candidate {
      let watched = settings.dashboardOverrides(trainers: trainers, replicas: replicas)
      children.append(Supervisor.Child(name: "dashboard", arguments: ["dashboard"] + watched + common))
    }
    let logger = log.logger(role: "up")
    try await runService(Supervisor(executable: executable, children: children, logger: logger), logger: logger)
  }

  /// The port of the child at `index`; a port of 0 stays closed for all of them.
  private static func port(_ first: Int, _ index: Int) -> String { first == 0 ? "0" : "\(first + index)" }
}

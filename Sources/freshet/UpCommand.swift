import ArgumentParser
import Foundation
import FreshetCore
import FreshetRoles

struct UpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Run a whole cluster on this machine: one process for each role, started again when it ends.",
    discussion: """
      On a terminal it shows a line for each process, drawn anew each second: state,
      restarts, rate, lag, AUC and freshness; their logs go to --log-directory. With
      --no-live, TERM=dumb or output that is no terminal, their log lines are shown
      instead. NO_COLOR leaves the colours out. SIGTERM and Ctrl-C stop everything.

      EXAMPLES:
        freshet up -c Config/cluster.yaml
        freshet up --trainers 4 --replicas 2 --set archive.store=archive.store
        freshet up --no-live 2> up.log
      """)

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
  @Flag(inversion: .prefixedNo, help: "Show a table of the processes where the output is a terminal.")
  var live = true
  @Option(help: "Where the processes' logs go while the table is shown.")
  var logDirectory = ".freshet/logs"

  func validate() throws {
    guard trainers >= 0, replicas >= 0 else { throw ValidationError("Counts must be 0 or more.") }
  }

  func run() async throws {
    // Before anything is started: trainers would end with it again and again.
    _ = try BatchStage(source: from, epochs: epochs ?? 1, until: nil)
    let settings = try configuration.load()
    guard let executable = Bundle.main.executablePath else { throw UsageError("the path of the program is not known") }
    let children = self.children(settings)
    let board = SupervisorBoard()
    let showsTable = live && Self.isTerminal
    var logger = log.logger(role: "up")
    if showsTable {
      do {
        try FileManager.default.createDirectory(atPath: logDirectory, withIntermediateDirectories: true)
      } catch {
        throw UsageError("--log-directory \(logDirectory): \(error.localizedDescription)")
      }
      logger = log.logger(role: "up", to: try Supervisor.appending(to: "\(logDirectory)/up.log"))
    }
    let supervisor = Supervisor(
      executable: executable, children: children, logDirectory: showsTable ? logDirectory : nil, board: board,
      logger: logger)
    let display = LiveDisplay(
      title: "freshet up · \(configuration.configuration) · logs in \(logDirectory) · Ctrl-C stops everything",
      children: children, board: board, password: settings.cluster.password,
      usesColor: (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty)
    // The table is there until everything has stopped.
    try await runService(supervisor, below: showsTable ? [display] : [], logger: logger)
  }

  private static var isTerminal: Bool {
    let terminal = ProcessInfo.processInfo.environment["TERM"] ?? ""
    return isatty(STDOUT_FILENO) == 1 && !terminal.isEmpty && terminal != "dumb"
  }

  private func children(_ settings: FreshetConfiguration) -> [Supervisor.Child] {
    let common = configuration.arguments + ["--log-level", log.logLevel.rawValue]
    let stage = (from.map { ["--from", $0.rawValue] } ?? []) + (epochs.map { ["--epochs", "\($0)"] } ?? [])
    var children: [Supervisor.Child] = []
    func add(_ name: String, _ role: String, _ arguments: [String], _ host: String, _ port: Int) {
      children.append(
        Supervisor.Child(
          name: name, role: role, arguments: [role] + arguments + common,
          status: port > 0 ? ServerAddress("\(host):\(port)") : nil))
    }
    for (index, address) in settings.cluster.servers.enumerated() {
      add("ps-\(index)", "ps", ["--index", "\(index)"], address.host, address.port)
    }
    if !candidate { add("joiner", "joiner", [], settings.joiner.host, settings.joiner.port) }
    for index in 0..<trainers {
      let port = Self.port(settings.trainer.port, index)
      let ports = ["--port", "\(port)", "--metrics-port", "\(Self.port(settings.trainer.metricsPort, index))"]
      add("trainer-\(index)", "trainer", ports + stage, settings.trainer.host, port)
    }
    if settings.archive.store != nil, !candidate {
      add("archive", "archive", [], settings.archive.host, settings.archive.port)
    }
    if settings.gateway.port != nil, !candidate {
      add("gateway", "gateway", [], settings.gateway.host, settings.gateway.statusPort)
    }
    for index in 0..<(candidate ? 0 : replicas) {
      let port = settings.serving.port + index
      let ports = ["--port", "\(port)", "--http-port", "\(Self.port(settings.serving.httpPort, index))"]
      add("serve-\(index)", "serve", ports, settings.serving.host, port)
    }
    if settings.dashboard.port > 0, !candidate {
      // It has no status port: what it would say, it shows.
      let watched = settings.dashboardOverrides(trainers: trainers, replicas: replicas)
      add("dashboard", "dashboard", watched, settings.dashboard.host, 0)
    }
    return children
  }

  /// The port of the child at `index`; a port of 0 stays closed for all of them.
  private static func port(_ first: Int, _ index: Int) -> Int { first == 0 ? 0 : first + index }
}

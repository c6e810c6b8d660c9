import ArgumentParser
import Foundation
import FreshetCore
import FreshetRoles

/// Learns from every action within a second, and scores what comes next.
@main
struct Freshet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "freshet",
    abstract: "Online-training parameter-server cluster: Kafka in, scores out.",
    discussion: """
      A role runs until it gets SIGTERM or SIGINT. All read one file (-c), any value
      of which --set replaces. Exit codes: 0 done, 1 failed, 2 wrong usage or
      configuration.

      EXAMPLES:
        freshet up -c Config/cluster.yaml
        freshet query SCORE movielens user_id=1 CANDIDATES item_id 1193 661
        freshet ctl status
      """,
    version: FreshetVersion.current,
    subcommands: [
      UpCommand.self, ParameterServerCommand.self, TrainerCommand.self, JoinerCommand.self, ServeCommand.self,
      ArchiveCommand.self, GatewayCommand.self, DashboardCommand.self,
      ReplayCommand.self,
      ControlCommand.self,
      InspectCommand.self,
      QueryCommand.self,
      ConfigCommand.self,
      MetricsCommand.self,
      CompletionsCommand.self,
      BenchCommand.self,
      ExperimentCommand.self,
      SimulateCommand.self,
    ])

  private static let usageCodes: Set = [
    "usage", "configuration", "schema", "bad-option", "kafka-invalid-property", "snapshot-mismatch",
  ]

  /// Exit codes: 0 done, 1 failed, 2 bad usage or configuration.
  static func main() async {
    do {
      if let mistake = CommandNames.mistake(in: Array(CommandLine.arguments.dropFirst()), below: Self.self) {
        throw UsageError(mistake)
      }
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch let error as any DescribedError {
      FileHandle.standardError.write(Data("freshet: \(error)\n".utf8))
      Foundation.exit(usageCodes.contains(error.code) ? 2 : 1)
    } catch {
      let code = exitCode(for: error)
      if code == .validationFailure {
        FileHandle.standardError.write(Data((fullMessage(for: error) + "\n").utf8))
        Foundation.exit(2)
      }
      if code == .success { exit(withError: error) }
      if !(error is ExitCode) { FileHandle.standardError.write(Data("freshet: \(error)\n".utf8)) }
      Foundation.exit(code.rawValue)
    }
  }
}

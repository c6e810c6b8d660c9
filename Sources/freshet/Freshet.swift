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
    version: FreshetVersion.current,
    subcommands: [
      UpCommand.self, ParameterServerCommand.self, TrainerCommand.self, JoinerCommand.self, ServeCommand.self,
      ArchiveCommand.self, DashboardCommand.self,
      ReplayCommand.self,
      ControlCommand.self,
      InspectCommand.self,
      QueryCommand.self,
      ConfigCommand.self,
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

import ArgumentParser
import Foundation
import FreshetRoles
import Logging
import ServiceLifecycle

/// What every command that reads a configuration takes.
struct ConfigurationOptions: ParsableArguments {
  @Option(
    name: [.short, .long], help: "The configuration file.", completion: .file(extensions: ["yaml", "yml"]))
  var configuration = "Config/cluster.yaml"

  @Option(name: .customLong("set"), help: "Replace one value of the file, such as trainer.batch_size=64. Repeatable.")
  var overrides: [String] = []

  func load() throws -> FreshetConfiguration {
    var pairs: [String: String] = [:]
    for override in overrides {
      guard let equals = override.firstIndex(of: "=") else { throw UsageError("--set \(override): must be key=value") }
      pairs[String(override[..<equals])] = String(override[override.index(after: equals)...])
    }
    return try FreshetConfiguration.load(
      file: configuration, overrides: pairs, environment: ProcessInfo.processInfo.environment)
  }

  /// The same options again, for child processes.
  var arguments: [String] { ["-c", configuration] + overrides.flatMap { ["--set", $0] } }
}

struct LogOptions: ParsableArguments {
  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = Logger.Level.info

  func logger(
    role: String, _ metadata: [String: String] = [:], to output: FileHandle = .standardError
  ) -> Logger {
    var handler = LogfmtHandler(to: output)
    handler.logLevel = logLevel
    handler.metadata["role"] = "\(role)"
    for (key, value) in metadata { handler.metadata[key] = "\(value)" }
    return Logger(label: role) { _ in handler }
  }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}

/// Runs one role until SIGTERM or SIGINT, or until it fails.
/// - Parameter foundations: What is to run until the role has ended.
func runService(_ service: any Service, below foundations: [any Service] = [], logger: Logger) async throws {
  let watch = SupervisorWatch(environment: ProcessInfo.processInfo.environment)
  let services = (foundations + [service] + (watch.map { [$0] } ?? [])).map {
    ServiceGroupConfiguration.ServiceConfiguration(
      service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
      failureTerminationBehavior: .gracefullyShutdownGroup)
  }
  var quiet = logger
  quiet.logLevel = .error
  let group = ServiceGroup(
    configuration: ServiceGroupConfiguration(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
  try await group.run()
  logger.info("stopped")
}

import ArgumentParser
import Foundation
import FreshetRoles
import NIOPosix

struct PromoteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "promote", abstract: "Switch replicas to a second model, without a gap in their answers.",
    discussion: """
      The second model has parameter servers and trainers of its own, by a configuration of its own with another \
      model.version. Each replica copies it beside the model that answers, which takes the memory of both for that time, and \
      waits until it has caught up. When all of them are ready, each switches between two requests. Nothing is switched if \
      one of them cannot. Replicas remember it in serve.state.

      EXAMPLES:
        freshet ctl promote --to second.yaml --replica a:7000 --replica b:7000
        freshet ctl promote --back
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @Option(help: "The configuration file of the model to switch to.")
  var to: String?
  @Flag(help: "Switch back to the model of -c, as long as its parameter servers live.")
  var back = false
  @Option(help: "A replica to switch, as host:port; default: serve.host:serve.port. Repeatable: give all of them.")
  var replica: [String] = []
  @Option(help: "How far the model's scores may be behind those of the present one, in milliseconds.")
  var maxLag = 5_000
  @Option(help: "How long copying and catching up may take, in seconds.")
  var timeout = 600
  @Flag(
    help: "Switch however far it is behind, whatever fields or tasks it lacks, whatever memory it is expected to take.")
  var force = false
  @Flag(help: "Also switch replicas without serve.state, which come back with their configured model.")
  var untilRestart = false

  func validate() throws {
    guard (to != nil) != back else { throw ValidationError("Give --to FILE or --back.") }
    guard (1...86_400_000).contains(maxLag) else { throw ValidationError("--max-lag must be 1 … 86400000.") }
    guard (1...86_400).contains(timeout) else { throw ValidationError("--timeout must be 1 … 86400.") }
  }

  func run() async throws {
    let settings = try configuration.load()
    var environment = ProcessInfo.processInfo.environment
    // The servers of the present model.
    environment["FRESHET_SERVERS"] = nil
    let candidate = try to.map { file in
      try FreshetConfiguration.load(file: file, overrides: [:], environment: environment)
    }
    let promotion = ClusterPromotion(
      settings, to: candidate ?? settings,
      options: ClusterPromotion.Options(
        maximumLagMs: maxLag, isForced: force, untilRestart: untilRestart, timeoutSeconds: timeout),
      on: MultiThreadedEventLoopGroup.singleton
    ) { print($0) }
    try await promotion.run(replicas: ServerAddress.replicas(replica, settings))
  }
}

import ArgumentParser
import FreshetRoles
import NIOPosix

struct TrainerControlCommand: AsyncParsableCommand {
  enum Action: String, ExpressibleByArgument, CaseIterable { case resume }

  static let configuration = CommandConfiguration(
    commandName: "trainer", abstract: "Have trainers go on that hold training because of trainer.guard.",
    discussion: """
      resume: the guard forgets what it has judged, and the trainer goes on at the watermarks: no example is skipped or learned \
      twice. If what comes is as bad as before, it holds again once trainer.guard.window examples have been judged. To go on \
      with another bound, restart the trainer with it.

      EXAMPLES:
        freshet ctl trainer resume --trainer 127.0.0.1:7200
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @Argument(help: "resume")
  var action: Action
  @Option(help: "A trainer's status port, as host:port; default: trainer.host:trainer.port. Repeatable.")
  var trainer: [String] = []

  func run() async throws {
    let settings = try configuration.load()
    let texts = trainer.isEmpty ? ["\(settings.trainer.host):\(settings.trainer.port)"] : trainer
    let addresses = try texts.map { text in
      guard let address = ServerAddress(text) else { throw UsageError("`\(text)` is not host:port") }
      return address
    }
    let outcomes = await HeldTrainers.resume(
      addresses, password: settings.cluster.password, on: MultiThreadedEventLoopGroup.singleton)
    for outcome in outcomes { print(outcome.text) }
    if outcomes.contains(where: { $0.error != nil }) { throw ExitCode(1) }
  }
}

import ArgumentParser
import FreshetRoles

struct GatewayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway", abstract: "Run a gateway: takes records by HTTP and writes them to Kafka.",
    discussion: """
      Paths of Confluent REST Proxy's API v2 (POST /topics/{topic}) take records as they are; POST /v1/impressions, /v1/actions and \
      /v1/items check them first as joiners do. A reply comes after the broker's acknowledgement (docs/gateway.md).

      EXAMPLES:
        freshet gateway
        freshet gateway --port 8083 --set gateway.topics=pins,geo
      """)

  @OptionGroup var configuration: ConfigurationOptions
  @OptionGroup var log: LogOptions
  @Option(help: "The HTTP port, instead of gateway.port; 8082 if neither is given.")
  var port: Int?
  @Option(help: "Status port, instead of gateway.status_port; 0 opens none.")
  var statusPort: Int?
  @Flag(help: "Exit with 1 if no broker answers at the start, instead of trying again.")
  var failFast = false

  func validate() throws {
    if let port, !(1...65_535).contains(port) { throw ValidationError("--port \(port) is outside 1...65535") }
  }

  func run() async throws {
    let logger = log.logger(role: "gateway")
    try await runService(
      GatewayRole(
        configuration: configuration.load(),
        options: GatewayRole.Options(port: port, statusPort: statusPort, failsFast: failFast), logger: logger),
      logger: logger)
  }
}

import ArgumentParser
import Foundation
import FreshetNet
import FreshetRoles
import FreshetWire
import NIOPosix

struct QueryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query",
    abstract: "Send one command to a port of the cluster and print the reply.",
    discussion: "For people without redis-cli, and for health checks: exit code 0 if the reply is not an error.")

  @Option(name: .customLong("host"), help: "Where the process listens.")
  var address = "127.0.0.1"
  @Option(name: .shortAndLong, help: "Its port.")
  var port = 7000
  @Option(help: "The password, if the port asks for one; else the variable FRESHET_PASSWORD.")
  var password: String?
  @Argument(
    parsing: .remaining, help: "The command, such as SCORE movielens user_id=1 CANDIDATES item_id 1193")
  var words: [String] = []

  func run() async throws {
    guard !words.isEmpty else { throw UsageError("no command: try `freshet query PING`") }
    let password = password ?? ProcessInfo.processInfo.environment["FRESHET_PASSWORD"]
    let connection = try await RESPConnection.connect(
      .standard(host: address, port: port, password: password), on: MultiThreadedEventLoopGroup.singleton)
    do {
      print(ReplyText.format(try await connection.command(words)))
    } catch let error as WireError {
      await connection.close()
      FileHandle.standardError.write(Data("(error) \(error.code) \(error.message)\n".utf8))
      throw ExitCode(1)
    }
    await connection.close()
  }
}

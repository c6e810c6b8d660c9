import ArgumentParser
import Foundation
import FreshetNet
import FreshetRoles
import FreshetWire
import NIOCore
import NIOPosix

struct QueryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query",
    abstract: "Send commands to a port of the cluster and print the replies.",
    discussion: """
      For people without redis-cli, and for health checks: exit code 0 if no reply was an error. Without a command it reads \
      one from each line of its input, with a prompt if that is a terminal; quotes are those of redis-cli, `quit` ends.

      EXAMPLES:
        freshet query SCORE movielens user_id=1 CANDIDATES item_id 1193 661
        freshet query --port 7100 INFO training
        freshet query PING
      """)

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
    let succeeded = words.isEmpty ? try await readCommands() : await sendOnce(try await connect())
    if !succeeded { throw ExitCode(1) }
  }

  private func connect() async throws -> RESPConnection {
    let password = password ?? ProcessInfo.processInfo.environment["FRESHET_PASSWORD"]
    return try await RESPConnection.connect(
      .standard(host: address, port: port, password: password), on: MultiThreadedEventLoopGroup.singleton)
  }

  private func sendOnce(_ connection: RESPConnection) async -> Bool {
    let words = words
    let succeeded = await show { try await connection.command(words) } == nil
    await connection.close()
    return succeeded
  }

  /// - Returns: Whether no reply was an error.
  private func readCommands() async throws -> Bool {
    let isTerminal = isatty(STDIN_FILENO) == 1
    var connection: RESPConnection? = try await connect()
    var succeeded = true
    while true {
      if isTerminal {
        print("\(address):\(port)> ", terminator: "")
        fflush(nil)
      }
      guard let line = readLine()?.trimmingCharacters(in: .whitespaces), !["quit", "exit"].contains(line.lowercased())
      else { break }
      if line.isEmpty { continue }
      // As it is: the port splits the words of an inline command itself.
      let request = ByteBuffer(string: line + "\r\n")
      let error = await show {
        if connection == nil { connection = try await connect() }
        return try await connection!.send { $0.buffer.writeImmutableBuffer(request) }
      }
      guard let error else { continue }
      succeeded = false
      if (error as? WireError)?.isConnectionFailure ?? true { connection = nil }
    }
    await connection?.close()
    if isTerminal { print() }
    return succeeded
  }

  /// Prints the reply, or the error.
  /// - Returns: The error.
  private func show(_ reply: () async throws -> RESPValue) async -> (any Error)? {
    do {
      print(ReplyText.format(try await reply()))
      return nil
    } catch {
      let text = (error as? WireError).map { "\($0.code) \($0.message)" } ?? "\(error)"
      FileHandle.standardError.write(Data("(error) \(text)\n".utf8))
      return error
    }
  }
}

import Foundation
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore

/// The port of a role that serves nothing but its own state: `PING` and `INFO`, and commands of the role's own.
enum StatusPort {
  /// A command without arguments.
  struct Command: Sendable {
    let description: CommandDescription
    /// Called on a loop of `group`.
    let perform: @Sendable () -> RESPValue
  }

  static let info = CommandDescription(
    name: "INFO", arity: -1, syntax: "INFO [section]", summary: "State and counters as text")

  /// Names a process among those of its role, on all machines and across restarts: a machine's port has one owner. By it the
  /// Kafka group knows a process that comes back. nil without a port.
  static func instance(port: Int) -> String? { port > 0 ? "\(ProcessInfo.processInfo.hostName)-\(port)" : nil }

  /// - Parameters:
  ///   - commands: Those of the role's own.
  ///   - text: Called on a loop of `group`.
  static func start(
    host: String, port: Int, password: String?, name: String, settings: [String: String],
    commands: [Command], on group: any EventLoopGroup, text: @escaping @Sendable () -> InfoText
  ) async throws -> RESPServer {
    try await RESPServer.start(
      .standard(
        host: host, port: port, password: password, serverName: name, serverVersion: FreshetVersion.current,
        commands: [info] + commands.map(\.description),
        settings: settings),
      on: group
    ) { request, responder in
      if let command = commands.first(where: { request.name == $0.description.name }) {
        do throws(WireError) {
          try command.description.checkArity(request)
          responder.reply(command.perform())
        } catch {
          responder.fail(error)
        }
        return
      }
      guard request.count <= 2 else {
        responder.fail(WireError(.err, "wrong number of arguments for 'info' command: INFO [section]"))
        return
      }
      responder.reply(.bulk(text().text(section: request.count == 2 ? request.text(at: 1) : nil)))
    }
  }
}

import Foundation
import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore

/// The port of a role that serves nothing but its own state: `PING` and `INFO`.
enum StatusPort {
  static let info = CommandDescription(
    name: "INFO", arity: -1, syntax: "INFO [section]", summary: "State and counters as text")

  /// Names a process among those of its role, on all machines and across restarts: a machine's port has one owner. By it the
  /// Kafka group knows a process that comes back. nil without a port.
  static func instance(port: Int) -> String? { port > 0 ? "\(ProcessInfo.processInfo.hostName)-\(port)" : nil }

  /// - Parameter text: Called on a loop of `group`.
  static func start(
    host: String, port: Int, password: String?, name: String, settings: [String: String],
    on group: any EventLoopGroup, text: @escaping @Sendable () -> InfoText
  ) async throws -> RESPServer {
    try await RESPServer.start(
      .standard(
        host: host, port: port, password: password, serverName: name, serverVersion: FreshetVersion.current,
        commands: [info],
        settings: settings),
      on: group
    ) { request, responder in
      guard request.count <= 2 else {
        responder.fail(WireError(.err, "wrong number of arguments for 'info' command: INFO [section]"))
        return
      }
      responder.reply(.bulk(text().text(section: request.count == 2 ? request.text(at: 1) : nil)))
    }
  }
}

import FreshetWire
import NIOCore

/// What a RESP port is and accepts.
public struct RESPServerConfiguration: Sendable {
  /// Address to listen on, such as `127.0.0.1` or `0.0.0.0`.
  public var host: String
  /// 0 lets the system choose; `RESPServer.port` tells.
  public var port: Int
  /// If set, clients must give it with AUTH or HELLO. The user's name is `default`.
  public var password: String?
  /// More are refused with `BUSY`.
  public var maxConnections: Int
  /// Requests of one connection that may be unanswered before its socket is not read any more.
  public var maxPendingRequests: Int
  /// A connection whose client has read nothing for so long while replies wait is closed: they hold memory.
  public var slowReaderMs: Int
  public var limits: RESPLimits
  /// What HELLO calls the server, and its version.
  public var serverName: String
  public var serverVersion: String
  /// The commands that the service handles: all others that are not built in are refused.
  public var commands: [CommandDescription]
  /// What CONFIG GET shows beside what is known of the port itself.
  public var settings: [String: String]

  public init(
    host: String, port: Int, password: String?, maxConnections: Int, maxPendingRequests: Int, slowReaderMs: Int,
    limits: RESPLimits, serverName: String, serverVersion: String, commands: [CommandDescription],
    settings: [String: String]
  ) {
    precondition(maxConnections > 0 && maxPendingRequests > 0 && slowReaderMs > 0)
    self.host = host
    self.port = port
    self.password = password
    self.maxConnections = maxConnections
    self.maxPendingRequests = maxPendingRequests
    self.slowReaderMs = slowReaderMs
    self.limits = limits
    self.serverName = serverName
    self.serverVersion = serverVersion
    self.commands = commands
    self.settings = settings
  }

  /// 10,000 connections, 1,024 unanswered requests each, a minute for slow readers, `RESPLimits.requests`.
  public static func standard(
    host: String, port: Int, password: String?, serverName: String, serverVersion: String,
    commands: [CommandDescription], settings: [String: String]
  ) -> RESPServerConfiguration {
    RESPServerConfiguration(
      host: host, port: port, password: password, maxConnections: 10_000, maxPendingRequests: 1024,
      slowReaderMs: 60_000,
      limits: .requests,
      serverName: serverName, serverVersion: serverVersion, commands: commands, settings: settings)
  }

  /// `settings`, and those that Redis tools ask for, under the names and in the form that they expect.
  var shownSettings: [String: String] {
    let known = [
      "appendonly": "no", "bind": host, "databases": "1", "maxclients": String(maxConnections), "port": String(port),
      "proto-max-bulk-len": String(limits.maxBulkBytes), "save": "", "timeout": "0",
    ]
    return known.merging(settings) { _, given in given }
  }
}

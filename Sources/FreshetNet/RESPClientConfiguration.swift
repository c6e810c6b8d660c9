import FreshetWire

/// Where a client connects to and what it may hold.
public struct RESPClientConfiguration: Sendable {
  public var host: String
  public var port: Int
  /// Sent with HELLO for the user `default`, or with AUTH in RESP2.
  public var password: String?
  /// 3 sends HELLO 3 first.
  public var version: RESPVersion
  /// TCP connect and handshake together.
  public var connectTimeoutMs: Int
  /// The connection is closed if a request is unanswered and nothing arrives for so long; nil waits forever.
  public var replyTimeoutMs: Int?
  /// Requests that may be unanswered; more fail with `BUSY`.
  public var maxPendingRequests: Int
  public var limits: RESPLimits

  public init(
    host: String, port: Int, password: String?, version: RESPVersion, connectTimeoutMs: Int, replyTimeoutMs: Int?,
    maxPendingRequests: Int, limits: RESPLimits
  ) {
    precondition(connectTimeoutMs > 0 && maxPendingRequests > 0 && (replyTimeoutMs ?? 1) > 0)
    self.host = host
    self.port = port
    self.password = password
    self.version = version
    self.connectTimeoutMs = connectTimeoutMs
    self.replyTimeoutMs = replyTimeoutMs
    self.maxPendingRequests = maxPendingRequests
    self.limits = limits
  }

  /// RESP3, 5 s to connect, 30 s for a reply, 1,024 unanswered requests, `RESPLimits.replies`.
  public static func standard(host: String, port: Int, password: String?) -> RESPClientConfiguration {
    RESPClientConfiguration(
      host: host, port: port, password: password, version: .v3, connectTimeoutMs: 5000, replyTimeoutMs: 30_000,
      maxPendingRequests: 1024, limits: .replies)
  }
}

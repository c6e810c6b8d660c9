/// What an HTTP port is and accepts.
public struct HTTPServerConfiguration: Sendable {
  /// Address to listen on, such as `127.0.0.1` or `0.0.0.0`.
  public var host: String
  /// 0 lets the system choose; `HTTPServer.port` tells.
  public var port: Int
  /// Further connections wait in the system's queue until one of these ends.
  public var maxConnections: Int
  /// A larger request body is refused with 413.
  public var maxBodyBytes: Int
  /// Bodies of all requests together, from their first byte to their reply; a request beyond it is refused with 503.
  public var maxBodyBytesInHand: Int
  /// A connection on which no request has begun or gone on for so long is closed.
  public var idleTimeoutMs: Int
  /// A connection whose request body is not complete after so long is closed.
  public var bodyTimeoutMs: Int

  public init(
    host: String, port: Int, maxConnections: Int, maxBodyBytes: Int, maxBodyBytesInHand: Int, idleTimeoutMs: Int,
    bodyTimeoutMs: Int
  ) {
    precondition(maxConnections > 0 && maxBodyBytes >= 0 && maxBodyBytesInHand >= maxBodyBytes)
    precondition(idleTimeoutMs > 0 && bodyTimeoutMs > 0)
    self.host = host
    self.port = port
    self.maxConnections = maxConnections
    self.maxBodyBytes = maxBodyBytes
    self.maxBodyBytesInHand = maxBodyBytesInHand
    self.idleTimeoutMs = idleTimeoutMs
    self.bodyTimeoutMs = bodyTimeoutMs
  }

  /// 1,024 connections, bodies of 32 MiB and 256 MiB together, a minute of idleness, 30 s for a body.
  public static func serving(host: String, port: Int) -> HTTPServerConfiguration {
    HTTPServerConfiguration(
      host: host, port: port, maxConnections: 1024, maxBodyBytes: 32 << 20, maxBodyBytesInHand: 256 << 20,
      idleTimeoutMs: 60_000, bodyTimeoutMs: 30_000)
  }

  /// For a port that answers `GET` only: 64 connections, bodies of 64 KiB.
  public static func metrics(host: String, port: Int) -> HTTPServerConfiguration {
    HTTPServerConfiguration(
      host: host, port: port, maxConnections: 64, maxBodyBytes: 64 << 10, maxBodyBytesInHand: 1 << 20,
      idleTimeoutMs: 60_000, bodyTimeoutMs: 10_000)
  }
}

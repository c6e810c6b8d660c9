import FreshetCore
import FreshetWire
import NIOCore

/// Where the reply to one request goes: at once or later, on the connection's event loop, exactly once.
///
/// Replies leave in the order of the requests, whatever the order of the calls. After the connection has closed a reply
/// is dropped.
// Sendable holds because every method first checks that it runs on the connection's event loop, which owns the
// connection.
public struct RESPResponder: @unchecked Sendable {
  let connection: RESPServerConnection
  let sequence: UInt64
  /// The protocol that the client has chosen; the encoder of `reply` takes care of it.
  public let version: RESPVersion

  public var eventLoop: any EventLoop { connection.eventLoop }

  /// When the bytes that completed the request were read, with others of the same burst.
  public var receivedAt: Instant { connection.receivedAt }

  /// Whether the client is still there; if not, the work for its reply may be saved.
  public var isConnected: Bool {
    eventLoop.preconditionInEventLoop()
    return !connection.isClosed
  }

  /// Has the service's `endTurn` called once the requests of all connections that had any in this turn of the event loop have been
  /// handed on: for requests that are better answered together. The replies still leave with this turn's others.
  public func wantsEndOfTurn() {
    eventLoop.preconditionInEventLoop()
    connection.wantsEndOfTurn()
  }

  /// Writes the reply straight into the connection's outbound buffer.
  /// - Parameter encode: Must write exactly one value, and must not answer other requests.
  public func reply(_ encode: (inout RESPEncoder) -> Void) {
    eventLoop.preconditionInEventLoop()
    connection.complete(sequence, version: version, encode)
  }

  public func reply(_ value: RESPValue) { reply { $0.write(value) } }

  public func fail(_ error: WireError) { reply { $0.writeError(error) } }
}

import FreshetWire
import NIOCore

/// A RESP client for `async` code that sends few requests, such as command-line tools.
public struct RESPConnection: Sendable {
  /// For callers on its event loop.
  public let client: RESPClient

  /// - Throws: `NetError`.
  public static func connect(
    _ configuration: RESPClientConfiguration, on group: any EventLoopGroup
  ) async throws -> RESPConnection {
    RESPConnection(client: try await RESPClient.connect(configuration, on: group.next()).get())
  }

  /// Sends one request and waits for its reply.
  /// - Throws: `WireError`: the server's error reply, or why no reply came.
  public func command(_ words: [String]) async throws -> RESPValue {
    try await send { $0.writeCommand(words) }
  }

  /// Sends the one request that `encode` appends and waits for its reply.
  public func send(_ encode: @escaping @Sendable (inout RESPEncoder) -> Void) async throws -> RESPValue {
    try await withCheckedThrowingContinuation { continuation in
      client.eventLoop.execute {
        client.send(encode) { continuation.resume(with: $0) }
      }
    }
  }

  public func close() async {
    await withCheckedContinuation { continuation in
      client.eventLoop.execute {
        client.onClose { _ in continuation.resume() }
        client.close()
      }
    }
  }
}

import FreshetWire
import NIOCore
import NIOPosix

/// One connection to a RESP server, owned by one event loop. Requests are pipelined; replies come in their order.
///
/// An error reply of the server is a `.failure` with the server's code; so are the loss of the connection
/// (`CONNECTION`), a reply that does not come (`TIMEOUT`) and a full pipeline (`BUSY`). Errors inside an array stay values.
///
/// All methods must be called on `eventLoop`; `RESPConnection` is for callers elsewhere.
// Sendable holds because every method first checks that it runs on the event loop, which owns the connection.
public final class RESPClient: @unchecked Sendable {
  public typealias Completion = (Result<RESPValue, WireError>) -> Void

  public let eventLoop: any EventLoop
  private let connection: RESPClientConnection

  private init(eventLoop: any EventLoop, connection: RESPClientConnection) {
    self.eventLoop = eventLoop
    self.connection = connection
  }

  /// Connects, authenticates and chooses the protocol.
  /// - Returns: Fails with `NetError`.
  public static func connect(
    _ configuration: RESPClientConfiguration, on eventLoop: any EventLoop
  ) -> EventLoopFuture<RESPClient> {
    let (host, port) = (configuration.host, configuration.port)
    let deadline = NIODeadline.now() + .milliseconds(Int64(configuration.connectTimeoutMs))
    // Several addresses of one host may be tried, and the connection that wins may already have ended when `connect`
    // returns, so that its pipeline is empty: therefore the handlers are kept aside.
    let attempts = NIOLoopBoundBox.makeBoxSendingValue([ObjectIdentifier: RESPClientConnection](), eventLoop: eventLoop)
    return ClientBootstrap(group: eventLoop)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 256 << 10)
      )
      .connectTimeout(.milliseconds(Int64(configuration.connectTimeoutMs)))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let connection = RESPClientConnection(eventLoop: channel.eventLoop, configuration: configuration)
          attempts.value[ObjectIdentifier(channel)] = connection
          try channel.pipeline.syncOperations.addHandler(connection)
        }
      }
      .connect(host: host, port: port)
      .flatMapErrorThrowing { throw NetError.connect(host: host, port: port, $0) }
      .flatMap { channel in
        guard let connection = attempts.value[ObjectIdentifier(channel)] else {
          preconditionFailure("a connected channel was initialised")
        }
        attempts.value = [:]
        return RESPClient(eventLoop: eventLoop, connection: connection).shakeHands(configuration, deadline: deadline)
      }
  }

  private func shakeHands(
    _ configuration: RESPClientConfiguration, deadline: NIODeadline
  ) -> EventLoopFuture<RESPClient> {
    let promise = eventLoop.makePromise(of: RESPClient.self)
    let words: [String]
    switch (configuration.version, configuration.password) {
    case (.v3, let password?): words = ["HELLO", "3", "AUTH", "default", password]
    case (.v3, nil): words = ["HELLO", "3"]
    case (.v2, let password?): words = ["AUTH", password]
    case (.v2, nil): return eventLoop.makeSucceededFuture(self)
    }
    let timeout = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
      self.connection.close(WireError(.timeout, "no answer to \(words[0]) in \(configuration.connectTimeoutMs) ms"))
    }
    send(arguments: words) { result in
      timeout.cancel()
      switch result {
      case .success: promise.succeed(self)
      case .failure(let error):
        self.connection.close(error)
        promise.fail(NetError.handshake(host: configuration.host, port: configuration.port, error))
      }
    }
    return promise.futureResult
  }

  /// Requests whose replies have not come yet.
  public var pendingCount: Int {
    eventLoop.preconditionInEventLoop()
    return connection.pendingCount
  }

  public var isConnected: Bool {
    eventLoop.preconditionInEventLoop()
    return connection.isOpen
  }

  /// Sends the request that `encode` appends straight to the outbound buffer. Requests of one turn of the event loop
  /// leave together.
  /// - Parameters:
  ///   - encode: Must append exactly one request and must not use the client. Not called if the request cannot be sent.
  ///   - completion: Called exactly once, on the event loop, after `send` has returned.
  public func send(_ encode: (inout RESPEncoder) -> Void, _ completion: @escaping Completion) {
    eventLoop.preconditionInEventLoop()
    connection.send(encode, completion)
  }

  /// Sends a request that has been encoded before.
  public func send(encoded request: ByteBuffer, _ completion: @escaping Completion) {
    send({ $0.buffer.writeImmutableBuffer(request) }, completion)
  }

  public func send(arguments: [String], _ completion: @escaping Completion) {
    send({ $0.writeCommand(arguments) }, completion)
  }

  /// Sends what has been encoded so far without waiting for the end of the event loop's turn.
  public func flush() {
    eventLoop.preconditionInEventLoop()
    connection.flush()
  }

  /// Called once when the connection has ended, after the completions of all pending requests; soon if it has already.
  public func onClose(_ body: @escaping (WireError) -> Void) {
    eventLoop.preconditionInEventLoop()
    connection.onClose(body)
  }

  /// Called for out-of-band data of RESP3, which is dropped otherwise.
  public func onPush(_ body: @escaping ([RESPValue]) -> Void) {
    eventLoop.preconditionInEventLoop()
    connection.onPush = body
  }

  /// Fails what is pending and closes.
  public func close() {
    eventLoop.preconditionInEventLoop()
    connection.close(WireError(.connection, "the connection was closed by this side"))
  }
}

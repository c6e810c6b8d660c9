import HummingbirdCore
import Logging
import NIOCore
import NIOPosix

/// An HTTP/1.1 port on an event loop of its own.
public final class HTTPServer: Sendable {
  /// Answers one request; called on Swift's executor, many times at once.
  public typealias Handler = @Sendable (HTTPRequest) async -> HTTPReply
  /// Words the refusal of a request that does not reach the handler, such as one that is too large, by the path it was sent to.
  public typealias Refusal = @Sendable (HTTPFailure, _ path: String) -> HTTPReply

  /// Of all headers of a request together; and how many of them.
  private static let maxHeaderBytes = 64 << 10
  private static let maxHeaders = 128
  private static let backlog = 1024

  private let group: MultiThreadedEventLoopGroup
  private let server: Server<HTTP1Channel>
  private let running: Task<Void, any Error>
  private let counters: HTTPServerCounters

  public let host: String
  /// The port that is listened on, also if the system chose it.
  public let port: Int

  private init(
    group: MultiThreadedEventLoopGroup, server: Server<HTTP1Channel>, running: Task<Void, any Error>,
    counters: HTTPServerCounters, host: String, port: Int
  ) {
    self.group = group
    self.server = server
    self.running = running
    self.counters = counters
    self.host = host
    self.port = port
  }

  public var statistics: HTTPServerStatistics { counters.statistics }

  /// Listens.
  /// - Throws: `HTTPListenError` that names the address and what to do.
  public static func start(
    _ configuration: HTTPServerConfiguration, logger: Logger,
    refusal: @escaping Refusal = { failure, _ in failure.reply }, handler: @escaping Handler
  ) async throws -> HTTPServer {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let counters = HTTPServerCounters()
    // What the library has to say of every start and connection, the roles say themselves.
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .warning)
    let (ports, found) = AsyncThrowingStream<Int, any Error>.makeStream()
    let server = Server(
      childChannelSetup: channel(configuration, HTTPResponder(configuration, counters, handler, refusal)),
      configuration: ServerConfiguration(
        address: .hostname(configuration.host, port: configuration.port), backlog: backlog,
        availableConnectionsDelegate: .maximum(configuration.maxConnections, logger: quiet)),
      onServerRunning: { channel in found.yield(channel.localAddress?.port ?? configuration.port) },
      eventLoopGroup: group, logger: quiet)
    // Not a child: it is ended by `shutdown`, in the order that the role chooses, and not by the role's own cancellation.
    let running = Task.detached {
      do {
        try await server.run()
        found.finish()
      } catch {
        found.finish(throwing: error)
        throw error
      }
    }
    do {
      for try await port in ports {
        return HTTPServer(
          group: group, server: server, running: running, counters: counters, host: configuration.host, port: port)
      }
      throw CancellationError()
    } catch {
      try? await group.shutdownGracefully()
      throw HTTPListenError(host: configuration.host, port: configuration.port, error)
    }
  }

  private static func channel(_ configuration: HTTPServerConfiguration, _ responder: HTTPResponder) -> HTTP1Channel {
    HTTP1Channel(
      responder: { request, writer, channel in try await responder.respond(to: request, with: writer, on: channel) },
      configuration: HTTP1Channel.Configuration(
        idleTimeout: .milliseconds(Int64(configuration.idleTimeoutMs)),
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: maxHeaderBytes, maxHeaderListSize: maxHeaderBytes, maxHeaderFieldCount: maxHeaders)))
  }

  /// Stops listening, lets requests in hand be answered and closes all connections.
  /// - Parameter graceMs: What is still open after that is cut.
  public func shutdown(graceMs: Int) async {
    let running = running
    let cut = Task {
      try await Task.sleep(for: .milliseconds(graceMs))
      // Ends the reading of requests and the writing of replies, and closes the connections.
      running.cancel()
    }
    // It fails only if the server has ended already.
    try? await server.shutdownGracefully()
    _ = await running.result
    cut.cancel()
    try? await group.shutdownGracefully()
  }
}

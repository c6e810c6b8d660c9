import FreshetCore
import FreshetWire
import NIOCore
import NIOPosix
import Synchronization

/// A RESP port: accepts connections, answers what every Redis client may ask, and hands the service's commands on.
public final class RESPServer: Sendable {
  /// Called on the connection's event loop for each request of a configured command that has a number of words which
  /// the command's description allows. It must answer each once through
  /// the responder, at once or later. It must not block the event loop for long: other connections wait.
  public typealias Handler = @Sendable (RESPRequest, RESPResponder) -> Void

  private let listener: any Channel
  private let counters: RESPServerCounters
  private let children: RESPServerChildren

  public let host: String
  /// The port that is listened on, also if the system chose it.
  public let port: Int

  private init(listener: any Channel, host: String, counters: RESPServerCounters, children: RESPServerChildren) {
    self.listener = listener
    self.host = host
    self.counters = counters
    self.children = children
    port = listener.localAddress?.port ?? 0
  }

  public var statistics: RESPServerStatistics { counters.statistics }

  /// Listens.
  /// - Parameters:
  ///   - group: Where connections live; with a single event loop the handler is never called concurrently.
  /// - Throws: `NetError` that names the address and what to do.
  public static func start(
    _ configuration: RESPServerConfiguration, on group: any EventLoopGroup, handler: @escaping Handler
  ) async throws -> RESPServer {
    let builtIns = BuiltInCommands(service: configuration.commands)
    let counters = RESPServerCounters(commands: Array(builtIns.descriptions.keys))
    let children = RESPServerChildren()
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
      .childChannelOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 4096, maximum: 256 << 10)
      )
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          children.insert(channel)
          channel.closeFuture.whenComplete { _ in children.remove(channel) }
          try channel.pipeline.syncOperations.addHandler(
            connection(on: channel, configuration, builtIns, counters, handler))
        }
      }
    do {
      let listener = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
      return RESPServer(listener: listener, host: configuration.host, counters: counters, children: children)
    } catch {
      throw NetError.listen(host: configuration.host, port: configuration.port, error)
    }
  }

  /// The handler of a new connection: one that refuses it if there are too many.
  private static func connection(
    on channel: any Channel, _ configuration: RESPServerConfiguration, _ builtIns: BuiltInCommands,
    _ counters: RESPServerCounters, _ handler: @escaping Handler
  ) -> RESPServerConnection {
    let limit = configuration.maxConnections
    let isFull = counters.connected.add(1) > limit
    channel.closeFuture.whenComplete { _ in counters.connected.add(-1) }
    let id = (isFull ? counters.rejected : counters.accepted).add(1)
    let peer = channel.remoteAddress.map { "\($0.ipAddress ?? "?"):\($0.port ?? 0)" } ?? "?"
    return RESPServerConnection(
      eventLoop: channel.eventLoop,
      session: ConnectionSession(configuration: configuration, builtIns: builtIns, id: Int64(id), peer: peer),
      counters: counters,
      refusal: isFull ? WireError(.busy, "\(limit) connections are open, which is the limit; try again later") : nil,
      handler: handler)
  }

  /// Stops listening, lets requests in hand be answered and their replies go out, and closes all connections.
  /// - Parameter graceMs: What is still open after that is cut.
  public func shutdown(graceMs: Int) async {
    try? await listener.close().get()
    let channels = children.all
    for channel in channels { channel.pipeline.fireUserInboundEventTriggered(RESPServerConnection.DrainEvent()) }
    let cut = listener.eventLoop.scheduleTask(in: .milliseconds(Int64(graceMs))) {
      for channel in channels { channel.close(promise: nil) }
    }
    for channel in channels { try? await channel.closeFuture.get() }
    cut.cancel()
  }
}

/// The open connections of a server.
final class RESPServerChildren: Sendable {
  private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

  func insert(_ channel: any Channel) { channels.withLock { $0[ObjectIdentifier(channel)] = channel } }
  func remove(_ channel: any Channel) { channels.withLock { $0[ObjectIdentifier(channel)] = nil } }
  var all: [any Channel] { channels.withLock { Array($0.values) } }
}

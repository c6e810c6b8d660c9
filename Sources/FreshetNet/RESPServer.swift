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
  /// Called on an event loop after the requests of all connections that had any, if one of their handlers has asked for it by
  /// `RESPResponder.wantsEndOfTurn`.
  public typealias TurnEnd = @Sendable () -> Void

  /// What answers the requests of one event loop's connections.
  public struct LoopService: Sendable {
    let handler: Handler
    let endTurn: TurnEnd

    public init(handler: @escaping Handler, endTurn: @escaping TurnEnd) {
      self.handler = handler
      self.endTurn = endTurn
    }
  }

  private let listener: any Channel
  private let loops: [RESPServerLoop]
  private let children: RESPServerChildren

  public let host: String
  /// The port that is listened on, also if the system chose it.
  public let port: Int

  private init(listener: any Channel, host: String, loops: [RESPServerLoop], children: RESPServerChildren) {
    self.listener = listener
    self.host = host
    self.loops = loops
    self.children = children
    port = listener.localAddress?.port ?? 0
  }

  public var statistics: RESPServerStatistics { RESPServerStatistics(loops.map(\.counters)) }

  /// Listens.
  /// - Parameters:
  ///   - group: Where connections live; with a single event loop the handler is never called concurrently.
  /// - Throws: `NetError` that names the address and what to do.
  public static func start(
    _ configuration: RESPServerConfiguration, on group: any EventLoopGroup, handler: @escaping Handler
  ) async throws -> RESPServer {
    try await start(configuration, on: group, serviceOn: { _ in LoopService(handler: handler, endTurn: {}) })
  }

  /// Listens, with a service for each event loop.
  /// - Parameters:
  ///   - group: Where connections live; they are dealt out to its loops in turn.
  ///   - serviceOn: Called for each loop, at once, for what answers its connections.
  /// - Throws: `NetError` that names the address and what to do.
  public static func start(
    _ configuration: RESPServerConfiguration, on group: any EventLoopGroup,
    serviceOn: (any EventLoop) -> LoopService
  ) async throws -> RESPServer {
    let shared = RESPServerShared(configuration)
    let loops = group.makeIterator().map { RESPServerLoop($0, shared, serviceOn($0)) }
    let byEventLoop = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
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
          guard let loop = byEventLoop[ObjectIdentifier(channel.eventLoop)] else {
            preconditionFailure("a connection on a loop that the group does not have")
          }
          try channel.pipeline.syncOperations.addHandler(connection(on: channel, loop))
        }
      }
    do {
      let listener = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
      return RESPServer(listener: listener, host: configuration.host, loops: loops, children: children)
    } catch {
      throw NetError.listen(host: configuration.host, port: configuration.port, error)
    }
  }

  /// The handler of a new connection: one that refuses it if there are too many.
  private static func connection(on channel: any Channel, _ loop: RESPServerLoop) -> RESPServerConnection {
    let (shared, counters) = (loop.shared, loop.counters)
    let limit = shared.configuration.maxConnections
    let isFull = shared.open.add(1, ordering: .relaxed).newValue > limit
    counters.connected.add(1)
    channel.closeFuture.whenComplete { _ in
      shared.open.subtract(1, ordering: .relaxed)
      counters.connected.add(-1)
    }
    (isFull ? counters.rejected : counters.accepted).add(1)
    let id = shared.lastID.add(1, ordering: .relaxed).newValue
    let peer = channel.remoteAddress.map { "\($0.ipAddress ?? "?"):\($0.port ?? 0)" } ?? "?"
    return RESPServerConnection(
      loop: loop,
      session: ConnectionSession(
        configuration: shared.configuration, builtIns: shared.builtIns, id: id, peer: peer),
      refusal: isFull ? WireError(.busy, "\(limit) connections are open, which is the limit; try again later") : nil)
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

import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetStore
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// `freshet ps`: one event loop that owns this server's shards, behind a RESP port.
public struct ParameterServerRole: Service {
  private let configuration: FreshetConfiguration
  private let server: ServerID
  private let tables: ModelTables
  private let logger: Logger
  private let onListening: @Sendable (Int) -> Void

  /// Time between two rounds of the removal of expired rows.
  private static let sweepIntervalMs: Int64 = 100

  /// - Parameter index: The server's position in `cluster.servers`.
  public init(configuration: FreshetConfiguration, index: Int, logger: Logger) throws {
    try self.init(configuration: configuration, index: index, logger: logger) { _ in }
  }

  /// - Parameter onListening: Called with the port once it is listened on.
  init(
    configuration: FreshetConfiguration, index: Int, logger: Logger, onListening: @escaping @Sendable (Int) -> Void
  ) throws {
    guard configuration.cluster.servers.indices.contains(index) else {
      throw UsageError("--index \(index): cluster.servers has \(configuration.cluster.servers.count) servers, from 0")
    }
    self.configuration = configuration
    server = ServerID(index)
    tables = try ModelTables(configuration.model)
    self.logger = logger
    self.onListening = onListening
  }

  public func run() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let settings = configuration.parameterServer
    let machine = ShardServer.Configuration(
      map: configuration.cluster.map, server: server, layouts: tables.layouts,
      generation: UInt64.random(in: 1 ... .max),
      deltaLogBytes: settings.deltaLogBytes, maximumRows: settings.maximumRowsPerRequest)
    let taskCount = configuration.model.tasks.count
    let servers = configuration.cluster.servers
    let endpoint = try await loop.submit {
      NIOLoopBound(ParameterServerEndpoint(machine: machine, servers: servers, taskCount: taskCount), eventLoop: loop)
    }.get()
    let address = configuration.cluster.servers[server.value]
    let listener = try await RESPServer.start(
      .standard(
        host: settings.host, port: address.port, password: configuration.cluster.password, serverName: "freshet-ps",
        serverVersion: FreshetVersion.current, commands: ParameterServerCommand.descriptions,
        settings: configuration.settings),
      on: group
    ) { request, responder in
      endpoint.value.handle(request, responder)
    }
    loop.execute { endpoint.value.listener = listener }
    let seal = loop.scheduleRepeatedTask(
      initialDelay: .milliseconds(Int64(settings.syncIntervalMs)), delay: .milliseconds(Int64(settings.syncIntervalMs))
    ) { _ in
      endpoint.value.seal()
    }
    let sweep = loop.scheduleRepeatedTask(
      initialDelay: .milliseconds(Self.sweepIntervalMs), delay: .milliseconds(Self.sweepIntervalMs)
    ) { _ in
      endpoint.value.keepHouse()
    }
    onListening(listener.port)
    logger.info(
      "ready",
      metadata: [
        "server": "\(server)", "listen": "\(settings.host):\(listener.port)",
        "shards": "\(configuration.cluster.map.shards(of: server).count)",
      ])
    try? await gracefulShutdown()
    seal.cancel()
    sweep.cancel()
    try await loop.submit { endpoint.value.releaseWaiting() }.get()
    await listener.shutdown(graceMs: 2_000)
    try await group.shutdownGracefully()
  }
}

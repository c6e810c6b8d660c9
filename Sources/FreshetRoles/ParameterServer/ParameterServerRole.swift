import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetNet
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// `freshet ps`: one event loop that owns this server's shards, behind a RESP port.
public struct ParameterServerRole: Service {
  let configuration: FreshetConfiguration
  let server: ServerID
  let tables: ModelTables
  let logger: Logger
  private let onListening: @Sendable (Int) -> Void

  /// Time between two rounds of the removal of expired rows.
  private static let sweepIntervalMs: Int64 = 100
  /// After SIGTERM the process ends within 10 s: what the last snapshots may take, then the store's letting go, then the
  /// replies that are still due.
  private static let lastSnapshotMs = 7_000
  private static let storeEndMs = 1_000
  private static let closingMs = 1_000

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
    let store = try SnapshotStore.open(configuration.snapshot, for: .writing) { [logger] in
      logger.warning("trying again", metadata: ["reason": "\($0)"])
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let outcome = RoleOutcome()
    let machine = machine(isSnapshotted: store != nil)
    let endpoint = try await loop.submit { NIOLoopBound(makeEndpoint(machine, store), eventLoop: loop) }.get()
    let settings = configuration.parameterServer
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
    if let store { restore(machine, from: store, into: endpoint, on: loop, outcome) } else { logReady(listener.port) }
    let sync = repeated(on: loop, everyMs: Int64(SyncDesk.tickMs)) { endpoint.value.tickSync() }
    let sweep = repeated(on: loop, everyMs: Self.sweepIntervalMs) { endpoint.value.keepHouse() }
    let metrics = try await startMetrics(endpoint, on: loop)
    onListening(listener.port)
    let end: Result<Void, any Error>
    do {
      try await withTaskCancellationHandler {
        try await outcome.wait()
      } onCancel: {
        outcome.finish()
      }
      end = .success(())
    } catch {
      end = .failure(error)
    }
    await stop(endpoint, on: loop)
    sync.cancel()
    sweep.cancel()
    await metrics?.shutdown(graceMs: Self.closingMs)
    await listener.shutdown(graceMs: Self.closingMs)
    try await group.shutdownGracefully()
    try end.get()
  }

  private func startMetrics(
    _ endpoint: NIOLoopBound<ParameterServerEndpoint>, on loop: any EventLoop
  ) async throws -> HTTPServer? {
    let settings = configuration.parameterServer
    guard settings.metricsPort > 0 else { return nil }
    return try await MetricsPort.start(
      host: settings.host, port: settings.metricsPort + server.value, password: configuration.cluster.password,
      logger: logger
    ) {
      try await loop.submit { RoleReport(info: endpoint.value.info, notReady: endpoint.value.notReady) }.get()
    }
  }

  /// Saves what was learned and gives it to the replicas.
  private func stop(_ endpoint: NIOLoopBound<ParameterServerEndpoint>, on loop: any EventLoop) async {
    await wait(atMostMs: Self.lastSnapshotMs + 500, on: loop) { saved in
      endpoint.value.stop(withinMs: Self.lastSnapshotMs) { saved.succeed() }
    }
    await wait(atMostMs: Self.storeEndMs, on: loop) { ended in
      if let end = endpoint.value.close() { end.cascade(to: ended) } else { ended.succeed() }
    }
  }

  /// Calls `body` on the loop and waits for its promise, or for the time to be over.
  private func wait(
    atMostMs: Int, on loop: any EventLoop, _ body: @escaping @Sendable (EventLoopPromise<Void>) -> Void
  ) async {
    let promise = loop.makePromise(of: Void.self)
    // The second completion of a promise is ignored.
    let timeout = loop.scheduleTask(in: .milliseconds(Int64(atMostMs))) { promise.succeed() }
    loop.execute { body(promise) }
    try? await promise.futureResult.get()
    timeout.cancel()
  }

  private func repeated(
    on loop: any EventLoop, everyMs: Int64, _ body: @escaping @Sendable () -> Void
  ) -> RepeatedTask {
    loop.scheduleRepeatedTask(initialDelay: .milliseconds(everyMs), delay: .milliseconds(everyMs)) { _ in body() }
  }
}

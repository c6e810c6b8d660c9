import FreshetCore
import FreshetDashboard
import FreshetHTTP
import Logging
import NIOConcurrencyHelpers
import NIOPosix
import ServiceLifecycle

/// `freshet dashboard`: asks all processes and the broker how they are, and shows it on a page. The cluster does not need it.
public struct DashboardRole: Service {
  private let configuration: FreshetConfiguration
  private let port: Int
  private let logger: Logger

  /// - Parameter port: Instead of `dashboard.port`.
  public init(configuration: FreshetConfiguration, port: Int?, logger: Logger) throws {
    self.configuration = configuration
    self.port = port ?? configuration.dashboard.port
    self.logger = logger
    guard self.port > 0 else { throw UsageError("dashboard.port is 0: a dashboard without a port shows nothing") }
  }

  public func run() async throws {
    let outcome = RoleOutcome()
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let settings = configuration.dashboard
    let itemKey = configuration.model.fields[configuration.model.itemKey].name
    let desk = DashboardDesk(
      ClusterDescription(configuration),
      titles: TitleCatalog(keyField: itemKey, titleField: settings.titleField, capacity: settings.titles))
    let server: HTTPServer
    do {
      server = try await listen(desk, on: group)
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
    logger.info(
      "listening",
      metadata: ["url": "http://\(FreshetConfiguration.reachable(settings.host)):\(server.port)/"])
    async let reading: Void = WorkerThread.run("dashboard-log") { [configuration, logger] in
      ClusterLogReader(configuration, desk: desk, logger: logger).run { outcome.isEnded }
    }
    let polling = Task { await ClusterPolling(configuration, desk: desk, on: group).run() }
    // It ends by being told to: nothing that the dashboard cannot reach is a reason.
    try? await outcome.wait()
    polling.cancel()
    await polling.value
    await reading
    await server.shutdown(graceMs: 500)
    try await group.shutdownGracefully()
  }

  private func listen(_ desk: DashboardDesk, on group: MultiThreadedEventLoopGroup) async throws -> HTTPServer {
    let started = NIOLockedValueBox<HTTPServer?>(nil)
    let gateway = DashboardGateway(
      desk: desk, questions: ReplicaQuestions(desk: desk, password: configuration.cluster.password, on: group),
      model: configuration.model, credentials: HTTPCredentials(password: configuration.cluster.password)
    ) {
      var info = desk.info
      if let server = started.withLockedValue({ $0 }) { info.add(server.statistics) }
      return RoleReport(info: info, notReady: nil)
    }
    let server = try await HTTPServer.start(
      .metrics(host: configuration.dashboard.host, port: port), logger: logger
    ) {
      await gateway.answer($0)
    }
    started.withLockedValue { $0 = server }
    return server
  }
}

import FreshetCore
import FreshetDashboard
import NIOCore

/// Asks every process once an interval. Each has a task and a connection of its own: one that hangs keeps nobody else waiting.
struct ClusterPolling: Sendable {
  /// A process that says nothing for so long has not answered.
  private static let replyTimeoutMs = 2_000

  private let configuration: FreshetConfiguration
  private let desk: DashboardDesk
  private let group: any EventLoopGroup
  private let interval: Duration

  init(_ configuration: FreshetConfiguration, desk: DashboardDesk, on group: any EventLoopGroup) {
    self.configuration = configuration
    self.desk = desk
    self.group = group
    interval = .milliseconds(configuration.dashboard.intervalMs)
  }

  /// Runs until its task is cancelled.
  func run() async {
    let processes = configuration.monitored.flatMap { role, addresses in addresses.map { (role: role, address: $0) } }
    await withTaskGroup(of: Void.self) { tasks in
      for (position, process) in processes.enumerated() {
        tasks.addTask { await poll(position, process.address, isServer: process.role == .ps) }
      }
      tasks.addTask { await everyInterval { desk.handle(.tick(.now())) } }
    }
  }

  private func poll(_ position: Int, _ address: ServerAddress, isServer: Bool) async {
    let probe = ProcessProbe(
      address, password: configuration.cluster.password, wantsValidation: isServer,
      replyTimeoutMs: Self.replyTimeoutMs, on: group)
    await everyInterval {
      do {
        let answer = try await probe.ask()
        desk.handle(.answered(position, info: answer.info, validation: answer.validation))
      } catch {
        let reason = (error as? any DescribedError)?.message ?? "\(error)"
        desk.handle(.failed(position, reason: reason, isLate: ProcessProbe.isLate(error)))
      }
    }
    await probe.close()
  }

  /// Where the body takes longer than an interval, the next one begins at once.
  private func everyInterval(_ body: () async -> Void) async {
    let clock = ContinuousClock()
    var next = clock.now
    while !Task.isCancelled {
      await body()
      next = max(next.advanced(by: interval), clock.now)
      do {
        try await clock.sleep(until: next, tolerance: .milliseconds(20))
      } catch {
        return
      }
    }
  }
}

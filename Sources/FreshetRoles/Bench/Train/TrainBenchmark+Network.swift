import Foundation
import FreshetCluster
import FreshetCore
import FreshetModel
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

extension TrainBenchmark {
  private static let shards = 16

  /// Trains over TCP: the trainer's own loop and connections, and parameter servers that are processes of this machine.
  /// - Parameters:
  ///   - executable: The program, for `ps`.
  ///   - arguments: Those that name the configuration.
  ///   - directory: For the servers' output.
  public func runOverNetwork(
    servers count: Int, configuration: FreshetConfiguration, executable: String, arguments: [String], directory: String,
    logger: Logger, progress: (String) -> Void
  ) async throws -> Report {
    Network.useOneThread()
    progress("joining \(settings.data)")
    let log = try TrainingLog(model: model, directory: settings.data, limit: settings.limit)
    var runs: [Run] = []
    for number in 1...settings.runs {
      progress("run \(number) of \(settings.runs)")
      let addresses = try (0..<count).map { _ in try ServerAddress("127.0.0.1:\(FreePort.find())")! }
      let servers = try addresses.indices.map { index in
        try ClusterProcess(
          executable: executable,
          arguments: ["ps", "--index", "\(index)"] + arguments + [
            "--set", "cluster.servers=" + addresses.map(\.description).joined(separator: ","), "--set",
            "ps.metrics_port=0", "--set", "cluster.shards=\(Self.shards)",
          ], logPath: "\(directory)/ps-\(index).log")
      }
      do {
        runs.append(try await runOnce(log, addresses, servers, password: configuration.cluster.password, logger))
      } catch {
        for server in servers { await server.stop() }
        throw error
      }
      for server in servers { await server.stop() }
    }
    return report(runs, log, transport: "tcp", servers: count)
  }

  private func runOnce(
    _ log: TrainingLog, _ addresses: [ServerAddress], _ servers: [ClusterProcess], password: String?, _ logger: Logger
  ) async throws -> Run {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let outcome = RoleOutcome()
    var machine = Trainer.Configuration(
      tables: tables, map: ShardMap(shardCount: Self.shards, serverCount: addresses.count),
      batchSize: settings.batchSize,
      microBatchSize: settings.microBatchSize, pipelineDepth: 1, maximumUnacknowledged: 8, allowsGap: false, seed: 1)
    machine.validation = settings.validation
    let cluster = ClusterSettings(shards: machine.map.shardCount, servers: addresses, password: password)
    let logits = NIOLockedValueBox<[Float]>([])
    let endpointBox = NIOLockedValueBox<NIOLoopBound<TrainerEndpoint>?>(nil)
    let source = MemorySource(
      log,
      deliver: { event in
        loop.execute { endpointBox.withLockedValue { $0 }?.value.handle(event.trainerEvent) }
      }, finished: { outcome.finish() })
    let validatedSlots = settings.validation.map { $0.slots.map { model.slots[$0].name } } ?? []
    let endpoint = try await loop.submit { [machine] in
      let endpoint = TrainerEndpoint(
        machine: machine, cluster: cluster, loop: loop, feed: source, outcome: outcome,
        names: ValidationNames(model, slices: validatedSlots), writer: nil, logger: logger)
      endpoint.observePredictions { _, predicted in logits.withLockedValue { $0.append(contentsOf: predicted) } }
      return NIOLoopBound(endpoint, eventLoop: loop)
    }.get()
    endpointBox.withLockedValue { $0 = endpoint }
    loop.execute { endpoint.value.start() }
    let deadline = Instant.now().advanced(bySeconds: 30)
    while try await loop.submit({ endpoint.value.notReady != nil }).get() {
      guard Instant.now() < deadline else { throw UsageError("the parameter servers do not answer; see their logs") }
      try await Task.sleep(for: .milliseconds(20))
    }
    func cpu() -> Double {
      servers.reduce(ProcessorTime.ofThisProcess) { $0 + (ProcessorTime.of(pid: $1.processIdentifier) ?? 0) }
    }
    var run = Run()
    let cpuBefore = cpu()
    let began = Instant.now()
    loop.execute { endpoint.value.handle(.assigned(MemorySource.partition)) }
    let ticks = loop.scheduleRepeatedTask(initialDelay: .milliseconds(5), delay: .milliseconds(5)) { _ in
      endpoint.value.handle(.tick)
    }
    try await outcome.wait()
    run.seconds = Instant.now().milliseconds(since: began) / 1e3
    run.cpuSeconds = cpu() - cpuBefore
    ticks.cancel()
    try await loop.submit { endpoint.value.stop() }.get()
    try await group.shutdownGracefully()
    run.logits = logits.withLockedValue { $0 }
    return run
  }
}

/// A port that nobody listens on at the moment.
enum FreePort {
  static func find() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw UsageError("no socket: errno \(errno)") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let found = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard found else { throw UsageError("no free port: errno \(errno)") }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}

import Foundation
import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetNet
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import FreshetRoles

/// Item records from the test instead of Kafka.
final class GivenItems: ItemFeed {
  private let records: [String]
  private let applied = Atomic<Bool>(false)
  private let stopped = Atomic<Bool>(false)
  var isApplied: Bool { applied.load(ordering: .sequentiallyConsistent) }
  var isStopped: Bool { stopped.load(ordering: .sequentiallyConsistent) }

  init(_ records: [String]) { self.records = records }

  func start(deliver: @escaping @Sendable (ItemBatch, @escaping @Sendable () -> Void) -> Void) {
    let batch = ItemBatch(
      records: records.map {
        ItemRecord(partition: PartitionID(0), offset: Offset(0), key: nil, value: Array($0.utf8))
      }, isCaughtUp: true)
    deliver(batch) { self.applied.store(true, ordering: .sequentiallyConsistent) }
  }

  func stop() async { stopped.store(true, ordering: .sequentiallyConsistent) }
}

/// A parameter server on a port that the system chose.
private struct RunningServer {
  let listener: RESPServer
  let seal: RepeatedTask

  static func start(
    number: Int, map: ShardMap, tables: ModelTables, on group: MultiThreadedEventLoopGroup
  ) async throws -> RunningServer {
    let loop = group.next()
    let machine = ShardServer.Configuration(
      map: map, server: ServerID(number), layouts: tables.layouts, generation: 5, deltaLogBytes: 1 << 20,
      maximumRows: 10_000)
    let endpoint = try await loop.submit {
      NIOLoopBound(
        ParameterServerEndpoint(
          phase: .open(ShardServer(configuration: machine), nil),
          sync: SyncDesk.Settings(intervalMs: 20, denseIntervalMs: nil, bytesPerSecond: nil), servers: [], taskCount: 2,
          slotTables: tables.slotTableCount),
        eventLoop: loop)
    }.get()
    let listener = try await RESPServer.start(
      .standard(
        host: "127.0.0.1", port: 0, password: "secret", serverName: "ps", serverVersion: "0",
        commands: ParameterServerCommand.descriptions, settings: [:]), on: group
    ) { endpoint.value.handle($0, $1) }
    let seal = loop.scheduleRepeatedTask(initialDelay: .milliseconds(10), delay: .milliseconds(10)) { _ in
      endpoint.value.tickSync()
    }
    return RunningServer(listener: listener, seal: seal)
  }

  func stop() async {
    seal.cancel()
    await listener.shutdown(graceMs: 0)
  }

  func connect(on group: MultiThreadedEventLoopGroup) async throws -> RESPConnection {
    try await RESPConnection.connect(
      .standard(host: "127.0.0.1", port: listener.port, password: "secret"), on: group)
  }
}

@Suite struct ServeRoleTests {
  private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  static func configuration(serverPorts: [Int]) throws -> FreshetConfiguration {
    var configuration = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: [:], environment: [:])
    configuration.model = ServeFixture.model
    configuration.cluster.shards = 6
    configuration.cluster.password = "secret"
    configuration.cluster.servers = serverPorts.map { ServerAddress("127.0.0.1:\($0)")! }
    return configuration
  }

  /// Asks until the reply satisfies the condition; fails after ten seconds.
  private func eventually(
    _ connection: RESPConnection, _ line: String, _ condition: (RESPValue) -> Bool
  ) async throws -> RESPValue {
    let deadline = Instant.now().advanced(byMs: 10_000)
    var last = "nothing"
    while Instant.now() < deadline {
      do {
        let reply = try await connection.command(line.split(separator: " ").map(String.init))
        if condition(reply) { return reply }
        last = "\(reply)"
      } catch let error as WireError where error.kind == .loading {
        last = "\(error)"
      }
      try await Task.sleep(for: .milliseconds(5))
    }
    throw ClusterError(.refused, "\(line): \(last)")
  }

  @Test func ratingsPushedToServersChangeScoresOverTCPAndServersMayDie() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let tables = try ModelTables(ServeFixture.model)
    let map = ShardMap(shardCount: 6, serverCount: 2)
    var servers: [RunningServer] = []
    for number in 0..<2 { servers.append(try await .start(number: number, map: map, tables: tables, on: group)) }
    let configuration = try Self.configuration(serverPorts: servers.map(\.listener.port))
    let items = GivenItems(ServeFixture.items)
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let role = ServeRole(
      configuration: configuration, options: ServeOptions(port: 0, httpPort: 0, failFast: false), logger: Self.logger,
      makeItems: { _ in items }
    ) { port.yield($0) }
    let running = Task { try await role.run() }
    let listening = try #require(await ports.first { _ in true })
    let client = try await RESPConnection.connect(
      .standard(host: "127.0.0.1", port: listening, password: "secret"), on: group)

    let request = "SCORE shop \(ServeReference.context) CANDIDATES item_id 3 9 888"
    let untrained = try await eventually(client, request) { $0.elements?.count == 3 }
    try await push(seed: 11, to: servers, map: map, tables: tables, group: group)
    // What the same pushes give in one thread.
    let expected = try ServeFixture.ready().scores(request)
    let trained = try await eventually(client, request) { reply in
      let scores = (reply.elements ?? []).compactMap(\.double)
      return zip(scores, expected).allSatisfy { abs($0 - $1) < 1e-6 }
    }
    #expect(trained != untrained)
    #expect(items.isApplied)
    let best = try await client.command(["RECOMMEND", "shop", "user_id=2", "TOPK", "5"])
    #expect(best.elements?.count == 10)

    let info = try await eventually(client, "INFO") { $0.text?.contains("\r\nrecent_count:3\r\n") ?? false }
    let lines = Set(try #require(info.text).split(separator: "\r\n").map(String.init))
    for line in ["role:serve", "ready:1", "servers_connected:2", "partition_0:1", "count:3", "items:40", "malformed:0"]
    {
      #expect(lines.contains(line), "\(line) in \(lines.sorted())")
    }

    for server in servers { await server.stop() }
    _ = try await eventually(client, "INFO replica") { $0.text?.contains("servers_connected:0") ?? false }
    #expect(try await client.command(request.split(separator: " ").map(String.init)) == trained)

    running.cancel()
    try await running.value
    #expect(items.isStopped)
    try await group.shutdownGracefully()
  }

  private func push(
    seed: UInt64, to servers: [RunningServer], map: ShardMap, tables: ModelTables, group: MultiThreadedEventLoopGroup
  ) async throws {
    for (number, server) in servers.enumerated() {
      let connection = try await server.connect(on: group)
      let integers = try await connection.command(["CLAIM", "0"]).elements?.compactMap(\.integer)
      let claim = try #require(ClaimReply(integers: integers ?? []))
      let body = ServeFixture.pushBody(
        server: ServerID(number), map: map, tables: tables, seed: seed,
        ingest: UnixTime(milliseconds: UnixTime.now().milliseconds - 100))
      let reply = try await connection.send { encoder in
        ParameterServerCommand.push(
          PartitionID(0), claim.epoch, from: Offset.none, to: Offset(1), ByteBuffer(bytes: body)
        ).encode(into: &encoder)
      }
      #expect(reply == .ok)
      await connection.close()
    }
  }

  @Test func aBusyPortEndsTheRoleWithItsAddress() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let occupant = try await RESPServer.start(
      .standard(
        host: "127.0.0.1", port: 0, password: nil, serverName: "x", serverVersion: "0", commands: [], settings: [:]),
      on: group
    ) { _, _ in }
    let role = try ServeRole(
      configuration: Self.configuration(serverPorts: [1]),
      options: ServeOptions(port: occupant.port, httpPort: 0, failFast: false), logger: Self.logger,
      makeItems: { _ in GivenItems([]) }
    ) { _ in }
    let error = await #expect(throws: NetError.self) { try await role.run() }
    #expect(error?.kind == .portInUse)
    #expect(error?.message.contains("127.0.0.1:\(occupant.port)") == true)
    await occupant.shutdown(graceMs: 0)
    try await group.shutdownGracefully()
  }

  @Test func failFastEndsTheRoleWhenNoBrokerAnswers() async throws {
    var configuration = try Self.configuration(serverPorts: [1])
    configuration.kafka.bootstrapServers = "127.0.0.1:1"
    let role = try ServeRole(
      configuration: configuration, options: ServeOptions(port: 0, httpPort: 0, failFast: true), logger: Self.logger)
    let error = await #expect(throws: (any Error).self) { try await role.run() }
    #expect("\(try #require(error))".contains("127.0.0.1:1"))
  }

  @Test func withoutABrokerTheRoleServesAndStops() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    var configuration = try Self.configuration(serverPorts: [1])
    configuration.kafka.bootstrapServers = "127.0.0.1:1"
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let role = ServeRole(
      configuration: configuration, options: ServeOptions(port: 0, httpPort: 0, failFast: false), logger: Self.logger,
      makeItems: { try KafkaItemFeed($0, logger: Self.logger) }
    ) { port.yield($0) }
    let running = Task { try await role.run() }
    let listening = try #require(await ports.first { _ in true })
    let client = try await RESPConnection.connect(
      .standard(host: "127.0.0.1", port: listening, password: "secret"), on: group)
    #expect(try await client.command(["PING"]) == .simpleString("PONG"))
    let error = await #expect(throws: WireError.self) { try await client.command(["SCORE", "shop", "user_id=1"]) }
    #expect(error?.kind == .loading)
    running.cancel()
    try await running.value
    try await group.shutdownGracefully()
  }
}

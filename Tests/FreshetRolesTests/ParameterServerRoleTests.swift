import Foundation
import FreshetCluster
import FreshetCore
import FreshetHTTP
import FreshetModel
import FreshetNet
import FreshetWire
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import FreshetRoles

@Suite struct ParameterServerRoleTests {
  /// One server with one shard, whose first table keeps rows for ten minutes and whose first slot learns at its own rate.
  private static func configuration() throws -> FreshetConfiguration {
    var configuration = try FreshetConfiguration.parse(
      ConfigurationTests.shipped, file: "c.yaml", overrides: [:], environment: [:])
    configuration.model.tables[0].timeToLiveMinutes = 10
    configuration.model.tables[0].admission = .minimumCount(2, sketchBytes: 1024)
    configuration.model.slots[0].overrides = SlotOverrides(learningRate: 0.5, admission: .everything)
    configuration.cluster.shards = 1
    configuration.cluster.password = nil
    var address = ServerAddress("127.0.0.1:1")!
    address.port = 0
    configuration.cluster.servers = [address]
    configuration.parameterServer.metricsPort = 0
    return configuration
  }

  private static func push(_ fids: [Fid], table: Int, minutes: UInt32) -> ByteBuffer {
    var writer = BinaryWriter(capacity: 64)
    fids.withUnsafeBufferPointer {
      PushRequest.encodeHead(
        minutes: minutes, report: nil, sections: [RowSection(shard: ShardID(0), table: table, count: fids.count)],
        fids: $0, into: &writer)
    }
    let gradients = [Float](repeating: 1, count: fids.count * 17)
    gradients.withUnsafeBufferPointer { writer.write(floats: $0) }
    return ByteBuffer(bytes: writer.bytes)
  }

  /// Runs a server until `body` has returned, and has it stop in order.
  private static func withServer(
    _ configuration: FreshetConfiguration, _ body: (RESPConnection) async throws -> Void
  ) async throws {
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let role = try ParameterServerRole(
      configuration: configuration, index: 0, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { port.yield($0) }
    let running = Task { try await role.run() }
    let listening = try #require(await ports.first { _ in true })
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let client = try await RESPConnection.connect(
      .standard(host: "127.0.0.1", port: listening, password: nil), on: group)
    let deadline = Instant.now().advanced(byMs: 10_000)
    while try await info("snapshot", client)["loading"] != "0" {
      try #require(Instant.now() < deadline, "still loading")
      try await Task.sleep(for: .milliseconds(2))
    }
    try await body(client)
    // The client stays connected: an idle one must not hold up the end.
    let stoppedAt = Instant.now()
    running.cancel()
    try await running.value
    #expect(Instant.now().milliseconds(since: stoppedAt) < 5_000)
    await client.close()
    try await group.shutdownGracefully()
  }

  private static func info(_ section: String, _ connection: RESPConnection) async throws -> [String: String] {
    ClusterStatus.parse(info: try await connection.command(["INFO", section]).text ?? "")
  }

  @Test func whatIsLearnedBeforeTheEndIsThereInTheNextLife() async throws {
    let directory = FileManager.default.temporaryDirectory.path + "/freshet-role-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var configuration = try Self.configuration()
    configuration.snapshot.store = directory
    configuration.snapshot.intervalMs = 3_600_000
    var epoch = Epoch(0)
    try await Self.withServer(configuration) { client in
      let claim = try #require(
        ClaimReply(integers: try await client.command(["CLAIM", "0"]).elements?.compactMap(\.integer) ?? []))
      epoch = claim.epoch
      let push = ParameterServerCommand.push(
        PartitionID(0), claim.epoch, from: .none, to: Offset(7), Self.push([1, 2, 3], table: 1, minutes: 100))
      #expect(try await client.send { push.encode(into: &$0) } == .ok)
    }
    try await Self.withServer(configuration) { client in
      let info = try await Self.info("snapshot", client)
      #expect(info["restored_shards"] == "1" && info["restored_rows"] == "3" && info["restored_skipped"] == "0")
      let claim = try #require(
        ClaimReply(integers: try await client.command(["CLAIM", "0"]).elements?.compactMap(\.integer) ?? []))
      #expect(claim.watermarks.map(\.watermark) == [Offset(7)])
      #expect(claim.epoch != epoch)
      #expect(try await client.command(["ROW", "embedding/user_id", "2"]).elements?.first == .integer(1))
      let snapshots = try await client.command(["SNAPSHOT"]).elements
      #expect(snapshots?.count == 1 && snapshots?.first?.elements?.first == .integer(0))
    }
  }

  @Test func everyKeyOfAServerIsDescribedAndItsMetricsShowIt() async throws {
    let directory = FileManager.default.temporaryDirectory.path + "/freshet-role-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var configuration = try Self.configuration()
    configuration.snapshot.store = directory
    let store = try #require(try SnapshotStore.open(configuration.snapshot, for: .writing) { _ in })
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let role = try ParameterServerRole(configuration: configuration, index: 0, logger: logger)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let endpoint = try await loop.submit {
      let endpoint = role.makeEndpoint(role.machine(isSnapshotted: true), store)
      #expect(endpoint.info.undescribed(in: .freshet) == [])
      return NIOLoopBound(endpoint, eventLoop: loop)
    }.get()
    let outcome = RoleOutcome()
    role.restore(role.machine(isSnapshotted: true), from: store, into: endpoint, on: loop, outcome)
    let deadline = Instant.now().advanced(byMs: 10_000)
    while let reason = try await loop.submit({ endpoint.value.notReady }).get() {
      try #require(Instant.now() < deadline, "not ready: \(reason)")
      try await Task.sleep(for: .milliseconds(2))
    }
    let request = try HTTPRequest(method: "GET", target: "/metrics", headers: [:], body: ByteBuffer())
    let reply = try await MetricsPort.answer(request, nil) {
      try await loop.submit { RoleReport(info: endpoint.value.info, notReady: endpoint.value.notReady) }.get()
    }
    let text = String(buffer: try #require(reply).body)
    #expect(!text.contains(InfoText.undescribed))
    for line in [
      "freshet_ps_ready 1", "freshet_ps_snapshot_restoring 0", "freshet_ps_snapshot_shard_current{shard=\"0\"} 0",
      "freshet_ps_request_duration_seconds_bucket{command=\"pull\",le=\"+Inf\"} 0",
      "freshet_ps_table_rows{table=\"embedding\"} 0", "freshet_ps_validation_examples_total{task=\"0\"} 0",
    ] { #expect(text.contains("\n\(line)\n"), "\(line)\n\(text)") }
    try await loop.submit { outcome.finish() }.get()
    if let ended = try await loop.submit({ endpoint.value.close() }).get() { try await ended.get() }
    try await group.shutdownGracefully()
  }

  private static func tables(_ connection: RESPConnection) async throws -> [String: String] {
    let info = try await connection.command(["INFO", "tables"])
    return ClusterStatus.parse(info: info.text ?? "")
  }

  @Test func expiredRowsAreSweptWhileTheServerRunsAndInfoTellsOfThem() async throws {
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let role = try ParameterServerRole(
      configuration: Self.configuration(), index: 0, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { port.yield($0) }
    let running = Task { try await role.run() }
    let listening = try #require(await ports.first { _ in true })
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let client = try await RESPConnection.connect(
      .standard(host: "127.0.0.1", port: listening, password: nil), on: group)
    let integers = try await client.command(["CLAIM", "0"]).elements?.compactMap(\.integer)
    let claim = try #require(ClaimReply(integers: integers ?? []))
    let pushes: [(fids: [Fid], table: Int, minutes: UInt32)] = [
      // Table 1 is that of the slot with overrides.
      ([1, 2, 3], 1, 100), ([1, 2, 3], 0, 100), ([1, 2], 0, 100), ([1], 1, 111), ([1], 0, 111),
    ]
    for (number, push) in pushes.enumerated() {
      let from = number == 0 ? Offset.none : Offset(Int64(number))
      let reply = try await client.send { encoder in
        ParameterServerCommand.push(
          PartitionID(0), claim.epoch, from: from, to: Offset(Int64(number) + 1),
          Self.push(push.fids, table: push.table, minutes: push.minutes)
        ).encode(into: &encoder)
      }
      #expect(reply == .ok)
    }

    let deadline = Instant.now().advanced(byMs: 10_000)
    var info = try await Self.tables(client)
    while info["embedding/user_id_rows"] != "1" {
      try #require(Instant.now() < deadline, "expired rows were not swept: \(info)")
      try await Task.sleep(for: .milliseconds(5))
      info = try await Self.tables(client)
    }
    let own = [
      "rows": "1", "updates": "4", "inserts": "3", "removals": "2", "expired": "3", "evicted": "0", "rejected": "0",
      "nonfinite_gradients": "0", "mean_probes": "1.0", "maximum_probes": "1",
    ]
    for (key, value) in own { #expect(info["embedding/user_id_" + key] == value, "\(key)") }
    #expect(info["embedding_inserts"] == "2" && info["embedding_rejected"] == "3")
    #expect(Double(info["embedding/user_id_load_factor"] ?? "") ?? 0 > 0)
    #expect(info["dense_rows"] == "0")
    #expect(try await client.command(["ROW", "embedding/user_id", "2"]).elements?.first == .integer(0))

    await client.close()
    running.cancel()
    try await running.value
    try await group.shutdownGracefully()
  }

  @Test func replicasBeyondTheLimitDoNotWaitForNewsButAreToldToComeBack() async throws {
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let role = try ParameterServerRole(
      configuration: Self.configuration(), index: 0, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { port.yield($0) }
    let running = Task { try await role.run() }
    let listening = try #require(await ports.first { _ in true })
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let request = ByteBuffer(bytes: SyncRequest(positions: []).encode())
    // One connection may have 1,024 requests unanswered, so the next one needs another.
    let (many, one) = try await (
      RESPConnection.connect(.standard(host: "127.0.0.1", port: listening, password: nil), on: group),
      RESPConnection.connect(.standard(host: "127.0.0.1", port: listening, password: nil), on: group)
    )
    func wait(_ connection: RESPConnection) async throws -> RESPValue {
      try await connection.send { ParameterServerCommand.sync(request).encode(into: &$0) }
    }
    let replies = try await withThrowingTaskGroup(of: RESPValue.self) { tasks in
      for _ in 0..<SyncDesk.maximumWaiting { tasks.addTask { try await wait(many) } }
      let deadline = Instant.now().advanced(byMs: 10_000)
      var isFull = false
      while !isFull && Instant.now() < deadline {
        let info = ClusterStatus.parse(info: try await one.command(["INFO", "sync"]).text ?? "")
        isFull = info["replicas_waiting"] == String(SyncDesk.maximumWaiting)
      }
      #expect(isFull)
      let error = await #expect(throws: WireError.self) { try await wait(one) }
      #expect(error?.kind == .busy)
      return try await tasks.reduce(into: 0) { count, reply in count += reply.elements?.count == 0 ? 1 : 0 }
    }
    #expect(replies == SyncDesk.maximumWaiting)
    let info = ClusterStatus.parse(info: try await one.command(["INFO", "sync"]).text ?? "")
    #expect(info["replicas_refused"] == "1" && info["replicas_waiting"] == "0")
    await many.close()
    await one.close()
    running.cancel()
    try await running.value
    try await group.shutdownGracefully()
  }
}

import FreshetCore
import FreshetWire
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import FreshetNet

/// What completions report, in the order of their calls.
final class Log: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  func add(_ result: Result<RESPValue, WireError>) {
    switch result {
    case .success(let value): add(value.text ?? "\(value)")
    case .failure(let error): add(error.code)
    }
  }
  var all: [String] { lines.withLock { $0 } }
}

/// Says what a web server would.
final class Greeter: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  func channelActive(context: ChannelHandlerContext) {
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n")), promise: nil)
  }
}

@Suite struct RESPClientTests {
  private func client(
    _ port: Int, on group: any EventLoopGroup, password: String? = nil, version: RESPVersion = .v3,
    connectTimeoutMs: Int = 5000, replyTimeoutMs: Int? = nil, maxPendingRequests: Int = 1000
  ) -> EventLoopFuture<RESPClient> {
    RESPClient.connect(
      RESPClientConfiguration(
        host: "127.0.0.1", port: port, password: password, version: version, connectTimeoutMs: connectTimeoutMs,
        replyTimeoutMs: replyTimeoutMs, maxPendingRequests: maxPendingRequests, limits: .replies), on: group.next())
  }

  @Test func pipelinedRepliesReachTheirOwnCompletions() async throws {
    try await withServer { server, group in
      let client = try await client(server.port, on: group).get()
      let log = Log()
      try await client.eventLoop.submit {
        for index in 0..<500 { client.send(arguments: ["DOUBLE", "\(index)"]) { log.add($0) } }
        client.send({ $0.writeCommand(["HALF"]) }) { log.add($0) }
        client.send(encoded: ByteBuffer(string: "*1\r\n$4\r\nPING\r\n")) { log.add($0) }
        client.send(arguments: ["NOSUCH"]) { log.add($0) }
        #expect(client.pendingCount == 503 && log.all.isEmpty)
      }.get()
      try await eventually { log.all.count == 503 }
      #expect(log.all == (0..<500).map { "integer(\($0 * 2))" } + ["double(0.5)", "PONG", "ERR"])
    }
  }

  @Test func largeBlobsGoBothWays() async throws {
    try await withServer { server, group in
      let connection = try await RESPConnection.connect(
        .standard(host: "127.0.0.1", port: server.port, password: nil), on: group)
      let blob = ByteBuffer(repeating: 5, count: 4_000_000)
      let size = try await connection.send {
        $0.writeCommand("SIZE", argumentCount: 1)
        $0.writeBulk(blob)
      }
      #expect(size == .integer(4_000_000))
      #expect(try await connection.command(["BLOB", "5000000"]).buffer?.readableBytes == 5_000_000)
      await connection.close()
      let error = await #expect(throws: WireError.self) { try await connection.command(["PING"]) }
      #expect(error?.kind == .connection)
    }
  }

  @Test(arguments: [RESPVersion.v2, .v3])
  func thePasswordAndTheVersionAreSentAtConnect(version: RESPVersion) async throws {
    try await withServer(password: "secret") { server, group in
      let good = try await client(server.port, on: group, password: "secret", version: version).get()
      let half = good.eventLoop.makePromise(of: RESPValue.self)
      good.eventLoop.execute { good.send(arguments: ["HALF"]) { half.completeWith($0.mapError { $0 as any Error }) } }
      #expect(try await half.futureResult.get() == (version == .v3 ? .double(0.5) : .bulk("0.5")))
      let error = await #expect(throws: NetError.self) {
        try await client(server.port, on: group, password: "wrong", version: version).get()
      }
      #expect(error?.kind == .handshakeFailed && error?.message.contains("WRONGPASS") == true)
    }
  }

  @Test func aServerThatIsNotThereIsAnErrorThatNamesIt() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let server = try await RESPServer.start(configuration(), on: group) { _, _ in }
    await server.shutdown(graceMs: 100)
    let error = await #expect(throws: NetError.self) { try await client(server.port, on: group).get() }
    #expect(error?.kind == .connectFailed)
    #expect(error?.message == "cannot connect to 127.0.0.1:\(server.port): Connection refused")
    let unknown = await #expect(throws: NetError.self) {
      try await RESPClient.connect(.standard(host: "no-such-host.invalid", port: 1, password: nil), on: group.next())
        .get()
    }
    #expect(unknown?.message == "cannot connect to no-such-host.invalid:1: host name not found")
    try await group.shutdownGracefully()
  }

  @Test func losingTheConnectionFailsWhatIsPendingInOrderAndThenTellsOnce() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let service = TestService()
    let server = try await RESPServer.start(configuration(), on: group, handler: service.handle)
    let client = try await client(server.port, on: group).get()
    let log = Log()
    try await client.eventLoop.submit {
      client.onClose { log.add("closed \($0.code)") }
      client.send(arguments: ["PING"]) { log.add($0) }
      for _ in 0..<3 { client.send(arguments: ["LATER", "x"]) { log.add($0) } }
    }.get()
    try await eventually { service.waitingCount == 3 }
    await server.shutdown(graceMs: 1)
    try await eventually { log.all.count >= 5 }
    try await client.eventLoop.submit {
      #expect(!client.isConnected)
      client.send(arguments: ["PING"]) { log.add($0) }
      client.onClose { log.add("late \($0.message)") }
      client.close()
    }.get()
    try await eventually { log.all.count == 7 }
    #expect(log.all.prefix(5) == ["PONG", "CONNECTION", "CONNECTION", "CONNECTION", "closed CONNECTION"])
    #expect(
      log.all.suffix(2) == [
        "CONNECTION", "late connection to 127.0.0.1:\(server.port) lost: closed by the server",
      ])
    try await client.eventLoop.submit { service.release() }.get()
    try await group.shutdownGracefully()
  }

  @Test func aFullPipelineAndASilentServerAreErrors() async throws {
    let service = TestService()
    try await withServer(handler: service.handle) { server, group in
      let client = try await client(server.port, on: group, replyTimeoutMs: 50, maxPendingRequests: 2).get()
      let log = Log()
      try await client.eventLoop.submit {
        client.onClose { log.add($0.message) }
        for _ in 0..<3 { client.send(arguments: ["LATER", "x"]) { log.add($0) } }
      }.get()
      try await eventually { log.all.count == 4 }
      #expect(
        log.all == ["BUSY", "TIMEOUT", "TIMEOUT", "127.0.0.1:\(server.port) has not answered for 50 ms"])
    }
  }

  @Test func aServerThatNeverAnswersTheHandshakeTimesOut() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let silent = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
    let error = await #expect(throws: NetError.self) {
      try await client(silent.localAddress?.port ?? 0, on: group, connectTimeoutMs: 50).get()
    }
    #expect(error?.kind == .handshakeFailed && error?.message.contains("no answer to HELLO in 50 ms") == true)
    try await silent.close()
    try await group.shutdownGracefully()
  }

  @Test func whatIsNotRESPClosesTheConnection() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let web = try await ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Greeter()) }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let error = await #expect(throws: NetError.self) {
      try await client(web.localAddress?.port ?? 0, on: group).get()
    }
    #expect(error?.message.contains("sent what is not a reply: Protocol error: unknown type 'H'") == true)
    try await web.close()
    try await group.shutdownGracefully()
  }
}

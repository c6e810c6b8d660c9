import FreshetWire
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import FreshetNet

/// A server on a port of the system's choice, with one event loop; gone when `body` returns.
func withServer<Value>(
  password: String? = nil, maxConnections: Int = 100, maxPendingRequests: Int = 64, slowReaderMs: Int = 60_000,
  limits: RESPLimits = .requests,
  handler: @escaping RESPServer.Handler = TestService().handle,
  _ body: (RESPServer, any EventLoopGroup) async throws -> Value
) async throws -> Value {
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  do {
    let server = try await RESPServer.start(
      configuration(
        password: password, maxConnections: maxConnections, maxPendingRequests: maxPendingRequests,
        slowReaderMs: slowReaderMs, limits: limits),
      on: group, handler: handler)
    let value = try await body(server, group)
    await server.shutdown(graceMs: 2000)
    try await group.shutdownGracefully()
    return value
  } catch {
    try? await group.shutdownGracefully()
    throw error
  }
}

func configuration(
  port: Int = 0, password: String? = nil, maxConnections: Int = 100, maxPendingRequests: Int = 64,
  slowReaderMs: Int = 60_000, limits: RESPLimits = .requests
) -> RESPServerConfiguration {
  RESPServerConfiguration(
    host: "127.0.0.1", port: port, password: password, maxConnections: maxConnections,
    maxPendingRequests: maxPendingRequests, slowReaderMs: slowReaderMs, limits: limits, serverName: "freshet",
    serverVersion: "0.1.0",
    commands: [
      CommandDescription(name: "DOUBLE", arity: 2, syntax: "DOUBLE integer", summary: "Twice the integer"),
      CommandDescription(name: "LATER", arity: 2, syntax: "LATER text", summary: "The text, at the next RELEASE"),
      CommandDescription(name: "RELEASE", arity: 1, syntax: "RELEASE", summary: "Answer LATER, last one first"),
      CommandDescription(name: "BLOB", arity: 2, syntax: "BLOB count", summary: "So many bytes"),
      CommandDescription(name: "SIZE", arity: 2, syntax: "SIZE blob", summary: "The length of the blob"),
      CommandDescription(name: "HALF", arity: 1, syntax: "HALF", summary: "0.5"),
    ], settings: ["sync-interval": "500"])
}

/// What the tests serve.
final class TestService: Sendable {
  private let waiting = Mutex<[(String, RESPResponder)]>([])
  private let received = Mutex(0)

  /// Requests that have reached the service.
  var receivedCount: Int { received.withLock { $0 } }

  var handle: RESPServer.Handler { { request, responder in self.answer(request, responder) } }

  private func answer(_ request: RESPRequest, _ responder: RESPResponder) {
    received.withLock { $0 += 1 }
    switch request.name {
    case "DOUBLE":
      guard let value = request.integer(at: 1) else { return responder.fail(WireError(.err, "not an integer")) }
      responder.reply(.integer(value * 2))
    case "LATER": waiting.withLock { $0.append((request.text(at: 1) ?? "?", responder)) }
    case "RELEASE":
      release()
      responder.reply(.simpleString("RELEASED"))
    case "BLOB":
      let count = Int(request.integer(at: 1) ?? 0)
      responder.reply { $0.writeBulk(count: count) { $0.initializeMemory(as: UInt8.self, repeating: 0x78) } }
    case "SIZE": responder.reply(.integer(Int64(request[1].readableBytes)))
    case "HALF": responder.reply { $0.writeDouble(0.5) }
    default: responder.fail(request.unknownCommand)
    }
  }

  /// Answers what waits, the newest first. On the event loop.
  func release() {
    let all = waiting.withLock { waiting in
      defer { waiting = [] }
      return waiting
    }
    for (text, responder) in all.reversed() { responder.reply { $0.writeBulk(text) } }
  }

  var waitingCount: Int { waiting.withLock { $0.count } }
}

struct TimedOut: Error {}

/// Waits until a condition holds; fails after ten seconds.
func eventually(_ condition: () -> Bool) async throws {
  let deadline = NIODeadline.now() + .seconds(10)
  while !condition() {
    guard NIODeadline.now() < deadline else { throw TimedOut() }
    try await Task.sleep(for: .milliseconds(1))
  }
}

/// A socket that sends bytes as they are and shows what comes back.
struct RawClient: Sendable {
  private let channel: any Channel
  private let state: State

  final class State: Sendable {
    let received = Mutex("")
    let isClosed = Mutex(false)
  }

  private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let state: State
    init(_ state: State) { self.state = state }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let text = String(buffer: unwrapInboundIn(data))
      state.received.withLock { $0 += text }
    }
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      if case ChannelEvent.inputClosed = event { state.isClosed.withLock { $0 = true } }
    }
    func channelInactive(context: ChannelHandlerContext) { state.isClosed.withLock { $0 = true } }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
  }

  /// - Parameter isReading: If false, nothing is read from the socket.
  init(port: Int, on group: any EventLoopGroup, isReading: Bool = true) async throws {
    let state = State()
    self.state = state
    channel = try await ClientBootstrap(group: group)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelOption(.autoRead, value: isReading)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Collector(state)) }
      }
      .connect(host: "127.0.0.1", port: port).get()
  }

  func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }
  func sendWithoutWaiting(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }
  func finishSending() async throws { try await channel.close(mode: .output) }
  func startReading() async throws { try await channel.setOption(.autoRead, value: true).get() }
  func close() async throws { try await channel.close() }

  var received: String { state.received.withLock { $0 } }
  var isClosed: Bool { state.isClosed.withLock { $0 } }

  /// Waits until this much text has come, and returns it.
  func receive(bytes: Int) async throws -> String {
    try await eventually { received.utf8.count >= bytes }
    return received
  }

  func receiveUntilClosed() async throws -> String {
    try await eventually { isClosed }
    return received
  }

  /// Expects exactly this text next to what has come before.
  func expect(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let got = try? await receive(bytes: text.utf8.count)
    #expect(got ?? received == text, sourceLocation: sourceLocation)
  }
}

import FreshetWire
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import FreshetNet

/// Puts `DOUBLE`s by and answers them together at the end of the turn; answers everything else at once.
private final class TurnService: Sendable {
  private struct State {
    var waiting: [(Int64, RESPResponder)] = []
    var turns: [Int] = []
  }
  private let state = Mutex(State())

  /// How many requests each turn that had any answered.
  var turns: [Int] { state.withLock { $0.turns } }

  var service: RESPServer.LoopService {
    RESPServer.LoopService(
      handler: { request, responder in
        guard request.name == "DOUBLE", let value = request.integer(at: 1) else {
          return responder.reply(.simpleString("NOW"))
        }
        responder.wantsEndOfTurn()
        self.state.withLock { $0.waiting.append((value, responder)) }
      }, endTurn: { self.endTurn() })
  }

  private func endTurn() {
    let all = state.withLock { state in
      defer { state.waiting = [] }
      if !state.waiting.isEmpty { state.turns.append(state.waiting.count) }
      return state.waiting
    }
    // In no good order.
    for (value, responder) in all.reversed() { responder.reply(.integer(value * 2)) }
  }
}

@Suite struct RESPServerTurnTests {
  private func withServer(
    maxPendingRequests: Int, _ body: (RESPServer, TurnService, any EventLoopGroup) async throws -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let service = TurnService()
    do {
      let server = try await RESPServer.start(
        configuration(maxPendingRequests: maxPendingRequests), on: group, serviceOn: { _ in service.service })
      try await body(server, service, group)
      await server.shutdown(graceMs: 2000)
      try await group.shutdownGracefully()
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
  }

  @Test func requestsThatCameTogetherAreAnsweredTogetherAndInOrder() async throws {
    try await withServer(maxPendingRequests: 64) { server, service, group in
      let client = try await RawClient(port: server.port, on: group)
      try await client.send("DOUBLE 1\r\nDOUBLE 2\r\nHALF\r\nDOUBLE 3\r\nPING\r\n")
      #expect(try await client.receive(bytes: 25) == ":2\r\n:4\r\n+NOW\r\n:6\r\n+PONG\r\n")
      #expect(service.turns == [3])
    }
  }

  @Test func moreRequestsThanMayBeUnansweredAreAnsweredInFurtherTurns() async throws {
    try await withServer(maxPendingRequests: 4) { server, service, group in
      let client = try await RawClient(port: server.port, on: group)
      try await client.send((1...10).map { "DOUBLE \($0)\r\n" }.joined())
      let expected = (1...10).map { ":\($0 * 2)\r\n" }.joined()
      #expect(try await client.receive(bytes: expected.utf8.count) == expected)
      #expect(service.turns.reduce(0, +) == 10 && service.turns.allSatisfy { $0 <= 4 })
    }
  }

  @Test func aClientThatHasGoneDoesNotKeepOthersWaiting() async throws {
    try await withServer(maxPendingRequests: 64) { server, service, group in
      for _ in 0..<5 {
        let leaving = try await RawClient(port: server.port, on: group)
        try await leaving.send("DOUBLE 1\r\n")
        try await leaving.close()
      }
      let client = try await RawClient(port: server.port, on: group)
      try await client.send("DOUBLE 4\r\n")
      #expect(try await client.receive(bytes: 4) == ":8\r\n")
    }
  }

  @Test func aConnectionThatIsDrainedGetsWhatIsPutBy() async throws {
    try await withServer(maxPendingRequests: 64) { server, _, group in
      let client = try await RawClient(port: server.port, on: group)
      try await client.send("DOUBLE 1\r\nDOUBLE 2\r\nQUIT\r\n")
      #expect(try await client.receiveUntilClosed() == ":2\r\n:4\r\n+OK\r\n")
    }
  }
}

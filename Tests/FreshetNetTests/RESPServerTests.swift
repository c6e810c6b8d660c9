import FreshetCore
import FreshetWire
import NIOCore
import NIOPosix
import Testing

@testable import FreshetNet

@Suite struct RESPServerTests {
  @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
    try await withServer { server, group in
      let client = try await RawClient(port: server.port, on: group)
      try await client.send("PING\r\n*2\r\n$6\r\nDOUBLE\r\n$2\r\n21\r\nHALF\r\nNOSUCH\r\nECHO x\r\n")
      try await client.expect(
        "+PONG\r\n:42\r\n$3\r\n0.5\r\n-ERR unknown command 'NOSUCH'; COMMAND LIST names the known ones\r\n$1\r\nx\r\n")
      #expect(server.statistics.unknownCommands == 1)
      #expect(
        server.statistics.commands.map(\.name) == ["double", "echo", "half", "ping"]
          && server.statistics.commands.allSatisfy { $0.count == 1 })
      #expect(server.statistics.info.contains("connected_clients:1\r\n"))
      #expect(server.statistics.info.contains("total_commands_processed:4\r\n"))
      #expect(server.statistics.info.hasSuffix("cmdstat_half:calls=1\r\ncmdstat_ping:calls=1\r\n"))
      #expect(server.statistics.connected == 1 && server.statistics.bytesOut == client.received.utf8.count)
    }
  }

  @Test func delayedRepliesKeepTheOrderOfTheRequests() async throws {
    try await withServer { server, group in
      let client = try await RawClient(port: server.port, on: group)
      try await client.send("LATER a\r\nPING\r\nLATER b\r\nHELLO 3\r\nLATER c\r\nHALF\r\n")
      let other = try await RawClient(port: server.port, on: group)
      try await other.send("PING\r\n")
      try await other.expect("+PONG\r\n")
      try await eventually { server.statistics.commands.contains { $0.name == "half" } }
      #expect(client.received == "")
      try await other.send("RELEASE\r\n")
      try await other.expect("+PONG\r\n+RELEASED\r\n")
      try await eventually { client.received.hasSuffix(",0.5\r\n") }
      #expect(client.received.hasPrefix("$1\r\na\r\n+PONG\r\n$1\r\nb\r\n%7\r\n$6\r\nserver\r\n"))
      #expect(client.received.hasSuffix("*0\r\n$1\r\nc\r\n,0.5\r\n"))
    }
  }

  @Test(arguments: [
    "*x\r\n", "*1\r\n:5\r\n", "*1\r\n$-5\r\n", "*1\r\n$abc\r\n", "*99999999\r\n", "*1\r\n$999999999\r\n",
    "*1\r\n$4\r\nPINGxx", "*2\r\n$4\r\nECHO\r\n+x\r\n", "PING \"x\r\n", "*1111111111111111111111111111111111111111",
    String(repeating: "a", count: 70_000), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n",
  ])
  func wrongRESPGetsAnErrorAndTheServerGoesOn(stream: String) async throws {
    try await withServer { server, group in
      let client = try await RawClient(port: server.port, on: group)
      client.sendWithoutWaiting("PING\r\n" + stream)
      try await eventually { client.received.hasPrefix("+PONG\r\n-") && client.received.hasSuffix("\r\n") }
      let reply = client.received.dropFirst("+PONG\r\n".count)
      #expect(reply.hasPrefix("-ERR ") || reply.hasPrefix("-TOOBIG "), "\(reply)")
      let isFatal = server.statistics.protocolErrors == 1
      if isFatal { _ = try await client.receiveUntilClosed() }
      #expect(isFatal || reply.hasPrefix("-ERR unknown command"))
      let other = try await RawClient(port: server.port, on: group)
      try await other.send("PING\r\n")
      try await other.expect("+PONG\r\n")
    }
  }

  @Test func randomBytesNeverStopTheServer() async throws {
    var generator = SeededGenerator(seed: 31)
    var streams: [String] = []
    let pieces = [
      "*", "$", "3", "1", "-", "\r\n", "PING", "ECHO", "\"", "'", "\u{0}", "é", " ", "DOUBLE", ":", "99999999999",
    ]
    for _ in 0..<200 {
      streams.append(
        (0..<Int.random(in: 1...40, using: &generator)).map { _ in
          pieces[Int.random(in: 0..<pieces.count, using: &generator)]
        }.joined())
    }
    try await withServer { server, group in
      let witness = try await RawClient(port: server.port, on: group)
      for stream in streams {
        let client = try await RawClient(port: server.port, on: group)
        client.sendWithoutWaiting(stream)
        try? await client.finishSending()
        let replies = try await client.receiveUntilClosed()
        #expect(replies.isEmpty || replies.hasSuffix("\r\n"))
      }
      #expect(server.statistics.protocolErrors > 20)
      try await witness.send("PING\r\n")
      try await witness.expect("+PONG\r\n")
      try await eventually { server.statistics.connected == 1 }
    }
  }

  @Test func connectionsBeyondTheLimitAreToldSoAndCounted() async throws {
    try await withServer(maxConnections: 2) { server, group in
      let first = try await RawClient(port: server.port, on: group)
      let second = try await RawClient(port: server.port, on: group)
      for client in [first, second] {
        try await client.send("PING\r\n")
        try await client.expect("+PONG\r\n")
      }
      let third = try await RawClient(port: server.port, on: group)
      third.sendWithoutWaiting("PING\r\n")
      let reply = try await third.receiveUntilClosed()
      #expect(reply == "-BUSY 2 connections are open, which is the limit; try again later\r\n")
      #expect(server.statistics.rejected == 1 && server.statistics.accepted == 2)
      try await third.close()
      try await first.close()
      try await eventually { server.statistics.connected == 1 }
      let fourth = try await RawClient(port: server.port, on: group)
      try await fourth.send("PING\r\n")
      try await fourth.expect("+PONG\r\n")
    }
  }

  @Test func aBusyPortIsAnErrorThatNamesIt() async throws {
    try await withServer { server, group in
      let error = await #expect(throws: NetError.self) {
        try await RESPServer.start(configuration(port: server.port), on: group) { _, _ in }
      }
      #expect(error?.kind == .portInUse)
      #expect(
        error?.message.contains("127.0.0.1:\(server.port) is in use by another process; stop it or choose") == true)
    }
  }

  @Test func requestsBeyondThePendingLimitWaitUnread() async throws {
    let service = TestService()
    try await withServer(maxPendingRequests: 8, handler: service.handle) { server, group in
      let client = try await RawClient(port: server.port, on: group)
      let request = "*2\r\n$5\r\nLATER\r\n$1\r\nx\r\n"
      let count = 200_000
      client.sendWithoutWaiting(String(repeating: request, count: count))
      for round in 0..<50 {
        try await eventually { service.waitingCount == 8 }
        #expect(service.receivedCount == 8 * (round + 1))
        #expect(server.statistics.bytesIn < count * request.utf8.count / 2)
        try await group.next().submit { service.release() }.get()
      }
      let other = try await RawClient(port: server.port, on: group)
      try await other.send("PING\r\n")
      try await other.expect("+PONG\r\n")
      #expect(try await client.receive(bytes: 400 * 7) == String(repeating: "$1\r\nx\r\n", count: 400))
      try await client.close()
    }
  }

  @Test func aClientThatDoesNotReadStopsItsOwnRequestsOnly() async throws {
    let service = TestService()
    try await withServer(handler: service.handle) { server, group in
      let slow = try await RawClient(port: server.port, on: group, isReading: false)
      let count = 400
      slow.sendWithoutWaiting(String(repeating: "BLOB 100000\r\n", count: count))
      let other = try await RawClient(port: server.port, on: group)
      try await other.send("PING\r\n")
      try await other.expect("+PONG\r\n")
      try await eventually { service.receivedCount > 0 }
      try await other.send("ECHO again\r\n")
      try await other.expect("+PONG\r\n$5\r\nagain\r\n")
      #expect(service.receivedCount < count)
      try await slow.startReading()
      let reply = try await slow.receive(bytes: count * 100_011)
      #expect(service.receivedCount == count)
      #expect(reply.utf8.count == count * 100_011)
    }
  }

  @Test func aClientThatReadsNothingForTooLongIsCutOff() async throws {
    let service = TestService()
    try await withServer(slowReaderMs: 50, handler: service.handle) { server, group in
      let slow = try await RawClient(port: server.port, on: group, isReading: false)
      try await slow.send("BLOB 30000000\r\n")
      try await eventually { server.statistics.slowReaders == 1 }
      #expect(server.statistics.pauses > 0)
      try await eventually { server.statistics.connected == 0 }
      // One that reads is not, however long its replies.
      let other = try await RawClient(port: server.port, on: group)
      try await other.send("BLOB 30000000\r\n")
      #expect(try await other.receive(bytes: 30_000_011).utf8.count == 30_000_013)
      #expect(server.statistics.slowReaders == 1)
    }
  }

  @Test func repliesGoOutBeforeTheConnectionClosesAfterQuitAndAfterEndOfInput() async throws {
    try await withServer { server, group in
      let quitting = try await RawClient(port: server.port, on: group)
      try await quitting.send("BLOB 30000000\r\nQUIT\r\nPING\r\n")
      #expect(try await quitting.receiveUntilClosed().utf8.count == 30_000_000 + 13 + 5)
      let ending = try await RawClient(port: server.port, on: group)
      try await ending.send("LATER a\r\nBLOB 1000000\r\n")
      try await ending.finishSending()
      let other = try await RawClient(port: server.port, on: group)
      try await eventually { server.statistics.commands.contains { $0.name == "later" } }
      try await other.send("RELEASE\r\n")
      #expect(try await ending.receiveUntilClosed().utf8.count == 7 + 1_000_000 + 12)
    }
  }

  @Test func shutdownAnswersWhatIsInHandAndRefusesNewConnections() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let service = TestService()
    let server = try await RESPServer.start(configuration(), on: group, handler: service.handle)
    let client = try await RawClient(port: server.port, on: group)
    let idle = try await RawClient(port: server.port, on: group)
    try await client.send("LATER a\r\nPING\r\n")
    try await eventually { service.waitingCount == 1 }
    async let down: Void = server.shutdown(graceMs: 10_000)
    #expect(try await idle.receiveUntilClosed() == "")
    #expect(!client.isClosed)
    try await group.next().submit { service.release() }.get()
    #expect(try await client.receiveUntilClosed() == "$1\r\na\r\n+PONG\r\n")
    await down
    await #expect(throws: (any Error).self) { try await RawClient(port: server.port, on: group) }
    #expect(server.statistics.connected == 0)
    try await group.shutdownGracefully()
  }

  @Test func shutdownCutsWhatIsNotAnsweredInTime() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let service = TestService()
    let server = try await RESPServer.start(configuration(), on: group, handler: service.handle)
    let client = try await RawClient(port: server.port, on: group)
    try await client.send("LATER a\r\n")
    try await eventually { service.waitingCount == 1 }
    await server.shutdown(graceMs: 20)
    #expect(try await client.receiveUntilClosed() == "")
    try await group.next().submit { service.release() }.get()
    try await group.shutdownGracefully()
  }

  @Test func beforeAuthenticationLargeRequestsAreRefused() async throws {
    try await withServer(password: "secret") { server, group in
      let client = try await RawClient(port: server.port, on: group)
      try await client.send("PING\r\n*2\r\n$4\r\nSIZE\r\n$100000\r\n")
      let reply = try await client.receiveUntilClosed()
      #expect(reply.hasPrefix("-NOAUTH ") && reply.contains("\r\n-TOOBIG argument of 100000 bytes"))
      let good = try await RawClient(port: server.port, on: group)
      let blob = String(repeating: "x", count: 100_000)
      try await good.send("AUTH secret\r\n*2\r\n$4\r\nSIZE\r\n$100000\r\n\(blob)\r\n")
      try await good.expect("+OK\r\n:100000\r\n")
    }
  }
}

import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import FreshetHTTP

@Suite struct HTTPServerTests {
  private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  /// Answers with the method, the path and the body.
  private static func start(
    maxConnections: Int = 16, maxBodyBytes: Int = 1000, inHand: Int = 2000, bodyTimeoutMs: Int = 10_000,
    handler: HTTPServer.Handler? = nil
  ) async throws -> HTTPServer {
    try await HTTPServer.start(
      HTTPServerConfiguration(
        host: "127.0.0.1", port: 0, maxConnections: maxConnections, maxBodyBytes: maxBodyBytes,
        maxBodyBytesInHand: inHand,
        idleTimeoutMs: 10_000, bodyTimeoutMs: bodyTimeoutMs), logger: logger,
      handler: handler ?? { request in
        let text = "\(request.method) \(request.segments.joined(separator: ",")) " + String(buffer: request.body)
        return HTTPReply(status: 200, contentType: "text/plain", body: ByteBuffer(string: text))
      })
  }

  /// Sends bytes and returns what comes back until the server closes.
  private static func exchange(_ server: HTTPServer, _ request: String) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: server.port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(ByteBuffer(string: request))
      var reply = ByteBuffer()
      for try await part in inbound { reply.writeImmutableBuffer(part) }
      return String(buffer: reply)
    }
  }

  private static func head(_ line: String, _ headers: String...) -> String {
    "\(line) HTTP/1.1\r\n" + (["Host: x", "Connection: close"] + headers).map { $0 + "\r\n" }.joined() + "\r\n"
  }

  @Test func aRequestWithItsWholeBodyIsAnswered() async throws {
    let server = try await Self.start()
    let fixed = try await Self.exchange(server, Self.head("POST /a/b%20c", "Content-Length: 5") + "hello")
    #expect(fixed.hasPrefix("HTTP/1.1 200 OK\r\n") && fixed.hasSuffix("\r\n\r\nPOST a,b c hello"))
    let chunked = try await Self.exchange(
      server, Self.head("POST /", "Transfer-Encoding: chunked") + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    #expect(chunked.hasSuffix("POST  abcde"))
    let head = try await Self.exchange(server, Self.head("HEAD /x"))
    #expect(head.lowercased().contains("content-length: 7\r\n") && head.hasSuffix("\r\n\r\n"))
    #expect(server.statistics.requests == 3 && server.statistics.succeeded == 3 && server.statistics.bytesIn == 10)
    await server.shutdown(graceMs: 1_000)
  }

  @Test func aClientThatAsksFirstIsToldToGoOn() async throws {
    let server = try await Self.start()
    let reply = try await Self.exchange(
      server, Self.head("POST /", "Content-Length: 2", "Expect: 100-continue") + "ab")
    #expect(reply.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
    await server.shutdown(graceMs: 1_000)
  }

  @Test func bodiesBeyondTheBoundAreRefusedAnnouncedOrNot() async throws {
    let server = try await Self.start()
    let body = String(repeating: "x", count: 1001)
    let announced = try await Self.exchange(server, Self.head("POST /", "Content-Length: 1001") + body)
    #expect(announced.hasPrefix("HTTP/1.1 413 ") && announced.contains("TOOBIG"))
    let chunked = try await Self.exchange(
      server, Self.head("POST /", "Transfer-Encoding: chunked") + "3e9\r\n\(body)\r\n0\r\n\r\n")
    #expect(chunked.hasPrefix("HTTP/1.1 413 "))
    #expect(server.statistics.refused == 2)
    await server.shutdown(graceMs: 1_000)
  }

  @Test func allBodiesTogetherAreBounded() async throws {
    let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
    let (openings, opened) = AsyncStream.makeStream(of: Void.self)
    let server = try await Self.start(maxBodyBytes: 1000, inHand: 1500) { request in
      arrived.yield()
      for await _ in openings { break }
      return HTTPReply(status: 200, contentType: "text/plain", body: request.body)
    }
    let request = Self.head("POST /", "Content-Length: 1000") + String(repeating: "x", count: 1000)
    async let first = Self.exchange(server, request)
    for await _ in arrivals { break }
    let second = try await Self.exchange(server, request)
    #expect(second.hasPrefix("HTTP/1.1 503 ") && second.contains("BUSY"))
    opened.finish()
    #expect(try await first.hasPrefix("HTTP/1.1 200 OK"))
    #expect(try await Self.exchange(server, request).hasPrefix("HTTP/1.1 200 OK"))
    await server.shutdown(graceMs: 1_000)
  }

  @Test func aBodyThatDoesNotComeEndsTheConnection() async throws {
    let server = try await Self.start(bodyTimeoutMs: 50)
    let reply = try await Self.exchange(server, Self.head("POST /", "Content-Length: 5") + "he")
    #expect(reply == "")
    await server.shutdown(graceMs: 1_000)
  }

  @Test func aPortInUseIsNamed() async throws {
    let server = try await Self.start()
    await #expect {
      _ = try await HTTPServer.start(.metrics(host: "127.0.0.1", port: server.port), logger: Self.logger) { _ in
        HTTPFailure(.internal, "").reply
      }
    } throws: { error in
      let message = (error as? HTTPListenError)?.message ?? ""
      return message.hasPrefix("127.0.0.1:\(server.port) is in use by another process")
    }
    await server.shutdown(graceMs: 1_000)
  }

  @Test func shutdownLetsARequestInHandBeAnsweredAndCutsWhatTakesTooLong() async throws {
    let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
    let (openings, opened) = AsyncStream.makeStream(of: Void.self)
    let server = try await Self.start { request in
      arrived.yield()
      for await _ in openings { break }
      return HTTPReply(status: 200, contentType: "text/plain", body: ByteBuffer())
    }
    async let reply = Self.exchange(server, Self.head("GET /"))
    for await _ in arrivals { break }
    async let ended: Void = server.shutdown(graceMs: 10_000)
    opened.finish()
    #expect(try await reply.hasPrefix("HTTP/1.1 200 OK"))
    await ended

    let stuck = try await Self.start()
    async let nothing = Self.exchange(stuck, Self.head("POST /", "Content-Length: 5"))
    while stuck.statistics.inHand == 0 { await Task.yield() }
    await stuck.shutdown(graceMs: 50)
    #expect(try await nothing == "")
  }

  @Test func whatDoesNotReachTheHandlerIsWordedByTheOwnerOfThePath() async throws {
    let server = try await HTTPServer.start(
      HTTPServerConfiguration(
        host: "127.0.0.1", port: 0, maxConnections: 16, maxBodyBytes: 10, maxBodyBytesInHand: 20, idleTimeoutMs: 10_000,
        bodyTimeoutMs: 10_000), logger: Self.logger,
      refusal: { failure, path in
        HTTPReply(status: 418, contentType: "text/plain", body: ByteBuffer(string: "\(failure.code) \(path)"))
      },
      handler: { _ in HTTPReply(status: 200, contentType: "text/plain", body: ByteBuffer(string: "handled")) })
    let large = try await Self.exchange(server, Self.head("POST /a/b?c=d", "Content-Length: 11") + "hello world")
    #expect(large.hasPrefix("HTTP/1.1 418") && large.hasSuffix("TOOBIG /a/b"))
    let encoded = try await Self.exchange(
      server, Self.head("POST /x", "Content-Length: 1", "Content-Encoding: gzip") + "x")
    #expect(encoded.hasSuffix("UNSUPPORTED /x"))
    let good = try await Self.exchange(server, Self.head("POST /x", "Content-Length: 1") + "x")
    #expect(good.hasSuffix("handled"))
    await server.shutdown(graceMs: 1_000)
  }
}

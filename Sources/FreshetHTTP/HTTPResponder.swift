import HTTPTypes
import HummingbirdCore
import NIOCore
import Synchronization

/// Reads a request's body within its bounds, asks the handler and writes the reply.
struct HTTPResponder: Sendable {
  private let configuration: HTTPServerConfiguration
  private let counters: HTTPServerCounters
  private let handler: HTTPServer.Handler
  private let refusal: HTTPServer.Refusal

  /// Ends a connection whose request has not been read to its end.
  private struct Unread: Error {}

  init(
    _ configuration: HTTPServerConfiguration, _ counters: HTTPServerCounters, _ handler: @escaping HTTPServer.Handler,
    _ refusal: @escaping HTTPServer.Refusal
  ) {
    self.refusal = refusal
    self.configuration = configuration
    self.counters = counters
    self.handler = handler
  }

  func respond(to request: Request, with writer: consuming ResponseWriter, on channel: any Channel) async throws {
    counters.begin()
    defer { counters.end() }
    let method = request.head.method.rawValue
    // Without a body that anybody wants: the library skips what there is.
    guard method != "GET", method != "HEAD" else {
      return try await write(await answer(request, ByteBuffer()), to: writer, isHead: method == "HEAD", closes: false)
    }
    let late = channel.eventLoop.scheduleTask(in: .milliseconds(Int64(configuration.bodyTimeoutMs))) {
      channel.close(promise: nil)
    }
    defer { late.cancel() }
    var body = ByteBuffer()
    var reserved = 0
    defer { counters.bodyBytesInHand.subtract(reserved, ordering: .relaxed) }
    var parts = request.body.makeAsyncIterator()
    var refusal = refusal(announced: request.head.headerFields[.contentLength])
    if refusal == nil, request.head.headerFields[.expect]?.lowercased() == "100-continue" {
      try await writer.writeInformationalHead(.init(status: .continue))
    }
    while refusal == nil, let part = try await parts.next() {
      reserved += part.readableBytes
      counters.read(part.readableBytes)
      let all = counters.bodyBytesInHand.add(part.readableBytes, ordering: .relaxed).newValue
      if reserved > configuration.maxBodyBytes {
        refusal = tooBig
      } else if all > configuration.maxBodyBytesInHand {
        refusal = HTTPFailure(.busy, "requests of \(all >> 20) MiB are in hand, which is the limit; try again")
      } else {
        body.writeImmutableBuffer(part)
      }
    }
    if let refusal {
      body.clear(minimumCapacity: 0)
      try await write(self.refusal(refusal, request.uri.path), to: writer, isHead: false, closes: true)
      // A client that still sends would not see the reply: closing with bytes unread resets the connection.
      var skipped = 0
      while skipped < configuration.maxBodyBytes, let part = try await parts.next() { skipped += part.readableBytes }
      throw Unread()
    }
    late.cancel()
    try await write(await answer(request, body), to: writer, isHead: false, closes: false)
  }

  private var tooBig: HTTPFailure {
    HTTPFailure(.tooBig, "the body has more than \(configuration.maxBodyBytes) bytes; send several smaller requests")
  }

  private func refusal(announced length: String?) -> HTTPFailure? {
    guard let length, let count = Int(length) else { return nil }
    return count > configuration.maxBodyBytes ? tooBig : nil
  }

  private func answer(_ request: Request, _ body: ByteBuffer) async -> HTTPReply {
    var headers: [String: String] = [:]
    for field in request.head.headerFields { headers[field.name.canonicalName] = field.value }
    let target = request.uri.path + (request.uri.query.map { "?" + $0 } ?? "")
    do throws(HTTPFailure) {
      let request = try HTTPRequest(
        method: request.head.method.rawValue, target: target, headers: headers, body: body)
      if let encoding = headers["content-encoding"], encoding.lowercased() != "identity" {
        throw HTTPFailure(
          .unsupported, "Content-Encoding \(HTTPFailure.short(encoding)) is not understood; send the body as it is")
      }
      return await handler(request)
    } catch {
      return refusal(error, request.uri.path)
    }
  }

  private func write(
    _ reply: HTTPReply, to writer: consuming ResponseWriter, isHead: Bool, closes: Bool
  ) async throws {
    counters.reply(status: reply.status, bytes: reply.body.readableBytes)
    var response = Response(
      status: .init(code: reply.status),
      headers: [.contentType: reply.contentType, .contentLength: String(reply.body.readableBytes)],
      body: isHead ? ResponseBody() : ResponseBody(byteBuffer: reply.body))
    if let seconds = reply.retryAfterSeconds { response.headers[.retryAfter] = String(seconds) }
    if let allow = reply.allow { response.headers[.allow] = allow }
    if let authenticate = reply.authenticate { response.headers[.wwwAuthenticate] = authenticate }
    for (name, value) in reply.headers {
      guard let field = HTTPField.Name(name) else { preconditionFailure("\(name) is no name of a header") }
      response.headers[field] = value
    }
    if closes { response.headers[.connection] = "close" }
    try await writer.write(response: response.head, body: response.body)
  }
}

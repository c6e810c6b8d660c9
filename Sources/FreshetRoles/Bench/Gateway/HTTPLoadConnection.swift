import FreshetWire
import NIOCore
import NIOHTTP1
import NIOPosix

/// A connection over which bodies are posted to one path, several under way at once. Belongs to its event loop.
final class HTTPLoadConnection: ChannelInboundHandler, LoadConnection {
  typealias InboundIn = HTTPClientResponsePart
  typealias OutboundOut = HTTPClientRequestPart

  private static let shownBytes = 300

  private let path: String
  private let headers: HTTPHeaders
  private var channel: (any Channel)?
  private var waiting: CircularBuffer<(Result<Void, WireError>) -> Void> = []
  private var status = 200
  private var body = ByteBuffer()

  private init(host: String, path: String, password: String?) {
    self.path = path
    var headers = HTTPHeaders([("Host", host), ("Content-Type", "application/json")])
    if let password { headers.add(name: "Authorization", value: "Bearer \(password)") }
    self.headers = headers
  }

  static func connect(
    host: String, port: Int, path: String, password: String?, on loop: any EventLoop
  ) -> EventLoopFuture<NIOLoopBound<HTTPLoadConnection>> {
    ClientBootstrap(group: loop)
      .connectTimeout(.seconds(5))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .connect(host: host, port: port)
      .flatMapThrowing { channel in
        let connection = HTTPLoadConnection(host: host, path: path, password: password)
        try channel.pipeline.syncOperations.addHTTPClientHandlers()
        try channel.pipeline.syncOperations.addHandler(connection)
        connection.channel = channel
        return NIOLoopBound(connection, eventLoop: loop)
      }
  }

  var isConnected: Bool { channel?.isActive ?? false }

  func exchange(_ request: ByteBuffer, _ completion: @escaping (Result<Void, WireError>) -> Void) {
    guard let channel else { preconditionFailure("a connection is made by `connect`") }
    guard channel.isActive else {
      return channel.eventLoop.assumeIsolated().execute {
        completion(.failure(WireError(.connection, "the gateway closed the connection")))
      }
    }
    waiting.append(completion)
    var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: path, headers: headers)
    head.headers.add(name: "Content-Length", value: String(request.readableBytes))
    channel.write(HTTPClientRequestPart.head(head), promise: nil)
    channel.write(HTTPClientRequestPart.body(.byteBuffer(request)), promise: nil)
    channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
  }

  func close() { channel?.close(promise: nil) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      status = Int(head.status.code)
      body.clear()
    case .body(var part):
      if body.readableBytes < Self.shownBytes { body.writeBuffer(&part) }
    case .end:
      guard let completion = waiting.popFirst() else { return }
      if status == 200 { return completion(.success(())) }
      completion(
        .failure(
          WireError(
            .err, "\(status) " + String(decoding: body.readableBytesView.prefix(Self.shownBytes), as: UTF8.self))))
    }
  }

  func channelInactive(context: ChannelHandlerContext) { failAll("the gateway closed the connection") }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    failAll("\(error)")
    context.close(promise: nil)
  }

  private func failAll(_ reason: String) {
    while let completion = waiting.popFirst() { completion(.failure(WireError(.connection, reason))) }
  }
}

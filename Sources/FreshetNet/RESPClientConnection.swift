import FreshetWire
import NIOCore

/// The client's end of a connection: a queue of completions beside the stream of replies.
final class RESPClientConnection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// An outbound buffer beyond this is not kept for the next flush.
  private static let keptBytes = 64 << 10
  /// Requests beyond this are sent before the event loop's turn ends.
  private static let burstBytes = 256 << 10

  private let eventLoop: any EventLoop
  private let configuration: RESPClientConfiguration
  private var context: ChannelHandlerContext?
  private var decoder: RESPReplyDecoder
  private var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
  private var pending = CircularBuffer<RESPClient.Completion>()
  private var isFlushScheduled = false
  private var failure: WireError?
  private var closeHandlers: [(WireError) -> Void] = []
  var onPush: (([RESPValue]) -> Void)?

  /// The last time that something arrived, or that the first of the pending requests was sent.
  private var lastProgress = NIODeadline.now()
  private var timeoutCheck: Scheduled<Void>?

  init(eventLoop: any EventLoop, configuration: RESPClientConfiguration) {
    self.eventLoop = eventLoop
    self.configuration = configuration
    decoder = RESPReplyDecoder(limits: configuration.limits)
  }

  var pendingCount: Int { pending.count }
  var isOpen: Bool { failure == nil }

  // MARK: Requests

  func send(_ encode: (inout RESPEncoder) -> Void, _ completion: @escaping RESPClient.Completion) {
    if let failure { return later { completion(.failure(failure)) } }
    guard pending.count < configuration.maxPendingRequests else {
      let error = WireError(
        .busy, "\(pending.count) requests to \(address) are unanswered, which is the limit; wait for replies")
      return later { completion(.failure(error)) }
    }
    encode(&encoder)
    if pending.isEmpty { startTimeout() }
    pending.append(completion)
    if encoder.buffer.readableBytes >= Self.burstBytes {
      flush()
    } else if !isFlushScheduled {
      isFlushScheduled = true
      later {
        self.isFlushScheduled = false
        self.flush()
      }
    }
  }

  func flush() {
    guard let context, encoder.buffer.readableBytes > 0 else { return }
    let bytes = encoder.buffer
    encoder.buffer = ByteBuffer()
    context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    if bytes.capacity <= Self.keptBytes {
      encoder.buffer = bytes
      encoder.buffer.clear()
    }
  }

  private func later(_ body: @escaping () -> Void) { eventLoop.assumeIsolated().execute(body) }

  private var address: String { "\(configuration.host):\(configuration.port)" }

  // MARK: Replies

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard failure == nil else { return }
    decoder.append(unwrapInboundIn(data))
    if configuration.replyTimeoutMs != nil { lastProgress = .now() }
    do throws(WireError) {
      while failure == nil, let value = try decoder.next() { try receive(value) }
    } catch {
      close(WireError(.connection, "\(address) sent what is not a reply: \(error.message)"))
    }
  }

  private func receive(_ value: RESPValue) throws(WireError) {
    if case .push(let values) = value {
      onPush?(values)
      return
    }
    guard let completion = pending.popFirst() else {
      if case .error(let error) = value { throw error }
      throw WireError(.err, "reply without a request")
    }
    if case .error(let error) = value {
      completion(.failure(error))
    } else {
      completion(.success(value))
    }
  }

  // MARK: End

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    close(WireError(.connection, "connection to \(address) lost: \(NetError.reason(error))"))
  }

  func channelInactive(context: ChannelHandlerContext) {
    close(WireError(.connection, "connection to \(address) lost: closed by the server"))
    self.context = nil
    context.fireChannelInactive()
  }

  /// Fails what is pending, in order. The first reason counts.
  func close(_ reason: WireError) {
    guard failure == nil else { return }
    failure = reason
    timeoutCheck?.cancel()
    timeoutCheck = nil
    context?.close(promise: nil)
    while let completion = pending.popFirst() { completion(.failure(reason)) }
    let handlers = closeHandlers
    closeHandlers = []
    onPush = nil
    for handler in handlers { handler(reason) }
  }

  func onClose(_ body: @escaping (WireError) -> Void) {
    if let failure {
      later { body(failure) }
    } else {
      closeHandlers.append(body)
    }
  }

  // MARK: Timeout

  private func startTimeout() {
    guard let limit = configuration.replyTimeoutMs else { return }
    lastProgress = .now()
    if timeoutCheck == nil { scheduleTimeoutCheck(at: lastProgress + .milliseconds(Int64(limit)), limit) }
  }

  private func scheduleTimeoutCheck(at deadline: NIODeadline, _ limit: Int) {
    timeoutCheck = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
      self.timeoutCheck = nil
      guard !self.pending.isEmpty else { return }
      let due = self.lastProgress + .milliseconds(Int64(limit))
      if NIODeadline.now() >= due {
        self.close(WireError(.timeout, "\(self.address) has not answered for \(limit) ms"))
      } else {
        self.scheduleTimeoutCheck(at: due, limit)
      }
    }
  }
}

import FreshetCore
import FreshetWire
import NIOCore

/// One client's connection: reads requests, hands them on, and sends the replies in order.
///
/// Bounds: at most `maxPendingRequests` requests are unanswered, and none is begun while the client does not read its
/// replies; until then its socket is not read. A client that reads nothing for `slowReaderMs` is cut off.
final class RESPServerConnection: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Asks a connection to answer what it has begun and to close.
  struct DrainEvent: Sendable {}

  /// Replies of one burst beyond this are sent before the burst ends.
  private static let burstBytes = 256 << 10
  /// An outbound buffer beyond this is not kept for the next burst.
  private static let keptBytes = 64 << 10
  /// How long a refused client may still send, so that it can read why before the connection is reset.
  private static let lingerSeconds: Int64 = 2

  let eventLoop: any EventLoop
  private let loop: RESPServerLoop
  private let counters: RESPServerCounters
  private let configuration: RESPServerConfiguration
  /// Why the connection is refused, if it is.
  private let refusal: WireError?
  private var session: ConnectionSession
  private var decoder: RESPRequestDecoder
  private var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
  private var context: ChannelHandlerContext?

  /// The oldest unanswered request, and the next one to come.
  private var firstSequence: UInt64 = 0
  private var nextSequence: UInt64 = 0
  /// Replies that came before their turn.
  private var early: [UInt64: ByteBuffer] = [:]

  /// Of the burst in hand, once it has been asked for.
  private var burstTime: Instant?
  private var isInBurst = false
  private var isSettleScheduled = false
  private var wantsRead = false
  private var takesRequests = true
  private var isWritable = true
  private var isInputClosed = false
  private var lingers = false
  private var isFinishing = false
  private var writtenBytes = 0
  private var slowReaderCut: Scheduled<Void>?
  private(set) var isClosed = false

  init(
    loop: RESPServerLoop, session: ConnectionSession, refusal: WireError?
  ) {
    self.loop = loop
    eventLoop = loop.eventLoop
    counters = loop.counters
    configuration = session.configuration
    self.refusal = refusal
    self.session = session
    decoder = RESPRequestDecoder(limits: session.isAuthenticated ? session.configuration.limits : .unauthenticated)
  }

  // MARK: Events

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func channelActive(context: ChannelHandlerContext) {
    if let refusal { refuse(refusal) }
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = unwrapInboundIn(data)
    counters.bytesIn.add(bytes.readableBytes)
    guard takesRequests else { return }
    decoder.append(bytes)
    burstTime = nil
    isInBurst = true
    processRequests()
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isInBurst = false
    scheduleSettle()
    context.fireChannelReadComplete()
  }

  func read(context: ChannelHandlerContext) {
    if isPaused {
      if !wantsRead { counters.pauses.add(1) }
      wantsRead = true
    } else {
      context.read()
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    slowReaderCut?.cancel()
    slowReaderCut = nil
    isWritable = context.channel.isWritable
    if isWritable {
      scheduleSettle()
    } else if !isClosed {
      scheduleSlowReaderCut(context.channel, leftBefore: leftBytes(context.channel))
    }
    context.fireChannelWritabilityChanged()
  }

  /// Of the replies so far, how much the system has taken.
  private func leftBytes(_ channel: any Channel) -> Int {
    let buffered = try? channel.syncOptions?.getOption(.bufferedWritableBytes)
    return writtenBytes - (buffered ?? 0)
  }

  private func scheduleSlowReaderCut(_ channel: any Channel, leftBefore: Int) {
    slowReaderCut = eventLoop.assumeIsolated().scheduleTask(
      in: .milliseconds(Int64(configuration.slowReaderMs))
    ) {
      let left = self.leftBytes(channel)
      guard left == leftBefore else { return self.scheduleSlowReaderCut(channel, leftBefore: left) }
      self.counters.slowReaders.add(1)
      channel.close(promise: nil)
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case ChannelEvent.inputClosed:
      isInputClosed = true
      if isFinishing { context.close(promise: nil) } else { settle() }
    case is DrainEvent:
      takesRequests = false
      settle()
    default: context.fireUserInboundEventTriggered(event)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func channelInactive(context: ChannelHandlerContext) {
    isClosed = true
    slowReaderCut?.cancel()
    early.removeAll()
    self.context = nil
    context.fireChannelInactive()
  }

  // MARK: Requests

  /// Only a connection that still takes requests can pause: otherwise the end of the stream would not be seen.
  private var isPaused: Bool {
    takesRequests
      && (nextSequence &- firstSequence >= UInt64(configuration.maxPendingRequests) || !isWritable || context == nil)
  }

  private func processRequests() {
    do throws(WireError) {
      while takesRequests, !isPaused, let request = try decoder.next() { dispatch(request) }
    } catch {
      counters.protocolErrors.add(1)
      refuse(error)
    }
  }

  private func dispatch(_ request: RESPRequest) {
    let name = request.name
    let sequence = nextSequence
    nextSequence &+= 1
    if let command = name.flatMap({ loop.shared.commands.position(of: $0) }) {
      counters.byCommand[command].add(1)
      if session.isAuthenticated, loop.shared.commands.isService(command, wordCount: request.count) {
        return loop.handler(request, RESPResponder(connection: self, sequence: sequence, version: session.version))
      }
    }
    let outcome = session.handle(request, name: name)
    // After it: HELLO is answered in the version that it chooses.
    let responder = RESPResponder(connection: self, sequence: sequence, version: session.version)
    switch outcome {
    case .service: loop.handler(request, responder)
    case .unknownCommand:
      counters.unknownCommands.add(1)
      responder.fail(request.unknownCommand)
    case .reply(let value):
      decoder.limits = session.isAuthenticated ? configuration.limits : .unauthenticated
      responder.reply(value)
    case .replyAndClose(let value):
      takesRequests = false
      responder.reply(value)
    }
  }

  /// Answers with an error behind the replies that are due, and takes nothing more.
  private func refuse(_ error: WireError) {
    nextSequence &+= 1
    takesRequests = false
    lingers = true
    complete(nextSequence &- 1, version: session.version) { $0.writeError(error) }
  }

  // MARK: Replies

  func complete(_ sequence: UInt64, version: RESPVersion, _ encode: (inout RESPEncoder) -> Void) {
    guard !isClosed else { return }
    precondition(sequence >= firstSequence && sequence < nextSequence, "a request was answered twice")
    if sequence == firstSequence {
      encoder.version = version
      encode(&encoder)
      firstSequence &+= 1
      if !early.isEmpty { appendEarlyReplies() }
    } else {
      var aside = RESPEncoder(buffer: ByteBuffer(), version: version)
      encode(&aside)
      precondition(early.updateValue(aside.buffer, forKey: sequence) == nil, "a request was answered twice")
    }
    if !isInBurst {
      scheduleSettle()
    } else if encoder.buffer.readableBytes >= Self.burstBytes {
      flush()
    }
  }

  private func appendEarlyReplies() {
    while let bytes = early.removeValue(forKey: firstSequence) {
      encoder.buffer.writeImmutableBuffer(bytes)
      firstSequence &+= 1
    }
  }

  private func flush() {
    guard let context, encoder.buffer.readableBytes > 0 else { return }
    counters.bytesOut.add(encoder.buffer.readableBytes)
    writtenBytes += encoder.buffer.readableBytes
    let bytes = encoder.buffer
    encoder.buffer = ByteBuffer()
    context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    if bytes.capacity <= Self.keptBytes {
      encoder.buffer = bytes
      encoder.buffer.clear()
    }
  }

  /// Replies are sent together at the end of the event loop's turn.
  private func scheduleSettle() {
    guard !isSettleScheduled, !isClosed else { return }
    isSettleScheduled = true
    loop.settleLater(self)
  }

  func wantsEndOfTurn() { loop.endTurnLater() }

  /// For `RESPServerLoop`, when the turn ends.
  func settleNow() {
    isSettleScheduled = false
    settle()
  }

  /// When the burst of requests in hand was read.
  var receivedAt: Instant {
    if let burstTime { return burstTime }
    let now = Instant.now()
    burstTime = now
    return now
  }

  /// Goes on with what had to wait, sends what is ready, and closes or reads on.
  private func settle() {
    guard !isClosed, !isInBurst, let context else { return }
    burstTime = nil
    isInBurst = true
    processRequests()
    isInBurst = false
    flush()
    guard !isClosed else { return }
    if firstSequence == nextSequence, !takesRequests || (isInputClosed && !isPaused) {
      finish(context)
    } else {
      readOn(context)
    }
  }

  /// Closes once everything written has left: closing at once would drop it.
  private func finish(_ context: ChannelHandlerContext) {
    guard !isFinishing else { return }
    isFinishing = true
    let written = eventLoop.makePromise(of: Void.self)
    let channel = context.channel
    let mustLinger = lingers && !isInputClosed
    written.futureResult.whenComplete { _ in
      guard mustLinger else {
        channel.close(promise: nil)
        return
      }
      channel.close(mode: .output, promise: nil)
      channel.eventLoop.scheduleTask(in: .seconds(Self.lingerSeconds)) { channel.close(promise: nil) }
    }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    readOn(context)
  }

  private func readOn(_ context: ChannelHandlerContext) {
    guard wantsRead, !isPaused else { return }
    wantsRead = false
    context.read()
  }
}

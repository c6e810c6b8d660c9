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

  private enum Slot {
    case waiting
    /// Answered before its turn.
    case ready(ByteBuffer)
  }

  /// Replies of one burst beyond this are sent before the burst ends.
  private static let burstBytes = 256 << 10
  /// An outbound buffer beyond this is not kept for the next burst.
  private static let keptBytes = 64 << 10
  /// How long a refused client may still send, so that it can read why before the connection is reset.
  private static let lingerSeconds: Int64 = 2

  let eventLoop: any EventLoop
  let counters: RESPServerCounters
  private let configuration: RESPServerConfiguration
  private let handler: RESPServer.Handler
  /// Why the connection is refused, if it is.
  private let refusal: WireError?
  private var session: ConnectionSession
  private var decoder: RESPRequestDecoder
  private var encoder = RESPEncoder(buffer: ByteBuffer(), version: .v2)
  private var context: ChannelHandlerContext?

  /// The unanswered requests, and those answered before their turn.
  private var slots = CircularBuffer<Slot>()
  private var firstSequence: UInt64 = 0

  private var isInBurst = false
  private var isSettleScheduled = false
  private var wantsRead = false
  private var takesRequests = true
  private var isInputClosed = false
  private var lingers = false
  private var isFinishing = false
  private var writtenBytes = 0
  private var slowReaderCut: Scheduled<Void>?
  private(set) var isClosed = false

  init(
    eventLoop: any EventLoop, session: ConnectionSession, counters: RESPServerCounters, refusal: WireError?,
    handler: @escaping RESPServer.Handler
  ) {
    self.eventLoop = eventLoop
    self.counters = counters
    self.configuration = session.configuration
    self.handler = handler
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
    isInBurst = true
    processRequests()
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isInBurst = false
    settle()
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
    if context.channel.isWritable {
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
    slots.removeAll()
    self.context = nil
    context.fireChannelInactive()
  }

  // MARK: Requests

  /// Only a connection that still takes requests can pause: otherwise the end of the stream would not be seen.
  private var isPaused: Bool {
    takesRequests && (slots.count >= configuration.maxPendingRequests || context?.channel.isWritable != true)
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
    let sequence = firstSequence + UInt64(slots.count)
    slots.append(.waiting)
    let outcome = session.handle(request, name: name)
    let responder = RESPResponder(connection: self, sequence: sequence, version: session.version)
    if let name, let counter = counters.byCommand[name] { counter.add(1) }
    switch outcome {
    case .service: handler(request, responder)
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
    let sequence = firstSequence + UInt64(slots.count)
    slots.append(.waiting)
    takesRequests = false
    lingers = true
    complete(sequence, version: session.version) { $0.writeError(error) }
  }

  // MARK: Replies

  func complete(_ sequence: UInt64, version: RESPVersion, _ encode: (inout RESPEncoder) -> Void) {
    guard !isClosed else { return }
    precondition(sequence >= firstSequence, "a request was answered twice")
    let index = slots.index(slots.startIndex, offsetBy: Int(sequence - firstSequence))
    guard case .waiting = slots[index] else { preconditionFailure("a request was answered twice") }
    if index == slots.startIndex {
      encoder.version = version
      encode(&encoder)
      removeFirstSlot()
      while case .ready(let bytes) = slots.first {
        encoder.buffer.writeImmutableBuffer(bytes)
        removeFirstSlot()
      }
    } else {
      var aside = RESPEncoder(buffer: ByteBuffer(), version: version)
      encode(&aside)
      slots[index] = .ready(aside.buffer)
    }
    if !isInBurst {
      scheduleSettle()
    } else if encoder.buffer.readableBytes >= Self.burstBytes {
      flush()
    }
  }

  private func removeFirstSlot() {
    slots.removeFirst()
    firstSequence += 1
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

  /// Replies that come outside of a read are sent together at the end of the event loop's turn.
  private func scheduleSettle() {
    guard !isSettleScheduled, !isClosed else { return }
    isSettleScheduled = true
    eventLoop.assumeIsolated().execute {
      self.isSettleScheduled = false
      self.settle()
    }
  }

  /// Goes on with what had to wait, sends what is ready, and closes or reads on.
  private func settle() {
    guard !isClosed, !isInBurst, let context else { return }
    isInBurst = true
    processRequests()
    isInBurst = false
    flush()
    guard !isClosed else { return }
    if slots.isEmpty, !takesRequests || (isInputClosed && !isPaused) {
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

import FreshetCluster
import FreshetCore
import FreshetNet
import FreshetWire
import Logging
import NIOCore

/// Keeps a `Replica` in touch with the parameter servers: a link to each, a `SYNC` under way on each. Belongs to one event
/// loop.
final class ReplicaFeed {
  static let tickMs = 100

  private let replica: Replica
  private let cluster: ClusterSettings
  private let loop: any EventLoop
  private let logger: Logger
  private let onFresh: (BatchReceipt) -> Void
  private let onTrouble: (String) -> Void
  private var links: [ServerLink] = []
  /// Counts each server's connections, so that a reply of an earlier one is not taken for one of the present.
  private var connections: [Int]
  private var notices = NoticeLimiter()
  private var ticking: RepeatedTask?
  private var wasReady = false

  init(
    replica: Replica, cluster: ClusterSettings, loop: any EventLoop, logger: Logger,
    onFresh: @escaping (BatchReceipt) -> Void, onTrouble: @escaping (String) -> Void
  ) {
    self.replica = replica
    self.cluster = cluster
    self.loop = loop
    self.logger = logger
    self.onFresh = onFresh
    self.onTrouble = onTrouble
    connections = cluster.servers.map { _ in 0 }
  }

  func start() {
    links = cluster.servers.enumerated().map { number, address in
      let server = ServerID(number)
      return ServerLink(
        server: server, address: address, password: cluster.password, loop: loop,
        onConnect: { [weak self] in self?.connected(server) },
        onDisconnect: { [weak self] reason in self?.handle(.disconnected(server, reason: reason), about: server) })
    }
    for link in links { link.start() }
    let bound = NIOLoopBound(self, eventLoop: loop)
    let interval = TimeAmount.milliseconds(Int64(Self.tickMs))
    ticking = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
      bound.value.handle(.tick, about: nil)
      bound.value.replica.maintainTables()
    }
  }

  func stop() {
    ticking?.cancel()
    for link in links { link.stop() }
  }

  private func connected(_ server: ServerID) {
    connections[server.value] += 1
    notices.forget(topic: "\(server)")
    logger.info(
      "connected to parameter server",
      metadata: ["server": "\(server)", "address": "\(links[server.value].address)"])
    handle(.connected(server), about: server)
  }

  private func handle(_ event: ReplicaEvent, about server: ServerID?) {
    for action in replica.handle(event, now: Instant.now()) {
      switch action {
      case .sync(let server, let body): sync(server, body)
      case .fresh(let receipt): onFresh(receipt)
      case .notice(let text): note(text, about: server)
      }
    }
    if !wasReady, replica.isReady {
      wasReady = true
      logger.info("every shard is copied", metadata: ["rows": "\(rowCount)"])
    }
  }

  private var rowCount: Int { replica.rowCounts().reduce(0) { $0 + $1.rows } }

  private func note(_ text: String, about server: ServerID?) {
    onTrouble(text)
    guard let suppressed = notices.admit(text, topic: server.map { "\($0)" } ?? "", now: Instant.now()) else { return }
    logger.warning("\(text)", metadata: suppressed > 0 ? ["repeated": "\(suppressed)"] : [:])
  }

  private func sync(_ server: ServerID, _ body: [UInt8]) {
    let connection = connections[server.value]
    links[server.value].send { encoder in
      ParameterServerCommand.sync(ByteBuffer(bytes: body)).encode(into: &encoder)
    } _: { [weak self] result in
      self?.answered(server, connection, result)
    }
  }

  private func answered(_ server: ServerID, _ connection: Int, _ result: Result<RESPValue, WireError>) {
    switch result {
    case .success(let value):
      guard let frames = value.elements else {
        let error = ClusterError(.malformed, "the answer to SYNC is not an array")
        return handle(.answered(server, .failure(error)), about: server)
      }
      apply(frames, 0, server, connection)
    case .failure(let error):
      // The link reports the loss of the connection itself.
      guard !error.isConnectionFailure else { return }
      handle(.answered(server, .failure(ClusterError(error))), about: server)
    }
  }

  /// Applies one frame in each turn of the event loop: requests are answered in between.
  private func apply(_ frames: [RESPValue], _ position: Int, _ server: ServerID, _ connection: Int) {
    guard connection == connections[server.value] else { return }
    guard position < frames.count else { return handle(.answered(server, .success(())), about: server) }
    if let bytes = frames[position].buffer {
      bytes.withUnsafeReadableBytes { handle(.frame(server, $0), about: server) }
    }
    loop.assumeIsolated().execute { [self] in apply(frames, position + 1, server, connection) }
  }
}

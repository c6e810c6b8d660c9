import FreshetCore

/// A process's connection to a parameter server, made again with backoff: what `ServerLink` of the roles does with sockets.
final class ServerLink {
  private unowned let owner: SimulatedProcess
  private let server: ServerProcess
  private var backoff: Backoff
  private(set) var connection: Connection?
  private var requests = 0
  private var pending: [(number: Int, completion: (ServerReply) -> Void)] = []
  private let onConnect: () -> Void
  private let onDisconnect: (String) -> Void

  init(
    owner: SimulatedProcess, server: ServerProcess, onConnect: @escaping () -> Void,
    onDisconnect: @escaping (String) -> Void
  ) {
    self.owner = owner
    self.server = server
    backoff = Backoff(baseMs: 50, capMs: 2_000, seed: owner.world.drawSeed())
    self.onConnect = onConnect
    self.onDisconnect = onDisconnect
  }

  func start() {
    let network = owner.network
    let latency = network.drawLatency() + network.drawLatency()
    owner.after(microseconds: latency) { [self] in
      guard network.isOpen(owner.node, server.node), server.isUp, !server.isPaused, server.isListening else {
        return lost("cannot connect")
      }
      let connection = network.connect(owner, server)
      self.connection = connection
      connection.onClientClosed = { [self] reason in
        self.connection = nil
        lost(reason)
      }
      connection.onServerClosed = { [server] in server.connectionClosed(connection) }
      backoff.reset()
      owner.note("connects to server {0}", Int64(server.number))
      onConnect()
    }
  }

  /// Requests without an answer fail first, then the owner learns that the connection is gone.
  private func lost(_ reason: String) {
    owner.note("has no connection to server {0}", Int64(server.number), text: reason)
    let unanswered = pending
    pending = []
    for request in unanswered { request.completion(.broken) }
    onDisconnect(reason)
    owner.after(milliseconds: backoff.next()) { [self] in start() }
  }

  /// Sends a request; the reply, or `broken`, goes to `completion`.
  func send(_ request: ServerRequest, _ completion: @escaping (ServerReply) -> Void) {
    guard let connection else { return completion(.broken) }
    let server = server
    requests += 1
    let number = requests
    pending.append((number, completion))
    connection.sendRequest { isHeard in
      server.receive(request, isHeard ? connection : nil) { [self] reply in
        guard isHeard else { return }
        connection.sendReply { [self] in
          guard let position = pending.firstIndex(where: { $0.number == number }) else { return }
          pending.remove(at: position).completion(reply)
        }
      }
    }
  }
}

import FreshetCore
import FreshetNet
import FreshetWire
import NIOCore

/// A connection to one parameter server that comes back by itself, with backoff. Belongs to one event loop.
final class ServerLink {
  let server: ServerID
  let address: ServerAddress
  private let loop: any EventLoop
  private let configuration: RESPClientConfiguration
  private var backoff: Backoff
  private var client: RESPClient?
  private var isStopped = false
  var isConnected: Bool { client != nil }
  private let onConnect: () -> Void
  private let onDisconnect: (String) -> Void

  /// - Parameters:
  ///   - onConnect: Called on the loop each time the connection is up.
  ///   - onDisconnect: Called on the loop when it is lost or could not be made, with the reason.
  init(
    server: ServerID, address: ServerAddress, password: String?, loop: any EventLoop,
    onConnect: @escaping () -> Void, onDisconnect: @escaping (String) -> Void
  ) {
    self.server = server
    self.address = address
    self.loop = loop
    configuration = .standard(host: address.host, port: address.port, password: password)
    backoff = Backoff(baseMs: 50, capMs: 2_000, seed: UInt64.random(in: 0 ... .max))
    self.onConnect = onConnect
    self.onDisconnect = onDisconnect
  }

  func start() {
    loop.assertInEventLoop()
    guard !isStopped else { return }
    let bound = NIOLoopBound(self, eventLoop: loop)
    RESPClient.connect(configuration, on: loop).whenComplete { result in
      bound.value.connected(result)
    }
  }

  func stop() {
    isStopped = true
    client?.close()
  }

  /// Sends a command; the reply or the lost connection goes to `completion`.
  func send(
    _ encode: (inout RESPEncoder) -> Void, _ completion: @escaping (Result<RESPValue, WireError>) -> Void
  ) {
    guard let client else {
      completion(.failure(WireError(.connection, "server \(server) at \(address) is not connected")))
      return
    }
    client.send(encode, completion)
  }

  private func connected(_ result: Result<RESPClient, any Error>) {
    switch result {
    case .success(let client):
      guard !isStopped else { return client.close() }
      self.client = client
      backoff.reset()
      client.onClose { [weak self] error in self?.lost(error.message) }
      onConnect()
    case .failure(let error):
      lost("\(error)")
    }
  }

  private func lost(_ reason: String) {
    client = nil
    guard !isStopped else { return }
    onDisconnect(reason)
    let bound = NIOLoopBound(self, eventLoop: loop)
    loop.scheduleTask(in: .milliseconds(Int64(backoff.next()))) { bound.value.start() }
  }
}

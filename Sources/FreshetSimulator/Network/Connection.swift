import FreshetCore

/// One TCP connection: each direction delivers in order or not at all.
///
/// A message that is lost takes all later ones of its direction with it, and the ends give up after the timeout, as TCP does. An
/// end that has not noticed that the other one is gone goes on reading what had been sent.
final class Connection {
  private final class Direction {
    var waiting: [(readyAt: UInt64, deliver: () -> Void)] = []
    var isPumping = false
    /// Something was lost: nothing sent from now on arrives.
    var isStalled = false
    var lastReady: UInt64 = 0
  }

  let client: SimulatedProcess
  let server: SimulatedProcess
  private let clientLife: Int
  private let serverLife: Int
  private unowned let network: Network
  private let toServer = Direction()
  private let toClient = Direction()
  private(set) var isOpenForClient = true
  private(set) var isOpenForServer = true
  var onClientClosed: ((String) -> Void)?
  var onServerClosed: (() -> Void)?
  /// Sent and not yet answered; the client gives up when it waits for too long.
  private var unanswered = 0
  private var lastReply: UInt64 = 0

  init(network: Network, client: SimulatedProcess, server: SimulatedProcess) {
    self.network = network
    self.client = client
    self.server = server
    clientLife = client.life
    serverLife = server.life
  }

  var isOpenForBoth: Bool { isOpenForClient && isOpenForServer }
  private var world: World { network.world }

  // MARK: - Messages

  /// Sends a request; `deliver` runs at the server, once or, if a fault repeats it, twice. Its argument says whether anybody
  /// hears the reply.
  func sendRequest(_ deliver: @escaping (_ isHeard: Bool) -> Void) {
    guard isOpenForClient else { return }
    unanswered += 1
    send(toServer, from: client, to: server, life: serverLife) { [self] in
      if !isOpenForClient { world.met(.requestOfDeadConnection) }
      deliver(true)
    }
    if world.isFaulty, world.chance(network.weather.duplicates) {
      let delay = world.draw(1...5_000) * 1000
      let life = serverLife
      world.after(delay, for: nil) { [self] in
        guard server.isUp, server.life == life else { return }
        world.after(0, for: server) { [self] in
          world.met(.duplicateRequest)
          server.note("a request of {0} comes once more", Int64(client.node))
          deliver(false)
        }
      }
    }
    watchReplies()
  }

  func sendReply(_ deliver: @escaping () -> Void) {
    guard isOpenForServer else { return }
    send(toClient, from: server, to: client, life: clientLife) { [self] in
      guard isOpenForClient else { return }
      unanswered -= 1
      lastReply = world.now.nanoseconds
      deliver()
    }
  }

  private func send(
    _ direction: Direction, from: SimulatedProcess, to: SimulatedProcess, life: Int, _ deliver: @escaping () -> Void
  ) {
    guard !direction.isStalled else { return }
    if world.isFaulty, world.chance(network.weather.loss) {
      world.met(.messageLost)
      from.note("a message to {0} is lost", Int64(to.node))
      direction.isStalled = true
      world.after(network.weather.timeoutMilliseconds * 1000, for: nil) { [self] in cut("timed out") }
      return
    }
    let ready = max(world.now.nanoseconds + UInt64(network.drawLatency()) * 1000, direction.lastReady)
    direction.lastReady = ready
    direction.waiting.append((ready, deliver))
    pump(direction, from: from, to: to, life: life)
  }

  private func pump(_ direction: Direction, from: SimulatedProcess, to: SimulatedProcess, life: Int) {
    guard !direction.isPumping, let first = direction.waiting.first else { return }
    direction.isPumping = true
    let wait = Int((max(first.readyAt, world.now.nanoseconds) - world.now.nanoseconds) / 1000)
    world.after(wait, for: nil) { [self] in
      direction.isPumping = false
      guard !direction.waiting.isEmpty else { return }
      if let blocked = network.blockedMicroseconds(from: from.node, to: to.node) {
        // What TCP sends again gets through once the way is open, unless the ends have given up by then.
        let timeout = network.weather.timeoutMilliseconds * 1000
        if blocked > timeout {
          direction.waiting = []
          direction.isStalled = true
          world.after(timeout, for: nil) { [self] in cut("timed out") }
        } else {
          direction.waiting[0].readyAt = world.now.nanoseconds + UInt64(blocked + network.drawLatency()) * 1000
          pump(direction, from: from, to: to, life: life)
        }
        return
      }
      let message = direction.waiting.removeFirst()
      if to.isUp, to.life == life { world.after(0, for: to, message.deliver) }
      pump(direction, from: from, to: to, life: life)
    }
  }

  /// The client's limit of patience with a server that is silent.
  private func watchReplies() {
    let asked = world.now.nanoseconds
    world.after(network.weather.timeoutMilliseconds * 2000, for: client) { [self] in
      guard isOpenForClient, unanswered > 0, lastReply <= asked else { return }
      clientGivesUp("no reply")
    }
  }

  // MARK: - Ends

  /// A reset on the way: each end learns of it in its own time, and of the requests under way a part never arrives.
  func reset() {
    guard isOpenForBoth else { return }
    toServer.waiting.removeLast(world.draw(0...toServer.waiting.count))
    toServer.isStalled = true
    toClient.waiting = []
    toClient.isStalled = true
    let client = client
    let server = server
    if isUp(client, clientLife) {
      world.after(world.draw(0...50_000), for: client) { [self] in closeForClient("reset") }
    }
    if isUp(server, serverLife) { world.after(world.draw(0...3_000_000), for: server) { [self] in closeForServer() } }
  }

  private func cut(_ reason: String) {
    if isUp(client, clientLife) { world.after(0, for: client) { [self] in closeForClient(reason) } }
    if isUp(server, serverLife) {
      world.after(world.draw(0...1_000_000), for: server) { [self] in closeForServer() }
    }
  }

  /// The client closes: what it has sent still arrives.
  private func clientGivesUp(_ reason: String) {
    closeForClient(reason)
    if isUp(server, serverLife) { world.after(network.drawLatency(), for: server) { [self] in closeForServer() } }
  }

  /// The kernel of a dead process closes its sockets.
  func endDied(_ process: SimulatedProcess) {
    if process === client {
      isOpenForClient = false
      onClientClosed = nil
      toServer.waiting.removeLast(world.draw(0...toServer.waiting.count))
      if isUp(server, serverLife) {
        let delay = network.drawLatency() + (network.blockedMicroseconds(from: client.node, to: server.node) ?? 0)
        world.after(delay, for: server) { [self] in closeForServer() }
      }
    } else {
      isOpenForServer = false
      onServerClosed = nil
      toServer.waiting = []
      toClient.waiting.removeLast(world.draw(0...toClient.waiting.count))
      if isUp(client, clientLife) {
        let delay = network.drawLatency() + (network.blockedMicroseconds(from: server.node, to: client.node) ?? 0)
        world.after(delay, for: client) { [self] in closeForClient("closed by the server") }
      }
    }
    forget()
  }

  private func closeForClient(_ reason: String) {
    guard isOpenForClient else { return }
    isOpenForClient = false
    let closed = onClientClosed
    onClientClosed = nil
    forget()
    closed?(reason)
  }

  private func closeForServer() {
    guard isOpenForServer else { return }
    isOpenForServer = false
    let closed = onServerClosed
    onServerClosed = nil
    forget()
    closed?()
  }

  private func forget() {
    guard !isOpenForClient, !isOpenForServer else { return }
    end()
    network.remove(self)
  }

  /// Lets go of everybody.
  func end() {
    onClientClosed = nil
    onServerClosed = nil
    toServer.waiting = []
    toClient.waiting = []
  }

  private func isUp(_ process: SimulatedProcess, _ life: Int) -> Bool { process.isUp && process.life == life }
}

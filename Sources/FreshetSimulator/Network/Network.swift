import FreshetCore

/// How bad the network is; chances are per mille of messages.
struct NetworkWeather {
  var latencyMicroseconds: ClosedRange<Int> = 50...2_000
  var loss = 0
  var spikes = 0
  var spikeMilliseconds: ClosedRange<Int> = 50...2_000
  var duplicates = 0
  var corruption = 0
  /// How long an end waits for what does not come before it gives the connection up.
  var timeoutMilliseconds = 3_000
}

/// Who can reach whom, how long messages take, and the connections that are open.
final class Network {
  private struct Block {
    let from: Int
    let to: Int
    let until: UInt64
  }

  unowned let world: World
  let weather: NetworkWeather
  private var nodes = 0
  private var blocks: [Block] = []
  private var connections: [Connection] = []

  init(world: World, weather: NetworkWeather) {
    self.world = world
    self.weather = weather
  }

  func addNode() -> Int {
    nodes += 1
    return nodes - 1
  }

  // MARK: - Reachability

  /// Keeps everything from `from` away from `to` for a while.
  func block(from: Int, to: Int, milliseconds: Int) {
    blocks.append(Block(from: from, to: to, until: world.now.nanoseconds + UInt64(milliseconds) * 1_000_000))
  }

  func unblockAll() { blocks = [] }

  /// Microseconds until something can get from one node to another; nil if it can now.
  func blockedMicroseconds(from: Int, to: Int) -> Int? {
    guard !blocks.isEmpty else { return nil }
    let now = world.now.nanoseconds
    blocks.removeAll { $0.until <= now }
    let until = blocks.reduce(0) { $1.from == from && $1.to == to ? max($0, $1.until) : $0 }
    return until > now ? Int((until - now) / 1000) + 1 : nil
  }

  /// Whether both directions are open.
  func isOpen(_ a: Int, _ b: Int) -> Bool {
    blockedMicroseconds(from: a, to: b) == nil && blockedMicroseconds(from: b, to: a) == nil
  }

  /// Microseconds that a message takes.
  func drawLatency() -> Int {
    let latency = world.draw(weather.latencyMicroseconds)
    guard world.isFaulty, world.chance(weather.spikes) else { return latency }
    world.met(.delaySpike)
    return latency + world.draw(weather.spikeMilliseconds) * 1000
  }

  // MARK: - Connections

  /// A connection between two processes in their present lives.
  func connect(_ client: SimulatedProcess, _ server: SimulatedProcess) -> Connection {
    let connection = Connection(network: self, client: client, server: server)
    connections.append(connection)
    return connection
  }

  func remove(_ connection: Connection) { connections.removeAll { $0 === connection } }

  /// Lets go of everybody.
  func end() {
    for connection in connections { connection.end() }
    connections = []
  }

  var openConnections: [Connection] { connections.filter(\.isOpenForBoth) }

  func processEnded(_ process: SimulatedProcess) {
    for connection in connections where connection.client === process || connection.server === process {
      connection.endDied(process)
    }
  }
}

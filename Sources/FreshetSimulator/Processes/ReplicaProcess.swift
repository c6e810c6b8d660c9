import FreshetCluster
import FreshetCore
import FreshetTable

/// A serving replica: the `Replica` and its links (`ReplicaFeed`).
final class ReplicaProcess: SimulatedProcess {
  let number: Int
  private let scenario: Scenario
  private let model: SimulatedModel
  private let map: ShardMap
  private let servers: [ServerProcess]
  private(set) var machine: Replica?
  private var links: [ServerLink] = []
  /// Counts each server's connections, so that a reply of an earlier one is not taken for one of the present.
  private var connections: [Int] = []
  private var wasReady = false

  init(
    number: Int, scenario: Scenario, model: SimulatedModel, map: ShardMap, servers: [ServerProcess], world: World,
    network: Network
  ) {
    self.number = number
    self.scenario = scenario
    self.model = model
    self.map = map
    self.servers = servers
    super.init(world: world, network: network, name: "replica \(number)")
  }

  override func didStart() {
    machine = Replica(
      tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: world.drawSeed())
    wasReady = false
    connections = servers.map { _ in 0 }
    links = servers.map { server in
      ServerLink(
        owner: self, server: server,
        onConnect: { [unowned self] in
          connections[server.number] += 1
          handle(.connected(ServerID(server.number)))
        },
        onDisconnect: { [unowned self] in handle(.disconnected(ServerID(server.number), reason: $0)) })
    }
    for link in links { link.start() }
    every(milliseconds: 100) { [unowned self] in
      handle(.tick)
      machine?.maintainTables()
    }
  }

  override func didEnd() {
    if let machine {
      world.coverage[.replicaGap] += Int(machine.statistics.gaps)
      world.coverage[.replicaBase] += Int(machine.statistics.basesCompleted)
    }
    machine = nil
    links = []
  }

  private func handle(_ event: ReplicaEvent) {
    guard let machine else { return }
    for action in machine.handle(event, now: world.now) {
      switch action {
      case .sync(let server, let body): sync(server, body)
      case .fresh(let receipt):
        note("is fresh for partition {0} up to {1}", Int64(receipt.partition.value), receipt.end.value)
      case .notice(let text): note("says", text: text)
      }
    }
    if wasReady && !machine.isReady { world.fail("a replica that was ready stays ready", name) }
    wasReady = machine.isReady
  }

  private func sync(_ server: ServerID, _ body: [UInt8]) {
    let connection = connections[server.value]
    links[server.value].send(.sync(body)) { [unowned self] reply in
      switch reply {
      case .frames(let frames): apply(disturbed(frames)[...], server, connection)
      case .refused: handle(.answered(server, .failure(reply.error!)))
      // The link reports the loss of the connection itself.
      default: break
      }
    }
  }

  /// What arrives of a server's frames.
  private func disturbed(_ frames: [[UInt8]]) -> [[UInt8]] {
    let faults = scenario.frames
    let areFaulty = world.isFaulty || faults.arePermanent
    guard areFaulty else { return frames }
    var arriving: [[UInt8]] = []
    for var frame in frames {
      if world.chance(faults.drops) {
        world.met(.lostFrame)
        continue
      }
      let isRepeated = world.chance(faults.repeats)
      if world.chance(faults.cuts) {
        world.met(.cutFrame)
        frame.removeLast(world.draw(1...frame.count))
      } else if world.isFaulty, world.chance(network.weather.corruption) {
        world.met(.corruptFrame)
        frame[world.draw(0..<frame.count)] ^= UInt8(1 << world.draw(0...7))
      }
      arriving.append(frame)
      guard isRepeated else { continue }
      world.met(.repeatedFrame)
      arriving.insert(frame, at: world.draw(0...arriving.count))
    }
    return arriving
  }

  /// Applies one frame in each turn: other events come in between.
  private func apply(_ frames: ArraySlice<[UInt8]>, _ server: ServerID, _ connection: Int) {
    guard connection == connections[server.value] else { return }
    guard let frame = frames.first else { return handle(.answered(server, .success(()))) }
    frame.withUnsafeBytes { handle(.frame(server, $0)) }
    after(microseconds: world.draw(1...200)) { [unowned self] in apply(frames.dropFirst(), server, connection) }
  }
}

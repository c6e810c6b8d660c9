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
  /// Whether sync frames arrive as they were sent, whatever the scenario says.
  var lineIsGood = false
  let disk: SimulatedDisk
  private var saving: SnapshotDrive?
  /// Shards of which a copy has been stored.
  private var saved: Set<ShardID> = []
  /// Shards that this life began with.
  private var restored = 0

  init(
    number: Int, scenario: Scenario, model: SimulatedModel, map: ShardMap, servers: [ServerProcess], world: World,
    network: Network
  ) {
    self.number = number
    self.scenario = scenario
    self.model = model
    self.map = map
    self.servers = servers
    disk = SimulatedDisk(world: world, faults: scenario.disk, name: "replica \(number)'s disk")
    super.init(world: world, network: network, name: "replica \(number)")
  }

  override func didStart() {
    let state = restoreState()
    restored = state?.shardCount ?? 0
    let machine = Replica(
      tables: model.tables, map: map, weightFormat: .float32, compressor: NoCompressor(), seed: world.drawSeed(),
      isSaved: state != nil, restored: state)
    self.machine = machine
    if let state { startSaving(machine, state) }
    wasReady = machine.isReady
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
      self.machine?.maintainTables()
    }
  }

  /// nil if the scenario has replicas begin with nothing.
  private func restoreState() -> RestoredReplica? {
    guard scenario.stateIntervalMs != nil else { return nil }
    disk.beginRestore()
    do throws(SnapshotError) {
      let state = try ReplicaState.read(
        from: disk, compressor: NoCompressor(), tables: model.tables, shardCount: map.shardCount,
        weightFormat: .float32, now: world.now, time: world.unixTime)
      world.coverage[.stateRestored] += state.shardCount
      world.coverage[.stateSkipped] += state.skipped.count
      for (shard, skipped) in state.skipped { note("skips {0}", Int64(shard.value), text: "\(skipped)") }
      // What is not damaged is answered from, whoever can be reached.
      if disk.damaged.isEmpty, disk.misread.isEmpty, state.shardCount < saved.count {
        world.fail(
          "a replica begins with what it saved", "\(name): \(state.shardCount) of \(saved.count) shards")
      }
      return state
    } catch {
      preconditionFailure("simulated disks can be listed: \(error)")
    }
  }

  private func startSaving(_ machine: Replica, _ state: RestoredReplica) {
    let settings = SnapshotDrive.settings(
      intervalMs: scenario.stateIntervalMs!, baseEvery: scenario.baseEvery, keep: 1, world)
    let drive = SnapshotDrive(
      self, machine, disk: disk, settings: settings, life: world.drawSeed(), histories: state.histories)
    drive.onStored = { [unowned self] result in
      saved.insert(result.id.shard)
      world.met(.stateStored)
    }
    drive.onDiskDied = { [unowned self] in onExit() }
    saving = drive
    drive.start()
  }

  /// Called when it has stopped, or its machine has crashed in the middle of a write.
  var onExit: () -> Void = {}

  /// SIGTERM: saves its copy, then ends.
  func stop() {
    guard let saving else { return onExit() }
    world.met(.replicaStopped)
    saving.stop { [unowned self] in onExit() }
  }

  override func didEnd() {
    saving?.ended()
    saving = nil
    disk.crash()
    if let machine {
      if restored == map.shardCount, machine.statistics.basesCompleted == 0, machine.statistics.frames > 0 {
        world.met(.stateCaughtUpByDeltas)
      }
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
    guard world.isFaulty || faults.arePermanent, !lineIsGood else { return frames }
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

import FreshetCluster
import FreshetCore
import FreshetTable

/// Something that the simulator does to the cluster now and then.
enum Fault: CaseIterable {
  case crashServer, crashTrainer, crashJoiner, crashReplica, stopServer, stopTrainer, stopReplica
  case pauseServer, pauseTrainer, pauseJoiner, pauseReplica
  case reset, partition, oneWayPartition
  case rebalance, secondOwner, brokerOutage, retention
}

/// The faults of a server's disk; chances are per mille of what could go wrong.
struct DiskFaults {
  /// Of files: their last bytes, or all, are lost in a crash although they were to be durable.
  var unsynced = 0
  /// Of writes.
  var failure = 0
  /// Of files: the disk is full in the middle.
  var full = 0
  /// Of reads.
  var bitFlip = 0
  /// How long a write takes.
  var writeMicroseconds: ClosedRange<Int> = 10...200
}

/// What a simulation is about.
public enum SimulationProfile: String, CaseIterable, Sendable {
  /// Everything.
  case general
  /// Replicas: a tenth of all sync frames is lost, a tenth comes twice and a tenth is cut off, to the very end, and a replica is
  /// killed; at last rows are evicted.
  case sync
}

/// What becomes of sync frames on their way; chances are per mille of frames.
struct FrameFaults {
  var drops = 0
  var repeats = 0
  var cuts = 0
  /// Whether they go on when the cluster heals: replicas must become equal all the same.
  var arePermanent = false
}

/// The shape of one simulated cluster and what happens to it, all drawn from the seed (swarm testing: Groce et al. 2012).
struct Scenario {
  // Cluster
  var servers = 1
  var shards = 1
  var partitions = 1
  var trainers = 1
  var joiners = 1
  var replicas = 0
  // Load
  var users = 8
  var items = 6
  var rounds = 1
  var requestsPerRound = 20
  var roundMilliseconds = 3_000
  var disorderMs = 200
  /// Whether joiners keep their state on disk too, in how much memory, and whether they share one machine and its disk.
  var joinerHasDisk = false
  var joinerMemoryBytes = 1 << 20
  var joinerUnwrittenBytes = 1 << 20
  var joinerClosings = 1000
  var joinersShareDisk = false
  var stateFaults = StateFaults()
  var negativeRate: Float = 0
  // Settings
  var batchSize = 1
  var microBatchSize = 1
  var pipelineDepth = 1
  var maximumUnacknowledged = 4
  var queuedExamples = 64
  var admission = 1
  var timeToLiveMinutes: UInt32?
  var syncIntervalMs = 200
  var denseIntervalMs: Int?
  var syncBytesPerSecond: Int?
  var syncWeights = WeightFormat.float32
  var deltaLogBytes = 1 << 20
  var deltaBodyBytes = 1 << 20
  var baseChunkBytes = 1 << 18
  var commitIntervalMs = 100
  /// nil: the servers keep no snapshots and begin empty.
  var snapshotIntervalMs: Int?
  var baseEvery = 3
  var keepSnapshots = 2
  /// nil: replicas save nothing and begin empty.
  var stateIntervalMs: Int?
  // Faults
  var faults: [Fault] = []
  var meanFaultMs = 500
  var faultMilliseconds = 8_000
  var weather = NetworkWeather()
  var frames = FrameFaults()
  var brokerRefusals = 0
  /// Per mille of requests that a server has no room for.
  var busyServers = 0
  var disk = DiskFaults()
  var group = ConsumerGroup.Settings(sessionTimeoutMs: 2_000, rebalanceTimeoutMs: 2_000)
  var transactionTimeoutMs = 5_000
  var restartMilliseconds: ClosedRange<Int> = 50...1_500
  /// Besides other faults, one replica is killed in the middle of the run.
  var killsReplica = false
  /// Retention takes what servers still need: training has to stop with an error that names the gap.
  var losesExamples = false

  /// Draws a scenario.
  init(_ world: World, profile: SimulationProfile) {
    self.init(drawnFrom: world)
    if profile == .sync { aimAtSync(world) }
  }

  /// Replicas have a hard time for as long as the run takes, and one of them is killed in any case.
  private mutating func aimAtSync(_ world: World) {
    replicas = world.draw(1...3)
    rounds = 1
    frames = FrameFaults(drops: 100, repeats: 100, cuts: 100, arePermanent: true)
    killsReplica = true
    losesExamples = false
    timeToLiveMinutes = UInt32(world.draw(1...30))
    if !faults.contains(.crashReplica) { faults.append(.crashReplica) }
    faultMilliseconds = max(faultMilliseconds, 3_000)
    meanFaultMs = max(50, meanFaultMs)
  }

  private init(drawnFrom world: World) {
    servers = world.draw(1...3)
    shards = servers * world.draw(1...2) + world.draw(0...1)
    partitions = world.draw(1...3)
    trainers = world.draw(1...3)
    joiners = world.draw(1...2)
    replicas = world.draw(0...2)
    users = world.draw(4...12)
    items = world.draw(3...8)
    rounds = world.draw(1...2)
    requestsPerRound = world.draw(8...40)
    roundMilliseconds = world.draw(500...5_000)
    disorderMs = world.draw(0...400)
    negativeRate = [0, 0.5, 1][world.draw(0...2)]
    batchSize = world.chance(500) ? 1 : world.draw(2...8)
    microBatchSize = world.draw(1...batchSize)
    pipelineDepth = world.draw(1...4)
    maximumUnacknowledged = world.draw(1...6)
    queuedExamples = world.draw(4...64)
    if batchSize == 1, world.chance(600) { admission = world.draw(2...3) }
    if world.chance(300) { timeToLiveMinutes = UInt32(world.draw(1...30)) }
    syncIntervalMs = world.draw(50...600)
    if world.chance(300) { denseIntervalMs = world.draw(50...2_000) }
    if world.chance(200) { syncBytesPerSecond = world.draw(5_000...200_000) }
    if world.chance(200) { syncWeights = .float16 }
    if world.chance(300) { deltaBodyBytes = world.draw(50...5_000) }
    deltaLogBytes = world.chance(300) ? world.draw(1_000...20_000) : 1 << 20
    baseChunkBytes = world.chance(500) ? world.draw(50...2_000) : 1 << 18
    commitIntervalMs = world.draw(10...300)
    if world.chance(850) { snapshotIntervalMs = world.draw(100...2_000) }
    baseEvery = world.draw(1...5)
    keepSnapshots = world.draw(1...3)
    if world.chance(500) { stateIntervalMs = world.draw(100...2_000) }
    joinerHasDisk = world.chance(700)
    joinerMemoryBytes = world.chance(700) ? 1 : 1 << 20
    joinerUnwrittenBytes = world.chance(500) ? world.draw(200...4_000) : 1 << 20
    joinerClosings = world.chance(500) ? world.draw(1...8) : 1000
    joinersShareDisk = world.chance(400)
    drawFaults(world)
  }

  private mutating func drawFaults(_ world: World) {
    // Some runs have no faults at all: what they do must be right too.
    guard !world.chance(30) else {
      faultMilliseconds = 1_000
      return
    }
    let share = world.draw(150...700)
    faults = Fault.allCases.filter { _ in world.chance(share) }
    meanFaultMs = world.draw(100...1_500)
    faultMilliseconds = world.draw(3_000...10_000)
    weather.latencyMicroseconds = world.chance(500) ? 50...500 : 100...20_000
    if world.chance(400) { weather.loss = world.draw(1...20) }
    if world.chance(400) { weather.spikes = world.draw(1...50) }
    if world.chance(400) { weather.duplicates = world.draw(1...50) }
    if world.chance(300) { weather.corruption = world.draw(1...100) }
    if world.chance(200) { frames.drops = world.draw(1...100) }
    if world.chance(200) { frames.repeats = world.draw(1...100) }
    if world.chance(200) { frames.cuts = world.draw(1...100) }
    weather.timeoutMilliseconds = world.draw(500...3_000)
    if world.chance(300) { brokerRefusals = world.draw(10...150) }
    if world.chance(300) { busyServers = world.draw(5...60) }
    if world.chance(400) { disk.unsynced = world.draw(50...500) }
    if world.chance(300) { disk.failure = world.draw(5...100) }
    if world.chance(300) { disk.full = world.draw(20...300) }
    if world.chance(350) { disk.bitFlip = world.draw(10...150) }
    if world.chance(300) { disk.writeMicroseconds = 1_000...50_000 }
    if world.chance(400) { stateFaults.powerLoss = world.draw(100...700) }
    if world.chance(300) { stateFaults.lost = world.draw(50...500) }
    if world.chance(300) { stateFaults.full = world.draw(5...100) }
    if world.chance(200) { stateFaults.damage = world.draw(1...5) }
    stateFaults.expiry = world.draw(0...1_000)
    group.sessionTimeoutMs = world.draw(500...3_000)
    group.rebalanceTimeoutMs = world.draw(300...3_000)
    transactionTimeoutMs = world.draw(2_000...6_000)
    losesExamples = world.chance(40)
  }

  var syncSettings: SyncDesk.Settings {
    SyncDesk.Settings(
      intervalMs: syncIntervalMs, denseIntervalMs: denseIntervalMs, bytesPerSecond: syncBytesPerSecond)
  }

  func has(_ fault: Fault) -> Bool { faults.contains(fault) }
}

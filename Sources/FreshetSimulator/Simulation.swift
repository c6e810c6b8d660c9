import FreshetCore
import FreshetModel

/// What one seed gave.
public struct SimulationResult: Sendable {
  public let seed: UInt64
  /// nil if every check held.
  public let violation: Violation?
  public let steps: Int
  public let virtualMilliseconds: Int
  /// Examples trained on.
  public let examples: Int
  /// Of everything that happened: equal for equal seeds.
  public let traceHash: UInt64
  /// The last events, or all of them; empty unless asked for or a check failed.
  public let trace: [String]
  public let coverage: Coverage
  /// The cluster's shape and settings, for people.
  public let scenario: String
}

/// Runs one simulated cluster: draws it from the seed, lets it run under faults, heals it, waits until all is done, and checks.
public enum Simulation {
  /// How long the cluster may take, once healed, until all is done; virtual time.
  static let drainMilliseconds = 180_000
  /// How long it then goes on before it is looked at.
  static let settleMilliseconds = 2_500
  /// How many of the last events a failure shows.
  static let shownEvents = 200

  /// - Parameter keepsTrace: Whether all events are kept and returned, not the last ones of a failure only.
  public static func run(seed: UInt64, profile: SimulationProfile, keepsTrace: Bool) -> SimulationResult {
    run(seed: seed, profile: profile, keepsTrace: keepsTrace) { _ in }
  }

  /// - Parameter onBegin: Given the world, which everything in it refers to: it must be gone when the run is over.
  static func run(
    seed: UInt64, profile: SimulationProfile, keepsTrace: Bool, onBegin: (World) -> Void
  ) -> SimulationResult {
    FreshetModel.Network.useOneThread()
    let world = World(seed: seed, traceLimit: keepsTrace ? nil : shownEvents)
    onBegin(world)
    let scenario = Scenario(world, profile: profile)
    let cluster: Cluster
    do {
      cluster = try Cluster(scenario, world: world)
    } catch {
      preconditionFailure("the simulated model is wrong: \(error)")
    }
    let faults = FaultInjector(cluster)
    cluster.start()
    faults.start()
    run(cluster, faults)
    // What happened is complete when everybody has ended.
    cluster.end()
    let result = SimulationResult(
      seed: seed, violation: world.violation, steps: world.step,
      virtualMilliseconds: Int(world.now.nanoseconds / 1_000_000), examples: cluster.oracle.exampleCount,
      traceHash: world.traceHash, trace: keepsTrace || world.violation != nil ? world.traceLines : [],
      coverage: world.coverage, scenario: "\(scenario)")
    world.end()
    return result
  }

  private static func run(_ cluster: Cluster, _ faults: FaultInjector) {
    let world = cluster.world
    let healAt = world.now.advanced(byMs: cluster.scenario.faultMilliseconds)
    while world.now < healAt, world.advance() {}
    guard world.violation == nil else { return }
    faults.heal()
    let limit = world.now.advanced(byMs: drainMilliseconds)
    var isDrained = false
    while world.now < limit, world.violation == nil, cluster.gap == nil {
      // Looking is dearer than a step.
      for _ in 0..<64 where !world.advance() { break }
      guard cluster.isDrained else { continue }
      // What expires now, and what is acknowledged twice, would come within this time.
      wait(milliseconds: settleMilliseconds, world)
      isDrained = cluster.isDrained
      if isDrained { break }
    }
    guard world.violation == nil else { return }
    guard cluster.gap == nil else { return cluster.checkCounts() }
    if !isDrained {
      world.fail(
        "everything drains within \(drainMilliseconds / 1000) s once the faults stop", "\n" + cluster.stateText)
    }
    cluster.checkFinal()
    if cluster.scenario.killsReplica { evict(cluster) }
  }

  /// Rows are evicted on the servers, and have to be gone from the replicas when the interval is over and the frames have had the
  /// time that they need on good lines.
  private static func evict(_ cluster: Cluster) {
    let world = cluster.world
    guard world.violation == nil, cluster.scenario.syncBytesPerSecond == nil else { return }
    cluster.linesAreGood = true
    // Answers under way, and the pauses after lost ones.
    wait(milliseconds: settleMilliseconds, world)
    cluster.evictRows()
    wait(milliseconds: cluster.scenario.syncIntervalMs + transportMilliseconds, world)
    cluster.checkEvicted()
  }

  /// What a request, its answer and the application of its frames may take; virtual time.
  private static let transportMilliseconds = 100

  private static func wait(milliseconds: Int, _ world: World) {
    let end = world.now.advanced(byMs: milliseconds)
    while world.now < end, world.advance() {}
  }
}

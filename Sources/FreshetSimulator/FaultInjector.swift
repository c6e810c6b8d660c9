import FreshetCluster
import FreshetCore

/// Makes things go wrong now and then, as the scenario says, until it heals everything.
final class FaultInjector {
  private let cluster: Cluster
  private var world: World { cluster.world }
  private var scenario: Scenario { cluster.scenario }

  init(_ cluster: Cluster) { self.cluster = cluster }

  func start() {
    if scenario.killsReplica {
      world.after(world.draw(scenario.faultMilliseconds / 4...scenario.faultMilliseconds) * 1000, for: nil) { [self] in
        guard let replica = world.pick(cluster.replicas), replica.isUp else { return }
        world.met(.replicaCrash)
        cluster.restart(replica, crash: true)
      }
    }
    guard !scenario.faults.isEmpty else { return }
    scheduleNext()
    if scenario.losesExamples {
      world.after(world.draw(1...scenario.faultMilliseconds) * 1000, for: nil) { [self] in loseExamples() }
    }
  }

  private func scheduleNext() {
    // Mostly soon, sometimes after a long while.
    let wait = world.draw(0...scenario.meanFaultMs) * world.draw(0...4) * 500
    world.after(wait, for: nil) { [self] in
      guard world.isFaulty else { return }
      if let fault = world.pick(scenario.faults) { inject(fault) }
      scheduleNext()
    }
  }

  /// Everything is repaired: from now on nothing goes wrong.
  func heal() {
    guard world.isFaulty else { return }
    world.note("world", "heals")
    world.isFaulty = false
    cluster.network.unblockAll()
    cluster.broker.makeAvailable()
    for process in cluster.processes {
      process.resume()
      if !process.isUp { process.start() }
    }
  }

  private func inject(_ fault: Fault) {
    switch fault {
    case .crashServer: crashServer()
    case .crashTrainer: crash(cluster.trainers, .trainerCrash)
    case .crashJoiner: crash(cluster.joiners, .joinerCrash)
    case .crashReplica: crash(cluster.replicas, .replicaCrash)
    case .stopReplica: world.pick(cluster.replicas.filter { $0.isUp && !$0.isPaused })?.stop()
    case .stopServer: world.pick(cluster.servers)?.stop()
    case .stopTrainer: world.pick(cluster.trainers)?.stop()
    case .pauseServer: pause(cluster.servers)
    case .pauseTrainer: pause(cluster.trainers)
    case .pauseJoiner: pause(cluster.joiners)
    case .pauseReplica: pause(cluster.replicas)
    case .reset:
      guard let connection = world.pick(cluster.network.openConnections) else { return }
      world.met(.connectionReset)
      world.note("network", "resets {0} to {1}", Int64(connection.client.node), Int64(connection.server.node))
      connection.reset()
    case .partition: partition(isOneWay: false)
    case .oneWayPartition: partition(isOneWay: true)
    case .rebalance: world.pick([cluster.trainerGroup, cluster.joinerGroup])?.rebalance()
    case .secondOwner:
      if world.chance(500) {
        if let trainer = world.pick(cluster.trainers) { cluster.trainerGroup.expelAtOnce(trainer) }
      } else if let joiner = world.pick(cluster.joiners) {
        cluster.joinerGroup.expelAtOnce(joiner)
      }
    case .brokerOutage:
      world.met(.brokerOutage)
      let milliseconds = world.draw(100...2_500)
      world.note("broker", "is away for {0} ms", Int64(milliseconds))
      cluster.broker.makeUnavailable(milliseconds: milliseconds)
    case .retention: retain()
    }
  }

  private func crash(_ processes: [SimulatedProcess], _ happening: Happening) {
    guard let process = world.pick(processes), process.isUp else { return }
    world.met(happening)
    cluster.restart(process, crash: true)
  }

  /// Now, or in the middle of one of the next writes.
  private func crashServer() {
    guard let server = world.pick(cluster.servers), server.isUp else { return }
    world.met(.serverCrash)
    if scenario.snapshotIntervalMs != nil, world.chance(500) {
      server.disk.lightFuse(operations: world.draw(0...12))
    } else {
      cluster.restart(server, crash: true)
    }
  }

  private func pause(_ processes: [SimulatedProcess]) {
    guard let process = world.pick(processes), process.isUp, !process.isPaused else { return }
    world.met(.pause)
    process.pause()
    let life = process.life
    world.after(world.draw(10...5_000) * 1000, for: nil) { if process.life == life { process.resume() } }
  }

  private func partition(isOneWay: Bool) {
    let nodes = cluster.processes.map(\.node) + [cluster.broker.node]
    guard let a = world.pick(nodes), let b = world.pick(nodes.filter { $0 != a }) else { return }
    world.met(isOneWay ? .oneWayPartition : .partition)
    let milliseconds = world.draw(50...4_000)
    world.note("network", "{0} does not reach {1} for {2} ms", Int64(a), Int64(b), Int64(milliseconds))
    cluster.network.block(from: a, to: b, milliseconds: milliseconds)
    if !isOneWay { cluster.network.block(from: b, to: a, milliseconds: milliseconds) }
  }

  /// Retention as it should be: nothing goes that a server or a snapshot still needs.
  private func retain() {
    retainInputs()
    let partition = world.draw(0..<scenario.partitions)
    let safe = cluster.safeStart(partition)
    let log = cluster.broker.log(.examples, partition)
    guard safe > log.start else { return }
    world.met(.retention)
    let start = Int64(world.draw(Int(log.start) + 1...Int(safe)))
    world.note("broker", "deletes examples of partition {0} below {1}", Int64(partition), start)
    log.delete(below: start)
  }

  /// Of what is joined, everything that the last commit's state is not made of may go, although an older state on some disk
  /// would need what came after it.
  private func retainInputs() {
    let partition = world.draw(0..<scenario.partitions)
    let committed = cluster.broker.committed(
      JoinerProcess.group, TopicPartition(topic: .features, partition: partition))
    guard let committed, let point = try? JoinerCommitPoint(text: committed.metadata) else { return }
    for (topic, low) in [(Topic.features, point.featureLow), (.actions, point.actionLow)] {
      let log = cluster.broker.log(topic, partition)
      guard low > log.start else { continue }
      world.met(.joinerRetention)
      log.delete(below: Int64(world.draw(Int(log.start) + 1...Int(low))))
    }
  }

  /// Retention as it must not be. Of partitions that nobody has begun it could not be told; nothing else happens afterwards,
  /// so that it stays known that they were begun.
  private func loseExamples() {
    let begun = (0..<scenario.partitions).filter { partition in
      cluster.servers.contains { server in
        server.shardNumbers.contains { cluster.watermark(server, shard: $0, partition: partition) >= 0 }
      }
    }
    guard world.isFaulty, !begun.isEmpty else { return }
    world.met(.unsafeRetention)
    heal()
    for partition in begun {
      let log = cluster.broker.log(.examples, partition)
      world.note("broker", "deletes all examples of partition {0} below {1}", Int64(partition), log.stableEnd)
      log.delete(below: log.stableEnd)
    }
  }
}

import FreshetCluster
import FreshetCore
import FreshetModel
import FreshetTable

/// All processes of one simulated cluster, and who starts them again.
final class Cluster {
  let world: World
  let scenario: Scenario
  let model: SimulatedModel
  let network: Network
  let broker: Broker
  let oracle: Oracle
  let application: InputProducer
  let servers: [ServerProcess]
  let trainers: [TrainerProcess]
  let joiners: [JoinerProcess]
  let replicas: [ReplicaProcess]
  let trainerGroup: ConsumerGroup
  let joinerGroup: ConsumerGroup
  /// Whether sync frames arrive as they were sent from now on.
  var linesAreGood: Bool {
    get { replicas.allSatisfy(\.lineIsGood) }
    set { for replica in replicas { replica.lineIsGood = newValue } }
  }
  /// The error with which training stopped because examples are gone.
  private(set) var gap: ClusterError?

  init(_ scenario: Scenario, world: World) throws {
    self.world = world
    self.scenario = scenario
    let model = try SimulatedModel(admission: scenario.admission, timeToLiveMinutes: scenario.timeToLiveMinutes)
    self.model = model
    let network = Network(world: world, weather: scenario.weather)
    self.network = network
    let workload = Workload(scenario, model: model, world: world)
    let map = ShardMap(shardCount: scenario.shards, serverCount: scenario.servers)
    let oracle = Oracle(scenario, model: model, workload: workload, map: map, world: world)
    self.oracle = oracle
    let starts = Topic.allCases.map { topic in
      (0..<(topic == .deadLetter ? 1 : scenario.partitions)).map { _ in
        Int64(topic == .examples ? world.draw(0...5) : 0)
      }
    }
    let broker = Broker(
      world: world, network: network, starts: starts, transactionTimeoutMs: scenario.transactionTimeoutMs,
      refusals: scenario.brokerRefusals)
    self.broker = broker
    broker.onCommitted = { partition, records in
      switch partition.topic {
      case .examples: oracle.committed(partition.partition, records)
      default:
        for record in records {
          oracle.committed(
            deadLetter: DeadLetterReason(rawValue: String(decoding: record.payload ?? [], as: UTF8.self))!)
        }
      }
    }
    application = InputProducer(
      workload: workload, broker: broker, partitions: scenario.partitions, world: world, network: network)
    func group(_ name: String) -> ConsumerGroup {
      ConsumerGroup(
        name: name, world: world, network: network, brokerNode: broker.node, partitionCount: scenario.partitions,
        settings: scenario.group)
    }
    let trainerGroup = group(ExampleFeed.group)
    let joinerGroup = group(JoinerProcess.group)
    self.trainerGroup = trainerGroup
    self.joinerGroup = joinerGroup
    let servers = (0..<scenario.servers).map {
      ServerProcess(number: $0, scenario: scenario, model: model, oracle: oracle, world: world, network: network)
    }
    self.servers = servers
    trainers = (0..<scenario.trainers).map {
      TrainerProcess(
        number: $0, scenario: scenario, model: model, oracle: oracle, servers: servers, broker: broker,
        group: trainerGroup, world: world, network: network)
    }
    let disks = (0..<scenario.joiners).map {
      SimulatedStateDisk(world: world, faults: scenario.stateFaults, name: "disk of joiner \($0)")
    }
    joiners = (0..<scenario.joiners).map { [application] in
      JoinerProcess(
        number: $0, scenario: scenario, model: model, broker: broker, consumers: joinerGroup, application: application,
        disk: scenario.joinerHasDisk ? disks[scenario.joinersShareDisk ? 0 : $0] : nil, world: world, network: network)
    }
    replicas = (0..<scenario.replicas).map {
      ReplicaProcess(
        number: $0, scenario: scenario, model: model, map: map, servers: servers, world: world, network: network)
    }
    for server in servers { server.onExit = { [unowned self, unowned server] in serverExits(server, $0) } }
    for trainer in trainers {
      trainer.onExit = { [unowned self, unowned trainer] in trainerExits(trainer, $0) }
      trainer.onStopped = { [unowned self, unowned trainer] in restart(trainer, crash: true) }
    }
    for replica in replicas {
      replica.onExit = { [unowned self, unowned replica] in
        replica.note("ends")
        restart(replica, crash: true)
      }
    }
    for joiner in joiners {
      joiner.onExit = { [unowned self, unowned joiner] reason in
        joiner.note("ends", text: reason)
        restart(joiner, crash: true)
      }
    }
  }

  /// Those that may crash and be paused.
  var processes: [SimulatedProcess] { servers + trainers + joiners + replicas }

  func start() {
    for process in [application] + processes { process.start() }
  }

  // MARK: - Supervision

  /// Ends a process, if it is up, and starts it after a while.
  func restart(_ process: SimulatedProcess, crash: Bool) {
    if crash { process.crash() }
    let delay = world.draw(scenario.restartMilliseconds) * 1000
    world.after(delay, for: nil) { process.start() }
  }

  private func serverExits(_ server: ServerProcess, _ reason: String) {
    server.note("ends", text: reason)
    restart(server, crash: true)
  }

  private func trainerExits(_ trainer: TrainerProcess, _ error: ClusterError) {
    if error.kind == .gap, scenario.losesExamples {
      world.met(.gapDetected)
      gap = error
      trainer.crash()
    } else {
      world.fail("trainers do not fail", "\(trainer.name): \(error)")
    }
  }

  /// Lets everybody go of everybody, for the end of the simulation.
  func end() {
    for process in processes { process.crash() }
    network.end()
    broker.end()
    trainerGroup.end()
    joinerGroup.end()
  }

  // MARK: - Where it stands

  func watermark(_ server: ServerProcess, shard: Int, partition: Int) -> Int64 {
    server.checks?.watermarks(of: shard)[partition] ?? -1
  }

  /// Everything below is in every server, and in every snapshot that a server may start from.
  func safeStart(_ partition: Int) -> Int64 {
    servers.map { server in
      let marks = server.shardNumbers.map { watermark(server, shard: $0, partition: partition) }
      return min(marks.min() ?? -1, server.oldestSnapshotWatermark(partition))
    }.min() ?? -1
  }

  /// Nothing is left to be done.
  var isDrained: Bool {
    guard application.isDone, application.isJoined, oracle.isJoined, !broker.hasOpenTransaction else { return false }
    for server in servers {
      guard server.isListening else { return false }
      for shard in server.shardNumbers {
        for partition in 0..<scenario.partitions
        where watermark(server, shard: shard, partition: partition) != oracle.ends[partition] {
          return false
        }
      }
    }
    for partition in 0..<scenario.partitions where oracle.ends[partition] > 0 {
      let committed = broker.committed(ExampleFeed.group, TopicPartition(topic: .examples, partition: partition))
      guard committed?.offset == oracle.ends[partition] else { return false }
    }
    return replicas.allSatisfy { replica in
      guard let machine = replica.machine, machine.isReady else { return false }
      // A copy of an earlier life of a server is whole too.
      for position in machine.positions
      where position.generation != servers[oracle.map.owner(of: position.shard).value].generation {
        return false
      }
      let marks = machine.watermarks
      return (0..<scenario.partitions).allSatisfy { partition in
        let mark = marks.first { $0.partition.value == Int32(partition) }?.offset.value ?? -1
        return mark == oracle.ends[partition]
      }
    }
  }

  /// Why it is not drained, for the report.
  var stateText: String {
    var lines = [
      "application done \(application.isDone), joined \(application.isJoined), examples \(oracle.exampleCount), "
        + "missing \(oracle.missingText), ends \(oracle.ends)"
    ]
    for server in servers {
      let marks = server.shardNumbers.map { shard in "\(shard): \(server.checks?.watermarks(of: shard) ?? [])" }
      lines.append("\(server.name) up \(server.isUp) listening \(server.isListening) \(marks.joined(separator: "; "))")
    }
    for partition in 0..<scenario.partitions {
      for (group, topic) in [("joiner", Topic.features), ("joiner", .actions), ("trainer", .examples)] {
        let entry = TopicPartition(topic: topic, partition: partition)
        let log = broker.log(topic, partition)
        lines.append(
          "\(group) \(topic) \(partition): committed \(broker.committed(group, entry).map { "\($0.offset)" } ?? "-"), "
            + "log \(log.start) ..< \(log.end), stable \(log.stableEnd)")
      }
    }
    for trainer in trainers { lines.append("\(trainer.name) \(trainer.stateText)") }
    for replica in replicas {
      lines.append("\(replica.name) ready \(replica.machine?.isReady ?? false) \(replica.machine?.watermarks ?? [])")
    }
    return lines.joined(separator: "\n")
  }

  func checkCounts() {
    for server in servers {
      server.checks?.checkCounts("every row counts each of its examples once")
      server.checks?.checkValidation("progressive validation counts every example once")
    }
  }

  /// What must hold once all is done.
  func checkFinal() {
    checkCounts()
    for replica in replicas {
      checkEqual(replica)
      checkSums(replica)
    }
  }

  /// By shard: the sums that `CHECKSUM` answers with.
  private func checkSums(_ replica: ReplicaProcess) {
    guard let machine = replica.machine else { return }
    let formats = model.tables.syncFormats(scenario.syncWeights).map { [$0] }
    let mine = Self.checksums(machine, (0..<scenario.shards).map { ShardID($0) }, model.tables.layouts.map { _ in [] })
    for server in servers {
      guard let owner = server.machine else { continue }
      for theirs in Self.checksums(owner, server.shardNumbers.map { ShardID($0) }, formats) {
        if mine[Int(theirs.shard.value)] != theirs {
          world.fail(
            "the checksums of a replica's shards are its servers'",
            "\(replica.name): \(mine[Int(theirs.shard.value)]), \(server.name): \(theirs)")
        }
      }
    }
  }

  private static func checksums(
    _ source: some ChecksumSource, _ shards: [ShardID], _ formats: [[WeightFormat]]
  ) -> [ShardChecksum] {
    var scan = ChecksumScan(shards: shards, formats: formats)
    while true {
      switch scan.advance(source) {
      case .unfinished: continue
      case .done(let checksums): return checksums
      case .changing(let shard): preconditionFailure("shard \(shard) changes while nothing happens")
      }
    }
  }

  // MARK: - Evictions

  /// Lets event time pass, so that every row with a time to live has to go.
  func evictRows() {
    for server in servers { server.evictRows() }
  }

  /// No replica has a row that its server has evicted.
  func checkEvicted() {
    for replica in replicas {
      guard let machine = replica.machine else { continue }
      for fid in oracle.fids {
        let owner = servers[oracle.map.owner(of: oracle.map.shard(of: fid)).value]
        for layout in model.tables.layouts where layout.expiry.timeToLiveMinutes != nil {
          do {
            let isThere = try owner.machine?.row(table: layout.name, fid: fid).exists ?? false
            let isHere = try machine.row(table: layout.name, fid: fid).exists
            if isHere && !isThere {
              world.fail(
                "evicted rows are gone from replicas within one interval",
                "\(replica.name) \(layout.name) fid \(fid) after \(scenario.syncIntervalMs) ms")
            }
          } catch {
            world.fail("rows can be looked at", "\(error)")
          }
        }
      }
    }
  }

  /// A server's weights as they travel.
  private func asSent(_ weights: [Float], table: Int) -> [Float] {
    var weights = weights
    let format = model.tables.syncFormats(scenario.syncWeights)[table]
    weights.withUnsafeMutableBufferPointer { format.round($0) }
    return weights
  }

  /// Row for row, in every table.
  private func checkEqual(_ replica: ReplicaProcess) {
    guard let machine = replica.machine else { return }
    let check = "a replica equals its servers"
    for (position, layout) in model.tables.layouts.enumerated() {
      let isDense = layout.name == ModelTables.denseTableName
      for fid in isDense ? model.tables.denseLayout.fids : oracle.fids {
        let shard = Int(oracle.map.shard(of: fid).value)
        guard let server = servers[oracle.map.owners[shard].value].machine else { continue }
        do {
          let mine = try machine.row(table: layout.name, fid: fid)
          let theirs = try server.row(table: layout.name, fid: fid)
          let expected = theirs.exists ? asSent(theirs.weights, table: position) : theirs.weights
          if mine.exists != theirs.exists || mine.weights != expected {
            world.fail(check, "\(replica.name) \(layout.name) fid \(fid) shard \(shard): \(mine), the server \(theirs)")
          }
        } catch {
          world.fail(check, "\(error)")
        }
      }
    }
    for (name, rows, _) in machine.rowCounts() {
      let there = servers.reduce(0) { sum, server in
        sum + (server.machine?.tableTotals().first { $0.name == name }?.rows ?? 0)
      }
      if rows != there { world.fail(check, "\(replica.name) \(name): \(rows) rows, the servers have \(there)") }
    }
  }
}

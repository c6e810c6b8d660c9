import FreshetCluster
import FreshetCore

/// A parameter server: the `ShardServer`, what `ParameterServerEndpoint` does around it, and its disk.
final class ServerProcess: SimulatedProcess {
  private struct Arrived {
    let request: ServerRequest
    /// nil for a request that comes once more and whose answer nobody hears.
    let connection: Connection?
    let reply: (ServerReply) -> Void
  }

  let number: Int
  let shardNumbers: [Int]
  let disk: SimulatedDisk
  private let scenario: Scenario
  private let model: SimulatedModel
  private let oracle: Oracle
  private let compressor = NoCompressor()
  private(set) var machine: ShardServer?
  private(set) var checks: ServerChecks?
  private var snapshots: ServerSnapshots?
  private var arrived: [Arrived] = []
  private var isServing = false
  private var desk: SyncDesk
  /// By the desk's number: who asked, and where the answer goes.
  private var asking: [UInt64: (connection: Connection?, reply: (ServerReply) -> Void)] = [:]
  private var lastRequest: UInt64 = 0
  private var served = 0
  /// By manifest, where each partition was at its cut.
  private var cutWatermarks: [String: [Int64]] = [:]
  private(set) var isListening = false
  /// Of this life.
  private(set) var generation: UInt64 = 0
  /// Called when the server refuses to start or ends by itself.
  var onExit: (String) -> Void = { _ in }

  init(
    number: Int, scenario: Scenario, model: SimulatedModel, oracle: Oracle, world: World, network: Network
  ) {
    self.number = number
    self.scenario = scenario
    self.model = model
    self.oracle = oracle
    desk = SyncDesk(settings: scenario.syncSettings)
    shardNumbers = oracle.map.shards(of: ServerID(number)).map { Int($0.value) }
    disk = SimulatedDisk(world: world, faults: scenario.disk, name: "server \(number)'s disk")
    super.init(world: world, network: network, name: "server \(number)")
  }

  override func didStart() {
    // Reading the store and making tables takes a while; nobody can connect before it is done.
    after(milliseconds: world.draw(1...100)) { [self] in open() }
  }

  override func didEnd() {
    if let machine {
      world.coverage[.fencedPush] += Int(machine.statistics.fenced)
      world.coverage[.duplicatePush] += Int(machine.statistics.duplicates)
      world.coverage[.watermarkRefusal] += Int(machine.statistics.watermarkRefusals)
      world.coverage[.replicaRebased] += Int(machine.statistics.replicasRebased)
      world.coverage[.deltaSplit] += Int(machine.statistics.deltasSplit)
      world.coverage[.chunkShared] += Int(machine.statistics.baseChunksShared)
      world.coverage[.syncCapped] += Int(desk.statistics.cappedRequests)
    }
    isListening = false
    machine = nil
    checks = nil
    if let snapshots {
      snapshots.ended()
      self.snapshots = nil
    }
    arrived = []
    asking = [:]
    isServing = false
    disk.crash()
  }

  private func open() {
    generation = world.drawSeed() | 1
    let configuration = ShardServer.Configuration(
      map: oracle.map, server: ServerID(number), layouts: model.tables.layouts, generation: generation,
      deltaLogBytes: scenario.deltaLogBytes, maximumRows: 10_000,
      syncFormats: model.tables.syncFormats(scenario.syncWeights), baseChunkBytes: scenario.baseChunkBytes,
      deltaBodyBytes: scenario.deltaBodyBytes, isSnapshotted: scenario.snapshotIntervalMs != nil)
    let opened: ServerSnapshots.Opened
    do throws(SnapshotError) {
      opened = try ServerSnapshots.open(configuration, scenario: scenario, process: self)
    } catch {
      return refuse(error)
    }
    machine = opened.machine
    snapshots = opened.snapshots
    checks = ServerChecks(
      world: world, oracle: oracle, name: name, machine: opened.machine, shards: shardNumbers,
      partitions: scenario.partitions, taskCount: model.spec.tasks.count)
    checks!.started()
    isListening = true
    note("is ready")
    desk = SyncDesk(settings: scenario.syncSettings)
    every(milliseconds: SyncDesk.tickMs) { [unowned self] in tell(.tick) }
    every(milliseconds: 100) { [unowned self] in keepHouse() }
    snapshots?.start()
  }

  /// None of a shard's snapshots can be read. Another attempt may read better; if not, an operator clears the store.
  private func refuse(_ error: SnapshotError) {
    note("refuses to start", text: error.description)
    if disk.misread.isEmpty {
      for shard in shardNumbers { disk.wipe(prefix: SnapshotID.directory(of: ShardID(shard))) }
    }
    onExit(error.code)
  }

  // MARK: - Snapshots

  /// The names of a shard's manifests, oldest first.
  private func manifests(of shard: Int) -> [String] {
    do {
      return try disk.list(prefix: SnapshotID.directory(of: ShardID(shard))).map(\.name).filter {
        $0.hasSuffix(".manifest")
      }
    } catch {
      preconditionFailure("simulated disks can be listed: \(error)")
    }
  }

  func newestManifest(of shard: Int) -> String? { manifests(of: shard).last }

  /// The lowest watermark that this server may start from again.
  func oldestSnapshotWatermark(_ partition: Int) -> Int64 {
    // A disk that loses files may leave nothing to start from.
    guard scenario.snapshotIntervalMs != nil, scenario.disk.unsynced == 0 else { return -1 }
    return shardNumbers.map { shard in
      manifests(of: shard).map { cutWatermarks[$0]![partition] }.min() ?? -1
    }.min() ?? -1
  }

  /// A snapshot of the shard begins now.
  func snapshotBegins(shard: Int, manifest: String) {
    let watermarks = checks!.watermarks(of: shard)
    cutWatermarks[manifest] = watermarks
    oracle.began(snapshotOf: shard, watermarks)
  }

  /// The machine crashed in the middle of a write.
  func diskDied() { onExit("crashed while writing") }

  /// SIGTERM: finishes a snapshot, then ends.
  func stop() {
    guard isListening, let snapshots else { return crash() }
    world.met(.gracefulStop)
    note("is asked to stop")
    isListening = false
    snapshots.stop { [self] in onExit("stopped") }
  }

  // MARK: - Requests

  func receive(_ request: ServerRequest, _ connection: Connection?, _ reply: @escaping (ServerReply) -> Void) {
    guard machine != nil else { return }
    arrived.append(Arrived(request: request, connection: connection, reply: reply))
    serveNext()
  }

  func connectionClosed(_ connection: Connection) {
    for id in desk.waitingIDs where asking[id]?.connection === connection {
      asking[id] = nil
      tell(.gone(id: id))
    }
  }

  private func serveNext() {
    guard !isServing, !arrived.isEmpty else { return }
    isServing = true
    after(microseconds: world.draw(5...300)) { [self] in
      isServing = false
      let next = arrived.removeFirst()
      serve(next)
      snapshots?.advance()
      serveNext()
    }
  }

  private func serve(_ arrived: Arrived) {
    guard let machine else { return }
    if world.isFaulty, world.chance(scenario.busyServers) {
      world.met(.busyServer)
      note("has no room for a request")
      return arrived.reply(.refused(ClusterError(.loading, "no room for more work")))
    }
    do throws(ClusterError) {
      switch arrived.request {
      case .claim(let partition):
        let reply = machine.claim(partition)
        checks!.claimed(partition, reply)
        note("partition {0} is claimed, epoch {1}", Int64(partition.value), Int64(bitPattern: reply.epoch.value))
        // As it travels.
        arrived.reply(.claimed(ClaimReply(integers: reply.integers)!))
      case .pull(let body):
        let rows = try body.withUnsafeBytesTyped { raw throws(ClusterError) in
          Array(UnsafeRawBufferPointer(try machine.pull(raw)))
        }
        arrived.reply(.rows(rows))
      case .push(let partition, let epoch, let from, let to, let body):
        try push(body, partition, epoch, from, to, machine)
        arrived.reply(.pushed)
      case .sync(let body):
        try sync(body, arrived)
      }
    } catch {
      note("refuses", text: error.description)
      arrived.reply(.refused(error))
    }
  }

  private func push(
    _ body: [UInt8], _ partition: PartitionID, _ epoch: Epoch, _ from: Offset, _ to: Offset, _ machine: ShardServer
  ) throws(ClusterError) {
    do throws(ClusterError) {
      let outcome = try body.withUnsafeBytesTyped { raw throws(ClusterError) in
        try machine.push(raw, partition: partition, epoch: epoch, from: from, to: to)
      }
      note(
        outcome == .applied
          ? "applies partition {0}, {1} ..< {2}" : "has had partition {0}, {1} ..< {2}", Int64(partition.value),
        from.value, to.value)
    } catch {
      checks!.pushed(partition, epoch, from: from, to: to, refusal: error)
      throw error
    }
    checks!.pushed(partition, epoch, from: from, to: to, refusal: nil)
    tell(.pushed)
    served += 1
    if served % 16 == 0 { checks!.checkCounts("rows count the examples below the watermarks") }
  }

  // MARK: - Sync

  private func sync(_ body: [UInt8], _ arrived: Arrived) throws(ClusterError) {
    let request: SyncRequest
    do throws(MalformedBlob) {
      request = try body.withUnsafeBytesTyped { raw throws(MalformedBlob) in try SyncRequest(decoding: raw) }
    } catch {
      throw ClusterError(error)
    }
    lastRequest += 1
    asking[lastRequest] = (arrived.connection, arrived.reply)
    tell(.asked(id: lastRequest, request))
  }

  private func tell(_ event: SyncEvent) {
    guard let machine else { return }
    for action in desk.handle(event, shards: machine, compressor: compressor, now: world.now) {
      switch action {
      case .answer(let id, let frames):
        // Whoever asked in a request that came twice hears one answer.
        asking.removeValue(forKey: id)?.reply(.frames(frames))
      case .refuse(let id, let error): asking.removeValue(forKey: id)?.reply(.refused(error))
      case .busy(let id, let reason): asking.removeValue(forKey: id)?.reply(.refused(ClusterError(.loading, reason)))
      }
    }
  }

  /// An example of much later than all others, which no log has: every row with a time to live has expired after it. What is
  /// learned is not looked at any more afterwards.
  func evictRows() {
    guard let machine else { return }
    let partition = PartitionID(0)
    let claim = machine.claim(partition)
    let from = claim.watermarks.map(\.watermark).max() ?? .none
    do throws(ClusterError) {
      _ = try lateExample().withUnsafeBytesTyped { raw throws(ClusterError) in
        try machine.push(
          raw, partition: partition, epoch: claim.epoch, from: from, to: Offset(max(0, from.value) + 1))
      }
    } catch {
      world.fail("a push of a claimed partition is taken", "\(name): \(error)")
    }
    let before = expiredRows(machine)
    while machine.sweepExpired() {}
    world.coverage[.rowEvicted] += expiredRows(machine) - before
    tell(.pushed)
  }

  private func expiredRows(_ machine: ShardServer) -> Int {
    machine.tableTotals().reduce(0) { $0 + Int($1.statistics.expired) }
  }

  /// A push of one row in each shard, with no gradient.
  private func lateExample() -> [UInt8] {
    let fids = shardNumbers.map { shard in
      (0...).lazy.map { Fid($0) }.first { Int(oracle.map.shard(of: $0).value) == shard }!
    }
    var writer = BinaryWriter(capacity: 256)
    fids.withUnsafeBufferPointer { fids in
      PushRequest.encodeHead(
        minutes: .max / 2, report: nil,
        sections: shardNumbers.map { RowSection(shard: ShardID($0), table: 0, count: 1) },
        fids: fids, into: &writer)
    }
    for _ in 0..<fids.count * model.tables.layouts[0].width { writer.write(Float(0)) }
    return writer.bytes
  }

  private func keepHouse() {
    guard let machine else { return }
    while machine.sweepExpired() {}
    machine.maintainTables()
  }
}

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` that keeps the type of the error.
  func withUnsafeBytesTyped<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let result = withUnsafeBytes { raw in Result { () throws(Failure) -> Value in try body(raw) } }
    return try result.get()
  }
}

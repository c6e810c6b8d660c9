import FreshetCluster
import FreshetCore
import FreshetModel

/// One pass over a log while parameter servers die and come back with an old snapshot.
struct FaultyTraining {
  enum Recovery {
    /// The examples since the snapshot are gone for this server: what Monolith accepts.
    case loss
    /// They are learned again from its watermarks: what Freshet does.
    case exact
  }

  struct Run {
    /// By example, the prediction that was made when it was first learned.
    var logits: [Float] = []
    /// Those that cost anything.
    var failures = 0
    /// Of all updates, those that a server lost: its share of the examples that it forgot.
    var lostShare = 0.0
    /// Examples that went through the trainer again.
    var replayed = 0
    var checksum: UInt64 = 0
  }

  let tables: ModelTables
  let map: ShardMap
  let batchSize: Int
  let microBatchSize: Int

  init(tables: ModelTables, servers: Int, batchSize: Int, microBatchSize: Int) {
    self.tables = tables
    map = ShardMap(shardCount: servers, serverCount: servers)
    self.batchSize = batchSize
    self.microBatchSize = microBatchSize
  }

  /// - Parameter hours: Of the whole log. Batches end where they do, whatever fails, so that runs can be compared.
  func run(_ log: ExampleLog, hours: EventWindows, _ schedule: FailureSchedule, _ recovery: Recovery) throws -> Run {
    let training = try LocalTraining(
      tables: tables, map: map, batchSize: batchSize, microBatchSize: microBatchSize
    ) { ShardServer(configuration: configuration($0)) }
    var run = Run()
    // The offset of the prediction that comes next.
    var next = 0
    let tasks = tables.shape.tasks
    training.observe { logits in
      for example in 0..<logits.count / tasks {
        if next == run.logits.count { run.logits.append(logits[example * tasks]) }
        next += 1
      }
    }
    var batch = log.makeBatch()
    var snapshots: [Int: (window: Int, snapshot: ServerSnapshot)] = [:]
    var lostUpTo = [Int](repeating: 0, count: map.serverCount)
    var lost = 0
    var pending = schedule.failures[...]
    let windowsToSave = Dictionary(grouping: schedule.failures.filter { $0.snapshotWindow != nil }) {
      $0.snapshotWindow!
    }
    for (number, window) in hours.windows.enumerated() {
      let now = window.range.lowerBound
      var hasDied = false
      while let failure = pending.first, failure.window == number {
        pending.removeFirst()
        // It died between a snapshot and the next example, or before any.
        guard failure.snapshotWindow != number, now > 0 else { continue }
        let id = ServerID(failure.server)
        let old = snapshots[failure.server]
        precondition(old?.window == failure.snapshotWindow)
        let server =
          try old?.snapshot.restored(configuration(id)) ?? ShardServer(configuration: configuration(id))
        if recovery == .loss {
          let watermark = old.map { Offset(Int64(hours.windows[$0.window].range.lowerBound)) } ?? .none
          try training.skip(server, from: watermark, to: Offset(Int64(now)))
          lost += now - max(Int(max(watermark, Offset(0)).value), lostUpTo[failure.server])
          lostUpTo[failure.server] = now
        }
        try training.replace(id, with: server)
        run.failures += 1
        hasDied = true
      }
      if hasDied {
        // With what was lost nothing is claimed but what comes next.
        let from = Int(training.claimedFrom.value)
        next = from
        for again in hours.windows[..<number] where again.range.lowerBound >= from {
          try log.forEachBatch(of: again.range, filling: &batch) { try training.train($0) }
          run.replayed += again.range.count
        }
        precondition(next == now)
      }
      if now > 0 {
        for server in Set((windowsToSave[number] ?? []).filter { $0.window > number }.map(\.server)) {
          let id = ServerID(server)
          snapshots[server] = (number, try ServerSnapshot(of: training.servers[server], configuration(id)))
        }
      }
      try log.forEachBatch(of: window.range, filling: &batch) { try training.train($0) }
    }
    run.lostShare = Double(lost) / Double(log.count * map.serverCount)
    run.checksum = training.checksum
    return run
  }

  private func configuration(_ server: ServerID) -> ShardServer.Configuration {
    LocalTraining.configuration(tables: tables, map: map, server: server, deltaLogBytes: 0, isSnapshotted: true)
  }
}

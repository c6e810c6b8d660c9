import FreshetCore
import FreshetModel
import FreshetTable

@testable import FreshetCluster

/// A server that takes random pushes while its keeper takes snapshots of it into a store, all in one thread.
final class SnapshotHarness {
  struct Push {
    let body: [UInt8]
    let partition: PartitionID
    let from: Int64
    let to: Int64
  }

  let model: TestModel
  let map: ShardMap
  let store: MemoryStore
  /// The format has tests of its own with one that changes bytes; this one is fast without optimisation.
  let compressor: any BlockCompressor = NoCompressor()
  var settings: SnapshotSettings
  /// Whether table statistics are among the contents: how many rows were removed depends on the moments of sweeps.
  let comparesStatistics: Bool
  private(set) var random: SeededGenerator
  private(set) var life: UInt64 = 1
  private(set) var server: ShardServer
  private(set) var keeper: SnapshotKeeper
  private var writer: SnapshotFileWriter
  private(set) var now = Instant(nanoseconds: 1)
  /// What is on its way to the writer.
  private(set) var queue: [SnapshotAction] = []
  private(set) var journal: [Push] = []
  private var epochs: [PartitionID: Epoch] = [:]
  private var ends: [PartitionID: Int64] = [:]
  /// What each shard held when it was cut.
  private(set) var cuts: [SnapshotID: [String]] = [:]
  private(set) var plans: [SnapshotPlan] = []
  private(set) var stored: [SnapshotResult] = []
  private(set) var failures: [String] = []
  private(set) var replies: [UInt64: SnapshotReply] = [:]
  private(set) var notices: [String] = []
  private(set) var isStopped = false
  private(set) var mostInFlight = 0

  static let settings = SnapshotSettings(
    intervalMs: 1000, baseEvery: 3, keep: 2, seed: 7, partsInFlight: 3, partBytes: 2048, sliceBytes: 512)

  init(
    model: TestModel = .deep, shards: Int = 2, settings: SnapshotSettings = SnapshotHarness.settings,
    comparesStatistics: Bool = true, seed: UInt64 = 1
  ) {
    self.model = model
    self.settings = settings
    self.comparesStatistics = comparesStatistics
    map = ShardMap(shardCount: shards, serverCount: 1)
    store = MemoryStore()
    random = SeededGenerator(seed: seed)
    server = ShardServer(configuration: Self.configuration(model, map, life: 1))
    keeper = SnapshotKeeper(
      settings: settings, life: 1,
      histories: Dictionary(uniqueKeysWithValues: map.shards(of: ServerID(0)).map { ($0, .empty) }))
    writer = SnapshotFileWriter(store: store, compressor: compressor)
    claim()
  }

  static func configuration(_ model: TestModel, _ map: ShardMap, life: UInt64) -> ShardServer.Configuration {
    ShardServer.Configuration(
      map: map, server: ServerID(0), layouts: model.tables.layouts, generation: life, deltaLogBytes: 1 << 20,
      maximumRows: 10_000, isSnapshotted: true)
  }

  private func claim() {
    for number in 0..<3 { epochs[PartitionID(Int32(number))] = server.claim(PartitionID(Int32(number))).epoch }
  }

  // MARK: - Training

  /// A batch of random rows of random shards.
  func push(rows: Int = 6, fids: Int = 200) {
    let partition = PartitionID(Int32.random(in: 0..<3, using: &random))
    let from = ends[partition] ?? -1
    let to = max(0, from) + Int64.random(in: 1...4, using: &random)
    ends[partition] = to
    var sections: [TestSection] = []
    for shard in 0..<map.shardCount {
      for (table, layout) in model.tables.layouts.enumerated() {
        var chosen: Set<Fid> = []
        for _ in 0..<Int.random(in: 0...rows, using: &random) {
          let fid = Hashing.mix(Fid.random(in: 0..<Fid(fids), using: &random))
          if map.shard(of: fid) == ShardID(shard) { chosen.insert(fid) }
        }
        let gradients = (0..<chosen.count * layout.width).map { _ in Float.random(in: -1...1, using: &random) }
        sections.append(
          TestSection(shard: ShardID(shard), table: table, fids: chosen.sorted(), gradients: gradients))
      }
    }
    let report = BatchReport(
      tasks: model.spec.tasks.map { _ in
        BatchReport.Task(
          loss: 0.5, predicted: 0.25,
          predictions: (0..<3).map { _ in
            Prediction(logit: Float.random(in: -3...3, using: &random), isPositive: random.next() % 2 == 0)
          })
      }, exampleCount: 3, oldestIngest: UnixTime(milliseconds: 1), newestIngest: UnixTime(milliseconds: 2))
    let minutes = UInt32(journal.count) + UInt32.random(in: 0..<5, using: &random)
    let push = Push(
      body: TestSection.push(sections, minutes: minutes, report: partition.value == 0 ? report : nil),
      partition: partition, from: from, to: to)
    journal.append(push)
    apply(push, to: server)
  }

  private func apply(_ push: Push, to server: ShardServer) {
    do {
      _ = try server.push(push.body, push.partition, epochs[push.partition]!, push.from, push.to)
    } catch {
      preconditionFailure("\(error)")
    }
  }

  /// Everything that was ever pushed, again: what a shard has had it takes not.
  func replay() { for push in journal { apply(push, to: server) } }

  // MARK: - Snapshots

  func pass(milliseconds: Int) { now = now.advanced(byMs: milliseconds) }

  func handle(_ event: SnapshotEvent) {
    take(keeper.handle(event, shards: server, now: now, time: UnixTime(milliseconds: 1_000)))
  }

  /// One slice of copying.
  func copy() { take(keeper.advance(shards: server, now: now)) }

  /// Lets the writer carry out the oldest action.
  func write() {
    guard !queue.isEmpty, let event = writer.perform(queue.removeFirst()) else { return }
    switch event {
    case .stored(_, let result): stored.append(result)
    case .failed(_, let reason): failures.append(reason)
    default: break
    }
    handle(event)
  }

  private func take(_ actions: [SnapshotAction]) {
    var inFlight = 0
    for action in actions {
      switch action {
      case .begin(let plan):
        plans.append(plan)
        cuts[plan.header.id] = contents(of: plan.header.id.shard)
        queue.append(action)
      case .reply(let id, let reply): replies[id] = reply
      case .notice(let text): notices.append(text)
      case .stopped: isStopped = true
      case .part, .abandon, .remove: queue.append(action)
      }
    }
    for case .part(_, let ticket) in queue where ticket == plans.last?.ticket { inFlight += 1 }
    mostInFlight = max(mostInFlight, inFlight)
  }

  /// Copies and writes until nothing is left to do.
  func settle() {
    while keeper.hasWork || !queue.isEmpty {
      if keeper.hasWork { copy() }
      write()
    }
  }

  /// Asks for a snapshot of everything and waits for it.
  @discardableResult
  func snapshot(id: UInt64) -> SnapshotReply? {
    handle(.requested(id: id))
    settle()
    return replies[id]
  }

  /// Something random happens.
  func step() {
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<8: push()
    case 8: pass(milliseconds: Int.random(in: 1...2000, using: &random))
    case 9: handle(.tick)
    case 10: _ = server.sweepExpired()
    case 11: server.maintainTables()
    case 12: _ = server.sealDeltas(includingDense: true, compressor: NoCompressor())
    case 13..<17: for _ in 0..<Int.random(in: 1...60, using: &random) { copy() }
    default: for _ in 0..<Int.random(in: 1...12, using: &random) { write() }
    }
  }

  // MARK: - Lives

  /// The process is killed and comes back from its store.
  func restart() throws(SnapshotError) -> [ShardRestoreReport] {
    life += 1
    writer = SnapshotFileWriter(store: store, compressor: compressor)
    queue = []
    let configuration = Self.configuration(model, map, life: life)
    let restored = try SnapshotRestorer(store: store, compressor: compressor, configuration: configuration).restore()
    settings.seed = random.next()
    keeper = SnapshotKeeper(settings: settings, life: life, histories: restored.histories)
    let reports = restored.reports
    server = ShardServer(configuration: configuration, restored: restored)
    claim()
    return reports
  }

  func contents(of shard: ShardID) -> [String] {
    server.shardContents(shard, withStatistics: comparesStatistics)
  }

  /// Of all shards, when rows whose time is over are gone.
  func contentsAfterSweep() -> [[String]] {
    for _ in 0..<1000 where server.sweepExpired() {}
    return map.shards(of: ServerID(0)).map { contents(of: $0) }
  }
}

extension ShardServer {
  /// All rows of a shard with their state, watermarks and validation: what a snapshot holds, in an order of its own.
  func shardContents(_ shard: ShardID, withStatistics: Bool) -> [String] {
    let state = state(shard)
    var lines: [String] = []
    for (number, table) in state.tables.enumerated() {
      table.checkInvariants()
      var rows: [Fid: [Float]] = [:]
      _ = table.scan(from: 0, limit: .max) { fid, _ in rows[fid] = table.row(fid) }
      // A row of 256 floats as text would take most of the time of a test.
      for (fid, row) in rows.sorted(by: { $0.key < $1.key }) {
        lines.append("\(number) \(fid) \(row.withUnsafeBytes { Hashing.xxh3($0) })")
      }
      if withStatistics { lines.append("\(table.statistics)") }
    }
    lines.append("\(state.watermarks.sorted { $0.key < $1.key })")
    lines.append("\(state.origins.sorted { $0.key < $1.key }) \(state.newestMinutes) \(state.tableMinutes)")
    for (partition, tasks) in state.validation.sorted(by: { $0.key < $1.key }) {
      for task in tasks {
        var writer = BinaryWriter(capacity: 1 << 16)
        task.encode(into: &writer)
        lines.append("\(partition) \(writer.bytes.withUnsafeBytes { Hashing.xxh3($0) })")
      }
    }
    return lines
  }
}

import FreshetCluster
import FreshetCore

/// The snapshots of one life of a server: the `SnapshotKeeper` on the server's thread, the `SnapshotFileWriter` on one of its own
/// that takes its time for each action, and restoring at the start.
final class ServerSnapshots {
  struct Opened {
    let machine: ShardServer
    /// nil if the cluster keeps no snapshots.
    let snapshots: ServerSnapshots?
  }

  private unowned let process: ServerProcess
  private let scenario: Scenario
  private let machine: ShardServer
  private var keeper: SnapshotKeeper
  private let writer: SnapshotFileWriter
  private let settings: SnapshotSettings
  private var queue: [SnapshotAction] = []
  private var ticket: UInt64 = 0
  private var isWriting = false
  private var isWorking = false
  private var onStopped: (() -> Void)?
  private var world: World { process.world }

  private init(
    _ process: ServerProcess, _ scenario: Scenario, _ machine: ShardServer, _ settings: SnapshotSettings, life: UInt64,
    _ restored: RestoredShards
  ) {
    self.process = process
    self.scenario = scenario
    self.machine = machine
    self.settings = settings
    keeper = SnapshotKeeper(settings: settings, life: life, histories: restored.histories)
    writer = SnapshotFileWriter(store: process.disk, compressor: NoCompressor())
  }

  // MARK: - Restoring

  /// - Throws: `SnapshotError` if the server must not start.
  static func open(
    _ configuration: ShardServer.Configuration, scenario: Scenario, process: ServerProcess
  ) throws(SnapshotError) -> Opened {
    guard let interval = scenario.snapshotIntervalMs else {
      return Opened(machine: ShardServer(configuration: configuration), snapshots: nil)
    }
    let world = process.world
    process.disk.beginRestore()
    let restored: RestoredShards
    do throws(SnapshotError) {
      restored = try SnapshotRestorer(store: process.disk, compressor: NoCompressor(), configuration: configuration)
        .restore()
    } catch {
      world.met(.restoreRefused)
      check(process, refused: error)
      throw error
    }
    for report in restored.reports { check(process, report) }
    let machine = ShardServer(configuration: configuration, restored: restored)
    var settings = SnapshotSettings(
      intervalMs: interval, baseEvery: scenario.baseEvery, keep: scenario.keepSnapshots, seed: world.drawSeed())
    settings.sideBytes = world.chance(300) ? world.draw(0...400) : 1 << 20
    settings.partsInFlight = world.draw(1...4)
    settings.partBytes = world.draw(50...2_000)
    settings.sliceBytes = world.draw(20...400)
    settings.retryBaseMs = 50
    settings.retryCapMs = 500
    return Opened(
      machine: machine,
      snapshots: ServerSnapshots(process, scenario, machine, settings, life: configuration.generation, restored))
  }

  /// What is not damaged must be used, and the newest of it.
  private static func check(_ process: ServerProcess, _ report: ShardRestoreReport) {
    let world = process.world
    world.coverage[.snapshotSkipped] += report.skipped.count
    if report.manifest != nil { world.met(.snapshotRestored) }
    for skipped in report.skipped { process.note("skips {0}", Int64(report.shard.value), text: "\(skipped)") }
    guard process.disk.damaged.isEmpty, process.disk.misread.isEmpty else { return }
    if let skipped = report.skipped.first {
      world.fail("a restore skips only what is damaged", "\(process.name): \(skipped.name): \(skipped.reason)")
    }
    let newest = process.newestManifest(of: Int(report.shard.value))
    if newest != report.manifest?.id.manifestName {
      world.fail(
        "a restore takes the newest snapshot",
        "\(process.name) shard \(report.shard): \(report.manifest?.id.manifestName ?? "none"), not \(newest ?? "none")")
    }
  }

  private static func check(_ process: ServerProcess, refused error: SnapshotError) {
    let isDamaged = !process.disk.damaged.isEmpty || !process.disk.misread.isEmpty
    if error.kind == .mismatch || !isDamaged {
      process.world.fail("a restore refuses only what is damaged", "\(process.name): \(error)")
    }
  }

  // MARK: - Taking

  func start() {
    process.every(milliseconds: 50) { [self] in handle(.tick) }
  }

  /// SIGTERM.
  func stop(_ done: @escaping () -> Void) {
    onStopped = done
    handle(.stopping(withinMs: 1_500))
  }

  func ended() {
    let statistics = keeper.statistics
    world.coverage[.snapshotAbandoned] += Int(statistics.abandoned)
    if isWriting { world.met(.crashWhileWriting) }
    writer.abandon()
  }

  private func handle(_ event: SnapshotEvent) {
    perform(keeper.handle(event, shards: machine, now: world.now, time: world.unixTime))
    work()
  }

  /// One slice; called between requests too.
  func advance() {
    guard keeper.hasWork else { return }
    perform(keeper.advance(shards: machine, now: world.now))
    work()
  }

  private func work() {
    guard keeper.hasWork, !isWorking else { return }
    isWorking = true
    process.after(microseconds: world.draw(20...1_500)) { [self] in
      isWorking = false
      advance()
      work()
    }
  }

  private func perform(_ actions: [SnapshotAction]) {
    for action in actions {
      switch action {
      case .begin(let plan):
        let id = plan.header.id
        process.note("begins snapshot {1} of shard {0}", Int64(id.shard.value), Int64(id.number))
        process.snapshotBegins(shard: Int(id.shard.value), manifest: plan.manifestName)
        ticket = plan.ticket
        queue.append(action)
      case .part, .abandon, .remove: queue.append(action)
      case .reply: break
      case .notice(let text): process.note("says", text: text)
      case .stopped:
        // What the writer has in hand does not matter any more.
        let done = onStopped
        onStopped = nil
        done?()
        return
      }
    }
    // Those of an abandoned snapshot are passed over when their turn comes.
    let parts = queue.count { if case .part(_, ticket: ticket) = $0 { true } else { false } }
    if parts > settings.partsInFlight {
      world.fail("queues stay within their bounds", "\(process.name): \(parts) parts wait for the writer")
    }
    write()
  }

  // MARK: - The writer's thread

  private func write() {
    guard !isWriting, !queue.isEmpty else { return }
    isWriting = true
    if scenario.disk.writeMicroseconds.upperBound > 1_000 { world.met(.slowDisk) }
    process.after(microseconds: world.draw(scenario.disk.writeMicroseconds)) { [self] in
      let event = writer.perform(queue.removeFirst())
      isWriting = false
      guard !process.disk.isDead else { return process.diskDied() }
      if let event { tell(event) }
      write()
    }
  }

  private func tell(_ event: SnapshotEvent) {
    if case .stored(_, let result) = event {
      world.met(result.file.kind == .delta ? .deltaStored : .snapshotStored)
      process.note("has stored {0}", Int64(result.id.number), text: result.file.name)
    }
    process.after(microseconds: world.draw(1...100)) { [self] in handle(event) }
  }
}

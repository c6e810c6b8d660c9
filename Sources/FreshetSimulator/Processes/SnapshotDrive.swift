import FreshetCluster
import FreshetCore

/// A `SnapshotKeeper` on the thread of its process, and the `SnapshotFileWriter` on one of its own that takes its time for each
/// action: what `SnapshotDesk` of the roles does.
final class SnapshotDrive {
  private unowned let process: SimulatedProcess
  private let source: any SnapshotSource
  private let disk: SimulatedDisk
  private let settings: SnapshotSettings
  private var keeper: SnapshotKeeper
  private let writer: SnapshotFileWriter
  private var queue: [SnapshotAction] = []
  private var ticket: UInt64 = 0
  private var isWriting = false
  private var isWorking = false
  private var onStopped: (() -> Void)?
  /// A snapshot begins; its file and manifest are durable; the machine has crashed in the middle of a write.
  var onBegin: (SnapshotPlan) -> Void = { _ in }
  var onStored: (SnapshotResult) -> Void = { _ in }
  var onDiskDied: () -> Void = {}
  private var world: World { process.world }

  /// Draws what the configuration does not say.
  static func settings(intervalMs: Int, baseEvery: Int, keep: Int, _ world: World) -> SnapshotSettings {
    var settings = SnapshotSettings(intervalMs: intervalMs, baseEvery: baseEvery, keep: keep, seed: world.drawSeed())
    settings.sideBytes = world.chance(300) ? world.draw(0...400) : 1 << 20
    settings.partsInFlight = world.draw(1...4)
    settings.partBytes = world.draw(50...2_000)
    settings.sliceBytes = world.draw(20...400)
    settings.retryBaseMs = 50
    settings.retryCapMs = 500
    return settings
  }

  init(
    _ process: SimulatedProcess, _ source: any SnapshotSource, disk: SimulatedDisk, settings: SnapshotSettings,
    life: UInt64, histories: [ShardID: SnapshotHistory]
  ) {
    self.process = process
    self.source = source
    self.disk = disk
    self.settings = settings
    keeper = SnapshotKeeper(settings: settings, life: life, histories: histories)
    writer = SnapshotFileWriter(store: disk, compressor: NoCompressor())
  }

  func start() {
    process.every(milliseconds: 50) { [unowned self] in handle(.tick) }
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
    perform(keeper.handle(event, shards: source, now: world.now, time: world.unixTime))
    work()
  }

  /// One slice; called between requests too.
  func advance() {
    guard keeper.hasWork else { return }
    perform(keeper.advance(shards: source, now: world.now))
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
        onBegin(plan)
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
    if disk.faults.writeMicroseconds.upperBound > 1_000 { world.met(.slowDisk) }
    process.after(microseconds: world.draw(disk.faults.writeMicroseconds)) { [self] in
      let event = writer.perform(queue.removeFirst())
      isWriting = false
      guard !disk.isDead else { return onDiskDied() }
      if let event { tell(event) }
      write()
    }
  }

  private func tell(_ event: SnapshotEvent) {
    if case .stored(_, let result) = event {
      process.note("has stored {0}", Int64(result.id.number), text: result.file.name)
      onStored(result)
    }
    process.after(microseconds: world.draw(1...100)) { [self] in handle(event) }
  }
}

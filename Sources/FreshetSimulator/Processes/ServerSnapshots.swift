import FreshetCluster
import FreshetCore

/// The snapshots of one life of a server: taking them, and restoring at the start.
final class ServerSnapshots {
  struct Opened {
    let machine: ShardServer
    /// nil if the cluster keeps no snapshots.
    let snapshots: ServerSnapshots?
  }

  private let drive: SnapshotDrive

  private init(
    _ process: ServerProcess, _ machine: ShardServer, _ settings: SnapshotSettings, life: UInt64,
    _ restored: RestoredShards
  ) {
    drive = SnapshotDrive(
      process, machine, disk: process.disk, settings: settings, life: life, histories: restored.histories)
    drive.onBegin = { [unowned process] plan in
      process.snapshotBegins(shard: Int(plan.header.id.shard.value), manifest: plan.manifestName)
    }
    drive.onStored = { [unowned process] result in
      process.world.met(result.file.kind == .delta ? .deltaStored : .snapshotStored)
    }
    drive.onDiskDied = { [unowned process] in process.diskDied() }
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
    let settings = SnapshotDrive.settings(
      intervalMs: interval, baseEvery: scenario.baseEvery, keep: scenario.keepSnapshots, world)
    return Opened(
      machine: machine,
      snapshots: ServerSnapshots(process, machine, settings, life: configuration.generation, restored))
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

  func start() { drive.start() }
  /// SIGTERM.
  func stop(_ done: @escaping () -> Void) { drive.stop(done) }
  func ended() { drive.ended() }
  /// One slice; called between requests too.
  func advance() { drive.advance() }
}

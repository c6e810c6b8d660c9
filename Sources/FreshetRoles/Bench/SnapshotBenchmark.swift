import Foundation
import FreshetCluster
import FreshetCore
import FreshetStore
import FreshetTable

/// `freshet bench snapshot`: one parameter server without its sockets, under pushes that come at a fixed rate, whether its
/// shards are being written to a store or not; then the server is made anew from the store.
public struct SnapshotBenchmark {
  public struct Settings: Sendable {
    public var rows: Int
    /// Weights of a row; Adagrad keeps as much state again.
    public var dimension: Int
    public var shards: Int
    /// Rows of one push.
    public var pushRows: Int
    public var pushesPerSecond: Int
    /// How long pushes are measured without snapshots, and at least how long with them.
    public var seconds: Double
    /// A directory of its own, which is emptied at the end.
    public var directory: String

    public init(
      rows: Int, dimension: Int, shards: Int, pushRows: Int, pushesPerSecond: Int, seconds: Double, directory: String
    ) {
      self.rows = rows
      self.dimension = dimension
      self.shards = shards
      self.pushRows = pushRows
      self.pushesPerSecond = pushesPerSecond
      self.seconds = seconds
      self.directory = directory
    }
  }

  /// Fields as `--json` prints them.
  public struct Report: Codable, Sendable {
    public var rows: Int
    public var dim: Int
    public var shards: Int
    public var push_rows: Int
    public var pushes_per_second: Int
    public var seconds: Double
    /// Before compression, of a base of all shards, without other load.
    public var write_mb_s: Double
    /// `zstd -1` of the same bytes as they lie in the rows, one thread, nothing written.
    public var zstd_mb_s: Double
    public var write_to_zstd: Double
    public var raw_bytes: Int
    public var stored_bytes: Int
    /// From the time at which a push was due to the end of its application.
    public var push_p50_ms_off: Double
    public var push_p50_ms_on: Double
    public var push_p999_ms_off: Double
    public var push_p999_ms_on: Double
    public var push_max_ms_off: Double
    public var push_max_ms_on: Double
    /// While pushes were measured.
    public var bases_on: Int
    public var write_mb_s_on: Double
    /// Most memory of rows that changed before they were copied.
    public var side_bytes_peak: Int
    /// Everything that pushes changed since the bases, as deltas.
    public var delta_rows: Int
    public var delta_s: Double
    /// From opening the store to the reply to the first pull.
    public var restore_s: Double
    public var restored_rows: Int
  }

  private let settings: Settings

  public init(_ settings: Settings) { self.settings = settings }

  public func run(progress: (String) -> Void) throws -> Report {
    let quietDirectory = settings.directory + "/quiet"
    let loadedDirectory = settings.directory + "/loaded"
    let deltaDirectory = settings.directory + "/deltas"
    defer { try? FileManager.default.removeItem(atPath: settings.directory) }
    progress("filling \(settings.rows) rows")
    var server: PushedServer? = PushedServer(settings)
    server!.fill()

    progress("one base without other load")
    let quiet = try SnapshotLoop(server!, directory: quietDirectory, baseEvery: 0)
    let quietSeconds = quiet.takeSnapshot()
    let base = try quiet.end()
    let zstd = compressSample(of: server!)

    progress("pushes without snapshots")
    let off = server!.push(for: settings.seconds, beside: nil)
    progress("pushes beside bases")
    let loop = try SnapshotLoop(server!, directory: loadedDirectory, baseEvery: 0)
    let began = Instant.now()
    let on = server!.push(for: settings.seconds, beside: loop)
    _ = loop.takeSnapshot()
    let onSeconds = Instant.now().milliseconds(since: began) / 1e3
    let loaded = try loop.end()

    progress("a base, pushes, and what they changed as deltas")
    let deltas = try SnapshotLoop(server!, directory: deltaDirectory, baseEvery: 1000)
    _ = deltas.takeSnapshot()
    let beforeDeltas = deltas.keeper.statistics
    _ = server!.push(for: min(1, settings.seconds), beside: nil)
    let deltaSeconds = deltas.takeSnapshot()
    let afterDeltas = try deltas.end()

    progress("restoring")
    let configuration = server!.configuration
    let probe = server!.probe
    server = nil
    let restoreBegan = Instant.now()
    let restored = try SnapshotRestorer(
      store: DirectoryStore(reading: deltaDirectory), compressor: ZstdCompressor.forSnapshots,
      configuration: configuration
    ).restore()
    let again = ShardServer(configuration: configuration, restored: restored)
    _ = try probe.withUnsafeBytes { try again.pull($0) }
    let restoreSeconds = Instant.now().milliseconds(since: restoreBegan) / 1e3

    let writeSpeed = Double(base.rawBytes) / quietSeconds / 1e6
    return Report(
      rows: settings.rows, dim: settings.dimension, shards: settings.shards, push_rows: settings.pushRows,
      pushes_per_second: settings.pushesPerSecond, seconds: settings.seconds, write_mb_s: writeSpeed, zstd_mb_s: zstd,
      write_to_zstd: writeSpeed / zstd, raw_bytes: Int(base.rawBytes), stored_bytes: Int(base.bytesWritten),
      push_p50_ms_off: off.percentile(0.5), push_p50_ms_on: on.percentile(0.5), push_p999_ms_off: off.percentile(0.999),
      push_p999_ms_on: on.percentile(0.999), push_max_ms_off: off.percentile(1), push_max_ms_on: on.percentile(1),
      bases_on: Int(loaded.bases), write_mb_s_on: Double(loaded.rawBytes) / onSeconds / 1e6,
      side_bytes_peak: loop.peakSideBytes, delta_rows: Int(afterDeltas.rows - beforeDeltas.rows), delta_s: deltaSeconds,
      restore_s: restoreSeconds, restored_rows: again.tableTotals().reduce(0) { $0 + $1.rows })
  }

  /// Cuts a shard once more, and compresses its rows as they are.
  /// - Returns: Megabytes a second.
  private func compressSample(of server: PushedServer) -> Double {
    let shards = server.shards
    var keeper = SnapshotKeeper(
      settings: SnapshotLoop.settings(baseEvery: 0), life: 2, histories: SnapshotLoop.noHistories(server))
    var blocks: [[UInt8]] = []
    var actions = keeper.handle(.requested(id: 1), shards: shards, now: .now(), time: .now())
    while blocks.count < 64, !actions.isEmpty || keeper.hasWork {
      for case .part(.rows(_, let rows), let ticket) in actions {
        blocks.append(rows.bytes + rows.fids.withUnsafeBytes { Array($0) } + rows.minutes.withUnsafeBytes { Array($0) })
        _ = keeper.handle(.accepted(ticket: ticket, parts: 1), shards: shards, now: .now(), time: .now())
      }
      actions = keeper.advance(shards: shards, now: .now())
    }
    _ = keeper.handle(.stopping(withinMs: 0), shards: shards, now: .now(), time: .now())
    let compressor = ZstdCompressor(level: 1)
    let began = Instant.now()
    for block in blocks { _ = block.withUnsafeBytes { compressor.compress($0) } }
    return Double(blocks.reduce(0) { $0 + $1.count }) / Instant.now().milliseconds(since: began) / 1e3
  }
}

import FreshetCore

/// Carries out what a `SnapshotKeeper` wants done, in a store: blocks, data files, manifests. Belongs to one thread, on which
/// it may block.
public final class SnapshotFileWriter {
  private let store: any FileStore
  private let compressor: any BlockCompressor

  /// The file being written; nil before the first one and after a failure.
  private struct Current {
    let plan: SnapshotPlan
    let file: any FileStoreWriter
    var encoder: SnapshotBlockEncoder
  }

  private var current: Current?

  public init(store: any FileStore, compressor: any BlockCompressor) {
    self.store = store
    self.compressor = compressor
  }

  /// Does what an action says, and returns what the keeper is to be told. Actions that are not a writer's do nothing.
  public func perform(_ action: SnapshotAction) -> SnapshotEvent? {
    switch action {
    case .begin(let plan): return attempt(plan.ticket) { () throws(FileStoreError) in try begin(plan) }
    case .part(let part, let ticket):
      // Parts that were on their way when their snapshot failed.
      guard current?.plan.ticket == ticket else { return nil }
      return attempt(ticket) { () throws(FileStoreError) in try write(part) }
    case .abandon(let ticket):
      if current?.plan.ticket == ticket { abandon() }
      return nil
    case .remove(let names): return remove(names)
    case .reply, .notice, .stopped: return nil
    }
  }

  /// Takes back the file that is being written, for the end of the process.
  public func abandon() {
    current?.file.abandon()
    current = nil
  }

  private func attempt(_ ticket: UInt64, _ body: () throws(FileStoreError) -> SnapshotEvent?) -> SnapshotEvent? {
    do throws(FileStoreError) {
      return try body()
    } catch {
      abandon()
      return .failed(ticket: ticket, reason: error.description)
    }
  }

  private func begin(_ plan: SnapshotPlan) throws(FileStoreError) -> SnapshotEvent? {
    abandon()
    let file = try store.create(plan.fileName)
    current = Current(plan: plan, file: file, encoder: SnapshotBlockEncoder(compressor: compressor))
    try write(SnapshotBlockEncoder.prelude)
    try write(current!.encoder.encode(plan.header))
    return nil
  }

  private func write(_ part: SnapshotPart) throws(FileStoreError) -> SnapshotEvent? {
    let plan = current!.plan
    if case .end = part { return try finish(plan) }
    try write(current!.encoder.encode(part))
    return .accepted(ticket: plan.ticket, parts: 1)
  }

  private func finish(_ plan: SnapshotPlan) throws(FileStoreError) -> SnapshotEvent? {
    let footer = current!.encoder.encodeFooter()
    try write(footer.bytes)
    try current!.file.finish()
    let file = SnapshotFile(
      name: plan.fileName, kind: plan.header.kind, sizeBytes: footer.totals.fileBytes, checksum: footer.totals.checksum)
    let manifest = SnapshotManifest(
      id: plan.header.id, shardCount: plan.header.shardCount, takenAt: plan.header.takenAt, chain: plan.chain + [file])
    let writer = try store.create(plan.manifestName)
    do throws(FileStoreError) {
      try writer.write(manifest.encode())
      try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
    current = nil
    return .stored(
      ticket: plan.ticket,
      SnapshotResult(
        id: plan.header.id, file: file, rows: footer.totals.rows, tombstones: footer.totals.tombstones,
        rawBytes: footer.totals.rawBytes))
  }

  private func write(_ bytes: [UInt8]) throws(FileStoreError) { try current!.file.write(bytes) }

  private func remove(_ names: [String]) -> SnapshotEvent? {
    var left: [String] = []
    var reason = ""
    for name in names {
      do throws(FileStoreError) {
        try store.remove(name)
      } catch {
        left.append(name)
        reason = error.description
      }
    }
    return left.isEmpty ? nil : .removalFailed(left, reason: reason)
  }
}

extension FileStoreWriter {
  func write(_ bytes: [UInt8]) throws(FileStoreError) {
    let result = bytes.withUnsafeBytes { raw in Result { () throws(FileStoreError) in try write(raw) } }
    try result.get()
  }
}

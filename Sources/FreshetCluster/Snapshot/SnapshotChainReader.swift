import FreshetCore
import FreshetModel
import FreshetTable

/// Builds one shard from the chain of a manifest: the base, then each delta.
struct SnapshotChainReader {
  let store: any FileStore
  let compressor: any BlockCompressor
  let shardCount: Int
  /// Makes what is to be filled.
  let emptyShard: (ShardID) -> ShardState
  /// Where to put the files that do not fit: the key of the configuration.
  let storeKey: String
  private(set) var bytesRead = 0
  /// Of the last file of the chain, once it has been read.
  private(set) var header: SnapshotHeader?
  /// What was left out because the configuration has changed.
  private(set) var notes: [String] = []

  init(
    store: any FileStore, compressor: any BlockCompressor, shardCount: Int, storeKey: String,
    emptyShard: @escaping (ShardID) -> ShardState
  ) {
    self.store = store
    self.compressor = compressor
    self.shardCount = shardCount
    self.storeKey = storeKey
    self.emptyShard = emptyShard
  }

  /// - Throws: `mismatch` if the files are of other tables than the configuration's; anything else says that the chain is not
  ///   whole.
  mutating func read(_ manifest: SnapshotManifest) throws(SnapshotError) -> ShardState {
    let state = emptyShard(manifest.id.shard)
    var parent: SnapshotFile?
    for (position, file) in manifest.chain.enumerated() {
      let isLast = position == manifest.chain.count - 1
      try read(file, of: manifest, after: parent, isLast: isLast, into: state)
      parent = file
    }
    return state
  }

  private mutating func read(
    _ file: SnapshotFile, of manifest: SnapshotManifest, after parent: SnapshotFile?, isLast: Bool,
    into state: ShardState
  ) throws(SnapshotError) {
    let stored: any FileStoreReader
    do throws(FileStoreError) {
      stored = try store.open(file.name)
    } catch {
      throw SnapshotError(error)
    }
    guard stored.sizeBytes == file.sizeBytes else {
      throw SnapshotError(.malformed, "\(file.name) has \(stored.sizeBytes) bytes, \(file.sizeBytes) were written")
    }
    var reader = try SnapshotFileReader(name: file.name, reader: stored, compressor: compressor)
    let header = reader.header
    guard header.id.fileName(header.kind) == file.name, header.parent == parent.flatMap({ SnapshotHeader.Parent($0) })
    else { throw SnapshotError(.malformed, "\(file.name) says that it is \(header.id) after \(header.parent as Any)") }
    try checkFit(header, file.name, state)
    var validation: [PartitionID: [ProgressiveValidation]] = [:]
    parts: while true {
      switch try reader.next() {
      case .tombstones(let table, let fids): state.tables[table].restore(removed: fids)
      case .rows(let table, let rows): state.tables[table].restore(rows: rows)
      case .sketch(let table, let offset, let bytes):
        // Every file has the whole of it, as it was at its cut.
        if isLast, hasSketch(header.tables[table], state.tables[table]) {
          state.tables[table].restore(sketch: bytes, at: offset)
        }
      case .validation(let partition, let task, let window):
        guard task == validation[partition, default: []].count else {
          throw SnapshotError(.malformed, "\(file.name): task \(task) of partition \(partition) is out of place")
        }
        validation[partition, default: []].append(window)
      case .end: break parts
      }
    }
    bytesRead += reader.sizeBytes
    guard reader.checksum == file.checksum else {
      throw SnapshotError(.malformed, "\(file.name) is whole, but not the file that \(manifest.id.manifestName) lists")
    }
    if isLast { try finish(header, validation, state, file.name) }
  }

  private mutating func finish(
    _ header: SnapshotHeader, _ validation: [PartitionID: [ProgressiveValidation]], _ state: ShardState, _ name: String
  ) throws(SnapshotError) {
    for (snapshot, table) in zip(header.tables, state.tables) {
      var head = snapshot.head
      if !hasSketch(snapshot, table) {
        if head.sketchBytes > 0 || table.sketchBytes > 0 {
          notes.append(
            "table \(table.layout.name): admission starts counting anew, its sketch had \(head.sketchBytes) bytes and has "
              + "\(table.sketchBytes) now")
        }
        head.sketchBytes = 0
        head.sketchAdditions = 0
        head.sketchNextLine = 0
      }
      guard table.accepts(head) else {
        throw SnapshotError(.malformed, "\(name): table \(snapshot.shape.name) has a sketch that no table has")
      }
      table.restore(head)
    }
    state.restore(header, validation: validation)
    self.header = header
  }

  /// Whether the sketch in the file is one of the table's.
  private func hasSketch(_ snapshot: TableSnapshot, _ table: EmbeddingTable) -> Bool {
    snapshot.head.sketchBytes > 0 && snapshot.head.sketchBytes == table.sketchBytes
  }

  /// Names the first difference between the file's tables and the configuration's.
  private func checkFit(_ header: SnapshotHeader, _ name: String, _ state: ShardState) throws(SnapshotError) {
    func mismatch(_ what: String) -> SnapshotError {
      SnapshotError(
        .mismatch,
        "\(name) does not fit the configuration: \(what). Go back to the configuration that it was written with, or give "
          + "\(storeKey) another place to start from nothing")
    }
    guard header.shardCount == shardCount else {
      throw mismatch("it is of \(header.shardCount) shards, cluster.shards is \(shardCount)")
    }
    let saved = header.tables.map(\.shape)
    let wanted = state.tables.map { TableShape($0.layout) }
    guard saved.map(\.name) == wanted.map(\.name) else {
      throw mismatch(
        "its tables are \(saved.map(\.name).joined(separator: ", ")), the model's \(wanted.map(\.name).joined(separator: ", "))"
      )
    }
    for (saved, wanted) in zip(saved, wanted) where saved != wanted {
      throw mismatch("table \(saved.name) has \(saved.differences(from: wanted))")
    }
  }
}

extension TableShape {
  /// In words, what this one has and the other one has instead.
  func differences(from other: TableShape) -> String {
    var parts: [String] = []
    if width != other.width { parts.append("\(width) weights in a row, the model's \(other.width)") }
    if weightFormat != other.weightFormat {
      parts.append("weights in \(weightFormat.rawValue), the model's in \(other.weightFormat.rawValue)")
    }
    if optimizer != other.optimizer { parts.append("the optimizer \(optimizer), the model's \(other.optimizer)") }
    // The same by name, width, format and rule: the program itself has changed.
    if parts.isEmpty { parts.append("rows of \(rowBytes) bytes, this program \(other.rowBytes)") }
    return parts.joined(separator: "; ")
  }
}

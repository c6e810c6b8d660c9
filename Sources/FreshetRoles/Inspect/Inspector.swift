import FreshetCluster
import FreshetCore
import FreshetTable

/// Looks at a store of snapshots, or at one of its files, without changing anything.
public struct Inspector {
  private let store: any FileStore
  private let compressor: any BlockCompressor
  private let options: InspectOptions
  /// By file, what is wrong with it, or nil: files of several snapshots are read once.
  private var verdicts: [String: String?] = [:]
  private var report = InspectReport()

  public init(store: any FileStore, compressor: any BlockCompressor, options: InspectOptions) {
    self.store = store
    self.compressor = compressor
    self.options = options
  }

  /// - Parameter file: In the store; nil for all of it.
  public mutating func inspect(file: String?) throws(SnapshotError) -> InspectReport {
    guard let file else {
      try inspectStore()
      return report
    }
    if file.hasSuffix(".manifest") {
      let manifest = try SnapshotManifest(reading: file, from: store)
      report.snapshot = snapshot(manifest)
    } else {
      try inspectData(file)
    }
    return report
  }

  // MARK: - Stores and manifests

  private mutating func inspectStore() throws(SnapshotError) {
    let catalog = try SnapshotCatalog(store: store)
    var shards: [InspectReport.Shard] = []
    for shard in catalog.shardsWithFiles {
      let entries = catalog.entries(of: shard)
      for skipped in entries.unreadable { report.problems.append("\(skipped.name): \(skipped.reason)") }
      let sizes = Dictionary(uniqueKeysWithValues: entries.files.map { ($0.name, $0.sizeBytes) })
      for manifest in entries.manifests {
        for file in manifest.chain where sizes[file.name] != file.sizeBytes {
          let found = sizes[file.name].map { "has \($0) bytes, not \(file.sizeBytes)" } ?? "is missing"
          report.problems.append("\(manifest.id.manifestName): \(file.name) \(found)")
        }
      }
      let needed = Set(entries.manifests.flatMap { [$0.id.manifestName] + $0.chain.map(\.name) })
      var snapshots: [InspectReport.Snapshot] = []
      for manifest in entries.manifests { snapshots.append(snapshot(manifest)) }
      shards.append(
        InspectReport.Shard(
          shard: Int(shard.value), snapshots: snapshots, files: entries.files.count,
          bytes: entries.files.reduce(0) { $0 + $1.sizeBytes },
          leftovers: entries.files.map(\.name).filter { !needed.contains($0) }))
    }
    guard !shards.isEmpty else {
      throw SnapshotError(.store, "\(store.description) has no snapshots: it has no files shard-…/….manifest")
    }
    report.shards = shards
  }

  private mutating func snapshot(_ manifest: SnapshotManifest) -> InspectReport.Snapshot {
    var isVerified: Bool?
    if options.verify {
      let problems = manifest.chain.compactMap { verdict($0) }
      for problem in problems where !report.problems.contains(problem) { report.problems.append(problem) }
      isVerified = problems.isEmpty
    }
    return InspectReport.Snapshot(
      manifest: manifest.id.manifestName, shard: Int(manifest.id.shard.value), shardCount: manifest.shardCount,
      number: manifest.id.number, life: hexadecimal(manifest.id.life), takenAtMs: manifest.takenAt.milliseconds,
      chain: manifest.chain.map {
        InspectReport.ChainFile(
          name: $0.name, kind: "\($0.kind)", bytes: $0.sizeBytes, checksum: hexadecimal($0.checksum))
      }, isVerified: isVerified)
  }

  /// What is wrong with a file of a chain.
  private mutating func verdict(_ file: SnapshotFile) -> String? {
    if let known = verdicts[file.name] { return known }
    var verdict: String?
    do throws(SnapshotError) {
      var reader = try open(file.name).reader
      reading: while true { if case .end = try reader.next() { break reading } }
      if reader.checksum != file.checksum { verdict = "\(file.name) is whole, but not the file that was written" }
    } catch {
      verdict = error.message
    }
    verdicts[file.name] = .some(verdict)
    return verdict
  }

  // MARK: - Data files

  private func open(_ name: String) throws(SnapshotError) -> (reader: SnapshotFileReader, sizeBytes: Int) {
    let file: any FileStoreReader
    do throws(FileStoreError) {
      file = try store.open(name)
    } catch {
      throw SnapshotError(error)
    }
    return (try SnapshotFileReader(name: name, reader: file, compressor: compressor), file.sizeBytes)
  }

  private mutating func inspectData(_ name: String) throws(SnapshotError) {
    let opened = try open(name)
    var reader = opened.reader
    let header = reader.header
    if let table = options.table, !header.tables.contains(where: { $0.shape.name == table }) {
      let names = header.tables.map(\.shape.name).joined(separator: ", ")
      throw SnapshotError(.mismatch, "\(name) has no table \(table); its tables are \(names)")
    }
    report.file = InspectReport.File(header, name: name, bytes: opened.sizeBytes)
    let wanted = options.fid == nil ? options.rows : max(1, options.rows)
    var rows: [InspectReport.Row] = []
    while options.verify || rows.count < wanted {
      let part = try reader.next()
      if case .end = part {
        report.file?.verified = InspectReport.Verified(
          blocks: reader.blockCount, rows: reader.rows, tombstones: reader.tombstones, rawBytes: reader.rawBytes,
          checksum: hexadecimal(reader.checksum))
        break
      }
      guard case .rows(let number, let block) = part, rows.count < wanted else { continue }
      let shape = header.tables[number].shape
      guard options.table ?? shape.name == shape.name else { continue }
      for index in block.fids.indices where rows.count < wanted && options.fid ?? block.fids[index] == block.fids[index]
      {
        let bytes = block.bytes[index * shape.rowBytes..<(index + 1) * shape.rowBytes]
        let (weights, state) = shape.floats(Array(bytes))
        rows.append(
          InspectReport.Row(
            table: shape.name, fid: block.fids[index], minutes: block.minutes[index], weights: weights, state: state))
      }
    }
    if wanted > 0 { report.rows = rows }
  }
}

private func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}

extension InspectReport.File {
  fileprivate init(_ header: SnapshotHeader, name: String, bytes: Int) {
    self.init(
      name: name, bytes: bytes, kind: "\(header.kind)", shard: Int(header.id.shard.value),
      shardCount: header.shardCount, number: header.id.number, life: hexadecimal(header.id.life),
      parent: header.parent.map {
        "number \($0.number), life \(hexadecimal($0.life)), checksum \(hexadecimal($0.checksum))"
      },
      takenAtMs: header.takenAt.milliseconds, newestMinutes: header.newestMinutes,
      watermarks: header.progress.map {
        InspectReport.Watermark(
          partition: $0.partition.value, offset: $0.watermark.value, origin: $0.origin.value)
      },
      tables: header.tables.map { table in
        InspectReport.Table(
          name: table.shape.name, width: table.shape.width, weights: table.shape.weightFormat.rawValue,
          optimizer: "\(table.shape.optimizer)", rowBytes: table.shape.rowBytes, rows: table.head.rowCount,
          sketchBytes: table.head.sketchBytes, newestMinutes: table.head.newestMinutes,
          updates: table.head.statistics.updates, inserts: table.head.statistics.inserts,
          removals: table.head.statistics.removals)
      })
  }
}

extension TableShape {
  /// The weights and the optimizer state of a row, whose bytes are as they lie in a table.
  fileprivate func floats(_ row: [UInt8]) -> (weights: [Float], state: [Float]) {
    let weightBytes = min(row.count, (width * weightFormat.byteCount + 3) & ~3)
    return row.withUnsafeBytes { bytes in
      let weights = (0..<min(width, weightBytes / weightFormat.byteCount)).map { column -> Float in
        switch weightFormat {
        case .float32: bytes.loadUnaligned(fromByteOffset: 4 * column, as: Float.self)
        case .float16: Float(float16Bits: bytes.loadUnaligned(fromByteOffset: 2 * column, as: UInt16.self))
        case .bfloat16:
          Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: 2 * column, as: UInt16.self)) << 16)
        }
      }
      let state = stride(from: weightBytes, to: bytes.count - 3, by: 4).map {
        bytes.loadUnaligned(fromByteOffset: $0, as: Float.self)
      }
      return (weights, state)
    }
  }
}

extension Float {
  /// IEEE binary16.
  init(float16Bits bits: UInt16) {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 31)
    let fraction = Float(bits & 0x3ff)
    switch exponent {
    case 0: self = sign * fraction * 0x1p-24
    case 31: self = fraction == 0 ? sign * .infinity : .nan
    default: self = sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction * 0x1p-10)
    }
  }
}

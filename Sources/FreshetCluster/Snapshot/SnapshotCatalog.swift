import FreshetCore

/// What a store of snapshots has, by shard.
public struct SnapshotCatalog: Sendable {
  /// The files of one shard.
  public struct Entries: Sendable {
    /// Whole manifests, oldest first. Whether their files are there and whole is another matter.
    public internal(set) var manifests: [SnapshotManifest] = []
    public internal(set) var unreadable: [SkippedSnapshot] = []
    /// The highest number of any file.
    public internal(set) var lastNumber: UInt64 = 0
    public internal(set) var files: [StoredFile] = []

    /// The files of the shard that these manifests do not need, other manifests first.
    func leftovers(whole: ArraySlice<SnapshotManifest>) -> [String] {
      let needed = Set(whole.flatMap { [$0.id.manifestName] + $0.chain.map(\.name) })
      let names = files.map(\.name).filter { !needed.contains($0) }
      return names.filter { SnapshotFileName($0)?.content == .manifest }
        + names.filter { SnapshotFileName($0)?.content != .manifest }
    }
  }

  private var shards: [ShardID: Entries] = [:]

  /// Lists the store and reads all manifests.
  /// - Throws: `store` if it cannot be listed. A manifest that cannot be read is one of the `unreadable`.
  public init(store: any FileStore) throws(SnapshotError) {
    let files: [StoredFile]
    do throws(FileStoreError) {
      files = try store.list(prefix: "shard-")
    } catch {
      throw SnapshotError(error)
    }
    for file in files {
      guard let name = SnapshotFileName(file.name) else { continue }
      var entries = shards[name.id.shard] ?? Entries()
      entries.files.append(file)
      entries.lastNumber = max(entries.lastNumber, name.id.number)
      if name.content == .manifest {
        do throws(SnapshotError) {
          entries.manifests.append(try SnapshotManifest(reading: file.name, from: store))
        } catch {
          entries.unreadable.append(SkippedSnapshot(name: file.name, reason: error.message))
        }
      }
      shards[name.id.shard] = entries
    }
    for shard in shards.keys { shards[shard]!.manifests.sort { $0.id < $1.id } }
  }

  /// Shards with files, ascending.
  public var shardsWithFiles: [ShardID] { shards.keys.sorted() }

  public func entries(of shard: ShardID) -> Entries { shards[shard] ?? Entries() }

  /// - Throws: `mismatch` if the snapshots of any shard, also one of another server, are of a cluster with another number.
  func checkShardCount(_ count: Int) throws(SnapshotError) {
    for shard in shardsWithFiles {
      guard let newest = shards[shard]!.manifests.last, newest.shardCount != count else { continue }
      throw SnapshotError(
        .mismatch,
        "\(newest.id.manifestName) is of a cluster with \(newest.shardCount) shards, cluster.shards is \(count): set it to "
          + "\(newest.shardCount), or give snapshot.store another place")
    }
  }
}

extension SnapshotManifest {
  /// - Throws: `store` or `malformed`.
  public init(reading name: String, from store: any FileStore) throws(SnapshotError) {
    let bytes: [UInt8]
    do throws(FileStoreError) {
      bytes = try store.readAll(name, limit: SnapshotLimits.manifestBytes)
    } catch {
      throw SnapshotError(error)
    }
    try self.init(decoding: bytes, name: name)
  }
}

extension FileStore {
  /// A whole file, which must not be larger than `limit` bytes.
  func readAll(_ name: String, limit: Int) throws(FileStoreError) -> [UInt8] {
    let reader = try open(name)
    guard reader.sizeBytes <= limit else {
      throw FileStoreError(.failed, "\(name) has \(reader.sizeBytes) bytes, at most \(limit) are expected")
    }
    var bytes = [UInt8](repeating: 0, count: reader.sizeBytes)
    var filled = 0
    while filled < bytes.count {
      let start = filled
      let result = bytes.withUnsafeMutableBytes { buffer in
        Result { () throws(FileStoreError) in
          try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
        }
      }
      let got = try result.get()
      guard got > 0 else { break }
      filled += got
    }
    bytes.removeLast(bytes.count - filled)
    return bytes
  }
}

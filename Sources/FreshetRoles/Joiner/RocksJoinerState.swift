import FreshetCluster
import FreshetCore
import FreshetRocks

/// The state of one partition's joiner in a RocksDB database. Belongs to one thread.
public final class RocksJoinerState: JoinerStateStore {
  public struct Settings: Sendable, Equatable {
    /// What the partition may use of the disk.
    public var diskBytes: Int
    /// Blocks read from disk that are kept in memory.
    public var blockCacheBytes: Int
    /// Impressions that are written to a file at once; up to three times as many are in memory.
    public var writeBufferBytes: Int

    /// - Parameter memoryBytes: What the joiner keeps of a partition in memory beside this.
    public init(diskBytes: Int, memoryBytes: Int) {
      self.diskBytes = diskBytes
      blockCacheBytes = min(max(memoryBytes / 8, 4 << 20), 64 << 20)
      writeBufferBytes = min(max(memoryBytes / 16, 1 << 20), 16 << 20)
    }
  }

  public let path: String
  private let settings: Settings
  private let impressionExpiry = RocksExpiry(.value(at: JoinerStateFormat.impressionTimePosition))
  private let closingExpiry = RocksExpiry(.key)
  private var database: RocksDatabase?
  /// Once the disk was full, RocksDB works again when it is opened again.
  private var mustReopen = false
  private let batch = RocksBatch()
  private let lookups = RocksLookups()
  private var keys = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 128)

  /// - Throws: `.locked` if the directory is open elsewhere, `.damaged`, `.noSpace`, `.failed`.
  public init(path: String, settings: Settings) throws(JoinerStateError) {
    self.path = path
    self.settings = settings
    try open()
  }

  deinit { keys.deallocate() }

  private func open() throws(JoinerStateError) {
    database = nil
    do throws(RocksError) {
      database = try RocksDatabase(path: path, options: options)
      mustReopen = false
    } catch { throw JoinerStateError(error) }
  }

  /// In the order of `JoinerStateFamily`.
  private var options: RocksOptions {
    let small = 1 << 20
    return RocksOptions(
      blockCacheBytes: settings.blockCacheBytes, writeBufferBytes: 3 * settings.writeBufferBytes + 4 * small,
      maxLogBytes: 4 * settings.writeBufferBytes,
      families: [
        // Hashes and ids hardly become smaller when they are compressed.
        RocksOptions.Family(
          name: "impressions", writeBufferBytes: settings.writeBufferBytes, filterBitsPerKey: 10, blockBytes: 4096,
          compression: .none, expiry: impressionExpiry),
        RocksOptions.Family(
          name: "closings", writeBufferBytes: small, filterBitsPerKey: 0, blockBytes: 16_384, compression: .lz4,
          expiry: closingExpiry),
        RocksOptions.Family(
          name: "actions", writeBufferBytes: small, filterBitsPerKey: 0, blockBytes: 16_384, compression: .lz4,
          expiry: nil),
        RocksOptions.Family(
          name: "about", writeBufferBytes: small, filterBitsPerKey: 0, blockBytes: 4096, compression: .lz4, expiry: nil),
      ])
  }

  private func opened() throws(JoinerStateError) -> RocksDatabase {
    guard let database else { throw JoinerStateError(.failed, "\(path) is not open") }
    return database
  }

  private func family(_ family: JoinerStateFamily, of database: RocksDatabase) -> RocksFamily {
    database.families[family.rawValue]
  }

  public func lookUp(
    _ requestHashes: UnsafeBufferPointer<UInt64>, _ body: (Int, UnsafeRawBufferPointer) -> Void
  ) throws(JoinerStateError) {
    let database = try opened()
    if keys.count < requestHashes.count {
      keys.deallocate()
      keys = .allocate(capacity: requestHashes.count)
    }
    for (position, hash) in requestHashes.enumerated() { keys.initializeElement(at: position, to: hash.bigEndian) }
    let wanted = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(keys)[..<(8 * requestHashes.count)])
    do throws(RocksError) {
      try database.get(family(.impressions, of: database), keys: wanted, keyBytes: 8, scratch: lookups, body)
    } catch { throw JoinerStateError(error) }
  }

  public func scan(
    _ family: JoinerStateFamily, from start: [UInt8],
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
  ) throws(JoinerStateError) {
    let database = try opened()
    do throws(RocksError) {
      try database.scan(self.family(family, of: database), from: start, body)
    } catch { throw JoinerStateError(error) }
  }

  public func apply(_ changes: JoinerStateBatch, expiry: JoinerStateExpiry) throws(JoinerStateError) {
    if mustReopen { try open() }
    let database = try opened()
    let size = database.sizeBytes
    guard size + changes.byteCount <= settings.diskBytes else {
      throw JoinerStateError(
        .noSpace,
        "\(path) has \(size) bytes and may have \(settings.diskBytes): raise joiner.disk_bytes or shorten the window")
    }
    batch.removeAll()
    changes.forEach { kind, key, value in
      if let value {
        batch.put(family(kind, of: database), key: key, value: value)
      } else {
        batch.remove(family(kind, of: database), key: key)
      }
    }
    do throws(RocksError) {
      try database.write(batch)
    } catch {
      mustReopen = true
      throw JoinerStateError(error)
    }
    impressionExpiry.advance(to: expiry.impressionsBeforeMs)
    closingExpiry.advance(to: expiry.closingsBeforeMs)
  }

  public var sizeBytes: Int { database?.sizeBytes ?? 0 }

  /// What RocksDB has in memory: write buffers and blocks of files.
  public var memoryBytes: Int { database.map { $0.writeBufferBytes + $0.blockCacheUsedBytes } ?? 0 }

  /// Writes everything to files and merges them: for measurements.
  public func settle() throws(JoinerStateError) {
    let database = try opened()
    do throws(RocksError) { try database.flush() } catch { throw JoinerStateError(error) }
    for family in database.families { database.compact(family) }
  }
}

extension JoinerStateError {
  init(_ error: RocksError) {
    let kind: Kind =
      switch error.kind {
      case .noSpace: .noSpace
      case .locked: .locked
      case .corruption: .damaged
      case .failed: .failed
      }
    self.init(kind, error.message)
  }
}

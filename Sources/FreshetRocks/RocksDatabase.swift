import CRocksDB
import FreshetCore

/// An open RocksDB database. Belongs to one thread; closed when it is released.
///
/// Batches are written to its log before they count, without waiting for the disk: a killed process loses nothing, a
/// machine without power the last of them.
public final class RocksDatabase {
  public let path: String
  /// In the order of `RocksOptions.families`.
  public let families: [RocksFamily]
  let handle: OpaquePointer
  let readOptions: OpaquePointer
  private let writeOptions: OpaquePointer
  private let defaultFamily: OpaquePointer
  /// RocksDB keeps pointers to their filters.
  private let expiries: [RocksExpiry]

  /// Opens a database or makes a new one.
  /// - Throws: `.locked` if it is open elsewhere, `.corruption` if its files are damaged, `.noSpace`, `.failed`.
  public init(path: String, options: RocksOptions) throws(RocksError) {
    self.path = path
    expiries = options.families.compactMap(\.expiry)
    let cache = rocksdb_cache_create_lru(options.blockCacheBytes)!
    let databaseOptions = options.makeDatabaseOptions()
    let names = ["default"] + options.families.map(\.name)
    let familyOptions = [rocksdb_options_create()!] + options.families.map { $0.makeOptions(cache: cache) }
    defer {
      rocksdb_options_destroy(databaseOptions)
      for options in familyOptions { rocksdb_options_destroy(options) }
      rocksdb_cache_destroy(cache)
    }
    var handles = [OpaquePointer?](repeating: nil, count: names.count)
    let opened = try checked("open \(path)") { error in
      withCStrings(names) { names in
        familyOptions.map(Optional.some).withUnsafeBufferPointer { familyOptions in
          handles.withUnsafeMutableBufferPointer { handles in
            rocksdb_open_column_families(
              databaseOptions, path, Int32(names.count), names.baseAddress, familyOptions.baseAddress,
              handles.baseAddress, error)
          }
        }
      }
    }
    guard let opened, let first = handles[0] else { throw RocksError(.failed, "open \(path): no database came of it") }
    handle = opened
    defaultFamily = first
    families = handles.dropFirst().map { RocksFamily(handle: $0!) }
    readOptions = rocksdb_readoptions_create()
    writeOptions = rocksdb_writeoptions_create()
  }

  deinit {
    rocksdb_readoptions_destroy(readOptions)
    rocksdb_writeoptions_destroy(writeOptions)
    for family in families { rocksdb_column_family_handle_destroy(family.handle) }
    rocksdb_column_family_handle_destroy(defaultFamily)
    rocksdb_close(handle)
  }

  /// Removes a database that is not open, with everything in it.
  public static func destroy(path: String) throws(RocksError) {
    let options = rocksdb_options_create()!
    defer { rocksdb_options_destroy(options) }
    try checked("remove \(path)") { rocksdb_destroy_db(options, path, $0) }
  }

  /// Makes all changes of a batch or none.
  ///
  /// After `.noSpace` the database may refuse everything until it is opened again; then it has the batch or has it not.
  public func write(_ batch: RocksBatch) throws(RocksError) {
    try checked("write to \(path)") { rocksdb_write(handle, writeOptions, batch.handle, $0) }
  }

  /// Writes what is in the write buffers to files, and waits until that is done.
  public func flush() throws(RocksError) {
    let options = rocksdb_flushoptions_create()!
    defer { rocksdb_flushoptions_destroy(options) }
    rocksdb_flushoptions_set_wait(options, 1)
    for family in families {
      try checked("flush \(path)") { rocksdb_flush_cf(handle, options, family.handle, $0) }
    }
  }

  /// Merges all files of a family, so that nothing is left of what was removed or is over. Takes as long as it takes to
  /// read and write all of it.
  public func compact(_ family: RocksFamily) {
    rocksdb_compact_range_cf(handle, family.handle, nil, 0, nil, 0)
  }

  /// Of the files of all families, and of what is still in write buffers, since the log has that too.
  public var sizeBytes: Int {
    families.reduce(0) {
      $0 + property("rocksdb.total-sst-files-size", of: $1) + property("rocksdb.cur-size-all-mem-tables", of: $1)
    }
  }

  /// An estimate of how many keys a family has.
  public func keyCount(_ family: RocksFamily) -> Int { property("rocksdb.estimate-num-keys", of: family) }

  /// Of the write buffers of all families.
  public var writeBufferBytes: Int {
    families.reduce(0) { $0 + property("rocksdb.size-all-mem-tables", of: $1) }
  }

  /// Of blocks of files in memory, their indexes and filters included.
  public var blockCacheUsedBytes: Int {
    // All families share one.
    families.first.map { property("rocksdb.block-cache-usage", of: $0) } ?? 0
  }

  private func property(_ name: String, of family: RocksFamily) -> Int {
    var value: UInt64 = 0
    return rocksdb_property_int_cf(handle, family.handle, name, &value) == 0 ? Int(clamping: value) : 0
  }
}

/// Calls `body` with the texts as C has them.
private func withCStrings<Result>(
  _ texts: [String], _ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
  let ends = texts.reduce(into: [0]) { $0.append($0.last! + $1.utf8.count + 1) }
  let bytes = texts.flatMap { Array($0.utf8CString) }
  return bytes.withUnsafeBufferPointer { bytes in
    let pointers = ends.dropLast().map { Optional(bytes.baseAddress! + $0) }
    return pointers.withUnsafeBufferPointer(body)
  }
}

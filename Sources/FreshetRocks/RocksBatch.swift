import CRocksDB

/// Changes that become visible and durable together. Reused: `removeAll` keeps the memory.
public final class RocksBatch {
  let handle = rocksdb_writebatch_create()!

  public init() {}
  deinit { rocksdb_writebatch_destroy(handle) }

  public var count: Int { Int(rocksdb_writebatch_count(handle)) }

  public func removeAll() { rocksdb_writebatch_clear(handle) }

  public func put(_ family: RocksFamily, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    rocksdb_writebatch_put_cf(
      handle, family.handle, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count,
      value.baseAddress?.assumingMemoryBound(to: CChar.self), value.count)
  }

  public func remove(_ family: RocksFamily, key: UnsafeRawBufferPointer) {
    rocksdb_writebatch_delete_cf(
      handle, family.handle, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count)
  }
}

/// A column family of an open database; valid as long as that is.
public struct RocksFamily {
  let handle: OpaquePointer
}

import CRocksDB

extension RocksDatabase {
  /// Looks several keys of one length up at once, which costs less than one after the other.
  ///
  /// - Parameters:
  ///   - keys: One behind the other, in any order.
  ///   - keyBytes: Of one key.
  ///   - scratch: Reused between calls.
  ///   - body: Called with the position of each key that is there and its value, which is valid during the call only.
  public func get(
    _ family: RocksFamily, keys: UnsafeRawBufferPointer, keyBytes: Int, scratch: RocksLookups,
    _ body: (Int, UnsafeRawBufferPointer) -> Void
  ) throws(RocksError) {
    let count = keys.count / keyBytes
    guard count > 0, let base = keys.baseAddress?.assumingMemoryBound(to: CChar.self) else { return }
    scratch.reserve(count)
    for position in 0..<count {
      scratch.keys[position] = base + position * keyBytes
      scratch.sizes[position] = keyBytes
      scratch.values[position] = nil
      scratch.errors[position] = nil
    }
    rocksdb_batched_multi_get_cf(
      handle, readOptions, family.handle, count, scratch.keys, scratch.sizes, scratch.values, scratch.errors, false)
    var failure: String?
    for position in 0..<count {
      if let error = scratch.errors[position] {
        failure = String(cString: error)
        rocksdb_free(error)
      }
      guard let value = scratch.values[position] else { continue }
      var size = 0
      if failure == nil, let bytes = rocksdb_pinnableslice_value(value, &size) {
        body(position, UnsafeRawBufferPointer(start: bytes, count: size))
      }
      rocksdb_pinnableslice_destroy(value)
    }
    if let failure { throw RocksError(status: failure, "read \(path)") }
  }

  /// The value of a key; nil if it is not there.
  public func get(_ family: RocksFamily, key: [UInt8]) throws(RocksError) -> [UInt8]? {
    let value = try checked("read \(path)") { error in
      key.withUnsafeBytes {
        rocksdb_get_pinned_cf(
          handle, readOptions, family.handle, $0.baseAddress?.assumingMemoryBound(to: CChar.self), key.count, error)
      }
    }
    guard let value else { return nil }
    defer { rocksdb_pinnableslice_destroy(value) }
    var size = 0
    guard let bytes = rocksdb_pinnableslice_value(value, &size) else { return nil }
    return Array(UnsafeRawBufferPointer(start: bytes, count: size))
  }

  /// Calls `body` with the keys at or after `start` and their values, ascending by bytes, until it returns false.
  public func scan(
    _ family: RocksFamily, from start: [UInt8],
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
  ) throws(RocksError) {
    guard let iterator = rocksdb_create_iterator_cf(handle, readOptions, family.handle) else {
      throw RocksError(.failed, "read \(path): no iterator")
    }
    defer { rocksdb_iter_destroy(iterator) }
    start.withUnsafeBytes {
      rocksdb_iter_seek(iterator, $0.baseAddress?.assumingMemoryBound(to: CChar.self), start.count)
    }
    while rocksdb_iter_valid(iterator) != 0 {
      var keyCount = 0
      var valueCount = 0
      let key = rocksdb_iter_key(iterator, &keyCount)
      let value = rocksdb_iter_value(iterator, &valueCount)
      guard
        body(
          UnsafeRawBufferPointer(start: key, count: keyCount), UnsafeRawBufferPointer(start: value, count: valueCount))
      else { return }
      rocksdb_iter_next(iterator)
    }
    try checked("read \(path)") { rocksdb_iter_get_error(iterator, $0) }
  }
}

/// Memory for looking keys up.
public final class RocksLookups {
  private(set) var keys = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: 1)
  private(set) var sizes = UnsafeMutablePointer<Int>.allocate(capacity: 1)
  private(set) var values = UnsafeMutablePointer<OpaquePointer?>.allocate(capacity: 1)
  private(set) var errors = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: 1)
  private var capacity = 1

  public init() {}
  deinit { release() }

  private func release() {
    keys.deallocate()
    sizes.deallocate()
    values.deallocate()
    errors.deallocate()
  }

  fileprivate func reserve(_ count: Int) {
    guard count > capacity else { return }
    release()
    capacity = count
    keys = .allocate(capacity: count)
    sizes = .allocate(capacity: count)
    values = .allocate(capacity: count)
    errors = .allocate(capacity: count)
  }
}

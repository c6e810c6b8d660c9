import CRocksDB

/// How a database uses memory, disk and processor.
public struct RocksOptions: Sendable, Equatable {
  /// Of blocks read from files, their indexes and filters included: the bound of what reading takes.
  public var blockCacheBytes: Int
  /// Of all families' write buffers together.
  public var writeBufferBytes: Int
  /// Of the log of what is in the write buffers only.
  public var maxLogBytes: Int
  public var families: [Family]

  public init(blockCacheBytes: Int, writeBufferBytes: Int, maxLogBytes: Int, families: [Family]) {
    self.blockCacheBytes = blockCacheBytes
    self.writeBufferBytes = writeBufferBytes
    self.maxLogBytes = maxLogBytes
    self.families = families
  }

  public enum Compression: Sendable {
    case none
    case lz4
    case zstd

    var code: Int32 {
      switch self {
      case .none: Int32(rocksdb_no_compression)
      case .lz4: Int32(rocksdb_lz4_compression)
      case .zstd: Int32(rocksdb_zstd_compression)
      }
    }
  }

  /// A column family: keys of one kind with settings of their own.
  public struct Family: Sendable, Equatable {
    public var name: String
    /// Of one write buffer; two are used in turn.
    public var writeBufferBytes: Int
    /// Bits that a filter spends on a key, so that most files without it are not read; 0 for families that are only scanned.
    public var filterBitsPerKey: Double
    public var blockBytes: Int
    public var compression: Compression
    /// Which entries go by themselves; nil for none.
    public var expiry: RocksExpiry?

    public init(
      name: String, writeBufferBytes: Int, filterBitsPerKey: Double, blockBytes: Int, compression: Compression,
      expiry: RocksExpiry?
    ) {
      self.name = name
      self.writeBufferBytes = writeBufferBytes
      self.filterBitsPerKey = filterBitsPerKey
      self.blockBytes = blockBytes
      self.compression = compression
      self.expiry = expiry
    }

    public static func == (a: Self, b: Self) -> Bool {
      a.name == b.name && a.writeBufferBytes == b.writeBufferBytes && a.filterBitsPerKey == b.filterBitsPerKey
        && a.blockBytes == b.blockBytes && a.compression == b.compression && a.expiry === b.expiry
    }
  }

  /// - Returns: Options of the database; to be destroyed.
  func makeDatabaseOptions() -> OpaquePointer {
    let options = rocksdb_options_create()!
    rocksdb_options_set_create_if_missing(options, 1)
    rocksdb_options_set_create_missing_column_families(options, 1)
    // One thread that flushes and one that compacts: the role beside it has one thread too.
    rocksdb_options_set_max_background_jobs(options, 1)
    rocksdb_options_set_db_write_buffer_size(options, writeBufferBytes)
    rocksdb_options_set_max_total_wal_size(options, UInt64(maxLogBytes))
    // Its own text log is for its developers; errors come back from calls.
    rocksdb_options_set_info_log_level(options, 3)
    rocksdb_options_set_keep_log_file_num(options, 2)
    rocksdb_options_set_max_log_file_size(options, 1 << 20)
    rocksdb_options_set_stats_dump_period_sec(options, 0)
    rocksdb_options_set_manifest_preallocation_size(options, 64 << 10)
    // Files go to the disk in pieces while they are written, not all at once when they are finished.
    rocksdb_options_set_bytes_per_sync(options, 1 << 20)
    return options
  }
}

extension RocksOptions.Family {
  /// - Returns: Options of the family; to be destroyed.
  func makeOptions(cache: OpaquePointer) -> OpaquePointer {
    let table = rocksdb_block_based_options_create()!
    rocksdb_block_based_options_set_block_cache(table, cache)
    rocksdb_block_based_options_set_block_size(table, blockBytes)
    rocksdb_block_based_options_set_format_version(table, 5)
    // So that the cache bounds them too.
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1)
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1)
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1)
    let options = rocksdb_options_create()!
    if filterBitsPerKey > 0 {
      rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(filterBitsPerKey))
      rocksdb_block_based_options_set_whole_key_filtering(table, 1)
      rocksdb_block_based_options_set_data_block_index_type(
        table, Int32(rocksdb_block_based_table_data_block_index_type_binary_search_and_hash))
      rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75)
      rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.02)
      rocksdb_options_set_memtable_whole_key_filtering(options, 1)
    }
    rocksdb_options_set_block_based_table_factory(options, table)
    rocksdb_block_based_options_destroy(table)
    rocksdb_options_set_write_buffer_size(options, writeBufferBytes)
    rocksdb_options_set_max_write_buffer_number(options, 3)
    rocksdb_options_set_target_file_size_base(options, UInt64(max(1 << 20, writeBufferBytes)))
    rocksdb_options_set_max_bytes_for_level_base(options, UInt64(max(4 << 20, 4 * writeBufferBytes)))
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1)
    rocksdb_options_set_compression(options, compression.code)
    if let expiry { rocksdb_options_set_compaction_filter(options, expiry.filter) }
    return options
  }
}

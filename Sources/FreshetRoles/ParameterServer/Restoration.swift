import Foundation
import FreshetCluster
import FreshetCore
import Logging
import Synchronization

/// The shards of a server on their way from its store into memory, on a thread of its own.
final class Restoration: Sendable {
  let storeName: String
  private let bytesRead = Mutex(0)
  private let startedAt = Instant.now()

  init(storeName: String) { self.storeName = storeName }

  /// - Parameter completion: Called on the thread.
  func start(
    store: any FileStore, compressor: any BlockCompressor, configuration: ShardServer.Configuration,
    _ completion: @escaping @Sendable (Result<RestoredShards, SnapshotError>) -> Void
  ) {
    let thread = Thread { [self] in
      let restorer = SnapshotRestorer(
        store: MeteredStore(store) { count in self.bytesRead.withLock { $0 += count } }, compressor: compressor,
        configuration: configuration)
      completion(Result { () throws(SnapshotError) in try restorer.restore() })
    }
    thread.name = "ps-restore"
    thread.stackSize = 1 << 20
    thread.start()
  }

  /// Of the store's files so far, whether what they say could be used or not.
  var readBytes: Int { bytesRead.withLock { $0 } }
  var elapsedMs: Double { Instant.now().milliseconds(since: startedAt) }
}

/// A store that tells of every read.
private struct MeteredStore: FileStore {
  private let store: any FileStore
  private let onRead: @Sendable (Int) -> Void

  init(_ store: any FileStore, onRead: @escaping @Sendable (Int) -> Void) {
    self.store = store
    self.onRead = onRead
  }

  var description: String { store.description }
  func list(prefix: String) throws(FileStoreError) -> [StoredFile] { try store.list(prefix: prefix) }
  func create(_ name: String) throws(FileStoreError) -> any FileStoreWriter { try store.create(name) }
  func remove(_ name: String) throws(FileStoreError) { try store.remove(name) }
  func open(_ name: String) throws(FileStoreError) -> any FileStoreReader {
    MeteredReader(try store.open(name), onRead)
  }
}

private final class MeteredReader: FileStoreReader {
  private let reader: any FileStoreReader
  private let onRead: @Sendable (Int) -> Void

  init(_ reader: any FileStoreReader, _ onRead: @escaping @Sendable (Int) -> Void) {
    self.reader = reader
    self.onRead = onRead
  }

  var sizeBytes: Int { reader.sizeBytes }
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileStoreError) -> Int {
    let count = try reader.read(into: buffer)
    onRead(count)
    return count
  }
}

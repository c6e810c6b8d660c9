import FreshetCore
import Synchronization

/// A store of files in memory, for snapshots that do not outlive the process.
final class MemoryFiles: FileStore {
  private let files = Mutex<[String: [UInt8]]>([:])

  var description: String { "memory" }

  func list(prefix: String) throws(FileStoreError) -> [StoredFile] {
    files.withLock { files in
      files.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }
        .map { StoredFile(name: $0.key, sizeBytes: $0.value.count) }
    }
  }

  func create(_ name: String) throws(FileStoreError) -> any FileStoreWriter { Writer(self, name) }

  func open(_ name: String) throws(FileStoreError) -> any FileStoreReader {
    guard let bytes = files.withLock({ $0[name] }) else { throw FileStoreError(.notFound, "no file \(name) in memory") }
    return Reader(bytes)
  }

  func remove(_ name: String) throws(FileStoreError) { files.withLock { $0[name] = nil } }

  private final class Writer: FileStoreWriter {
    private let store: MemoryFiles
    private let name: String
    private var bytes: [UInt8] = []

    init(_ store: MemoryFiles, _ name: String) {
      self.store = store
      self.name = name
    }

    func write(_ given: UnsafeRawBufferPointer) throws(FileStoreError) { bytes.append(contentsOf: given) }

    func finish() throws(FileStoreError) {
      let written = bytes
      store.files.withLock { $0[name] = written }
    }

    func abandon() { bytes = [] }
  }

  private final class Reader: FileStoreReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var sizeBytes: Int { bytes.count }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileStoreError) -> Int {
      let count = min(buffer.count, bytes.count - position)
      bytes.withUnsafeBytes {
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[position..<position + count]))
      }
      position += count
      return count
    }
  }
}

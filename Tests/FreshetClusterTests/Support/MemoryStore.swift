import FreshetCore

@testable import FreshetCluster

/// Files in memory, with the faults of a real store.
///
/// `@unchecked Sendable`: tests use it on one thread.
final class MemoryStore: FileStore, @unchecked Sendable {
  enum Call: String { case list, create, write, finish, open, read, remove }

  /// Finished files.
  private(set) var files: [String: [UInt8]] = [:]
  /// The calls so far, in order.
  private(set) var calls: [Call] = []
  /// Fails a call that it says true of: what is called, the file, and how many calls came before.
  var fault: (Call, String, Int) -> Bool = { _, _, _ in false }
  /// Whether a failing `finish` leaves the whole file all the same, as a store that dies before it answers.
  var finishesWhenFailing = false
  /// Most bytes of one read.
  var readLimit = Int.max
  var description: String { "memory" }

  func check(_ call: Call, _ name: String) throws(FileStoreError) {
    calls.append(call)
    if fault(call, name, calls.count - 1) { throw FileStoreError(.failed, "\(call) of \(name) failed") }
  }

  func list(prefix: String) throws(FileStoreError) -> [StoredFile] {
    try check(.list, prefix)
    return files.keys.filter { $0.hasPrefix(prefix) }.sorted().map { StoredFile(name: $0, sizeBytes: files[$0]!.count) }
  }

  func create(_ name: String) throws(FileStoreError) -> any FileStoreWriter {
    try check(.create, name)
    return Writer(store: self, name: name)
  }

  func open(_ name: String) throws(FileStoreError) -> any FileStoreReader {
    try check(.open, name)
    guard let bytes = files[name] else { throw FileStoreError(.notFound, "no file \(name)") }
    return Reader(store: self, name: name, bytes: bytes)
  }

  func remove(_ name: String) throws(FileStoreError) {
    try check(.remove, name)
    files[name] = nil
  }

  // MARK: - Damage

  /// Changes one byte of a file; `mask` is not 0.
  func flip(_ name: String, at position: Int, mask: UInt8) { files[name]![position] ^= mask }
  func truncate(_ name: String, to count: Int) { files[name]!.removeLast(files[name]!.count - count) }
  func lose(_ name: String) { files[name] = nil }
  func put(_ name: String, _ bytes: [UInt8]) { files[name] = bytes }

  /// What a machine that lied about durability has after a power cut: the file is there, its end is not.
  func loseUnsynced(_ name: String, random: inout SeededGenerator) {
    let count = files[name]!.count
    let kept = Int.random(in: 0..<count, using: &random)
    for position in kept..<count { files[name]![position] = 0 }
  }

  private final class Writer: FileStoreWriter {
    let store: MemoryStore
    let name: String
    var bytes: [UInt8] = []
    var isOpen = true

    init(store: MemoryStore, name: String) {
      self.store = store
      self.name = name
    }

    func write(_ given: UnsafeRawBufferPointer) throws(FileStoreError) {
      precondition(isOpen)
      try store.check(.write, name)
      bytes.append(contentsOf: given)
    }

    func finish() throws(FileStoreError) {
      precondition(isOpen)
      if store.finishesWhenFailing { store.files[name] = bytes }
      try store.check(.finish, name)
      store.files[name] = bytes
      isOpen = false
    }

    func abandon() { isOpen = false }
  }

  private final class Reader: FileStoreReader {
    let store: MemoryStore
    let name: String
    let bytes: [UInt8]
    var position = 0

    init(store: MemoryStore, name: String, bytes: [UInt8]) {
      self.store = store
      self.name = name
      self.bytes = bytes
    }

    var sizeBytes: Int { bytes.count }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileStoreError) -> Int {
      try store.check(.read, name)
      let count = min(buffer.count, bytes.count - position, store.readLimit)
      bytes[position..<position + count].withUnsafeBytes { buffer.copyMemory(from: $0) }
      position += count
      return count
    }
  }
}

extension FileStore {
  /// The whole of a data file: its header and its parts, the end not among them.
  func readSnapshot(
    _ name: String, compressor: any BlockCompressor
  ) throws(SnapshotError) -> (reader: SnapshotFileReader, parts: [SnapshotPart]) {
    let file: any FileStoreReader
    do throws(FileStoreError) {
      file = try open(name)
    } catch {
      throw SnapshotError(error)
    }
    var reader = try SnapshotFileReader(name: name, reader: file, compressor: compressor)
    var parts: [SnapshotPart] = []
    while true {
      let part = try reader.next()
      if case .end = part { return (reader, parts) }
      parts.append(part)
    }
  }
}

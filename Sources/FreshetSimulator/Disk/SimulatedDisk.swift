import FreshetCore

/// The disk of one process, as a store of files that may fail, fill up, lie about what is durable, and misread.
///
/// `@unchecked Sendable`: belongs to the one thread of its simulation.
final class SimulatedDisk: FileStore, @unchecked Sendable {
  struct File {
    var bytes: [UInt8]
    /// Until then a crash may take it, or its end: the disk said that it was durable before it was.
    var doubtfulUntil: UInt64
  }

  private let world: World
  let faults: DiskFaults
  private let name: String
  private var files: [String: File] = [:]
  /// Files whose end or whole was lost in a crash, until they are removed.
  private(set) var damaged: Set<String> = []
  /// Files that were misread since `beginRestore`.
  private(set) var misread: Set<String> = []
  /// Operations after which the machine is to crash; nil for none.
  private var fuse: Int?
  /// Nothing reaches the disk any more: the machine has crashed in the middle of an operation.
  private(set) var isDead = false

  var description: String { name }

  init(world: World, faults: DiskFaults, name: String) {
    self.world = world
    self.faults = faults
    self.name = name
  }

  // MARK: - Faults

  /// The machine crashes within the next operations.
  func lightFuse(operations: Int) { fuse = operations }

  /// What a crash leaves: files that were not finished are gone, doubtful ones may be.
  func crash() {
    isDead = false
    fuse = nil
    let now = world.now.nanoseconds
    for file in files.keys.sorted() where files[file]!.doubtfulUntil > now {
      files[file]!.doubtfulUntil = 0
      switch world.draw(0...2) {
      case 0:
        world.met(.unsyncedLost)
        world.note(name, "loses a file", text: file)
        files[file] = nil
        damaged.insert(file)
      case 1:
        world.met(.unsyncedTorn)
        world.note(name, "keeps a part of a file", text: file)
        files[file]!.bytes.removeLast(world.draw(0...files[file]!.bytes.count))
        damaged.insert(file)
      default: break
      }
    }
  }

  func beginRestore() { misread = [] }

  /// Whoever operates the cluster removes what cannot be read.
  func wipe(prefix: String) {
    world.met(.storeWiped)
    world.note(name, "is wiped", text: prefix)
    for file in files.keys.sorted() where file.hasPrefix(prefix) { files[file] = nil }
    damaged = damaged.filter { !$0.hasPrefix(prefix) }
  }

  /// Counts an operation, which may be the last one.
  fileprivate func operate(_ what: String) throws(FileStoreError) {
    guard !isDead else { throw FileStoreError(.failed, "\(what): the machine has crashed") }
    if world.isFaulty, let left = fuse {
      fuse = left - 1
      if left <= 0 {
        world.met(.crashWhileWriting)
        world.note(name, "stands still", text: what)
        isDead = true
        throw FileStoreError(.failed, "\(what): the machine has crashed")
      }
    }
    if world.isFaulty, world.chance(faults.failure) {
      world.met(.writeFailed)
      throw FileStoreError(.failed, "\(what): input/output error")
    }
  }

  fileprivate func finish(_ file: String, _ bytes: [UInt8]) throws(FileStoreError) {
    try operate("finish \(file)")
    let isDoubtful = world.isFaulty && world.chance(faults.unsynced)
    files[file] = File(bytes: bytes, doubtfulUntil: isDoubtful ? world.now.nanoseconds + 1_000_000_000 : 0)
    damaged.remove(file)
  }

  /// Bytes after which a new file finds the disk full; nil for none.
  fileprivate func drawRoom() -> Int? {
    guard world.isFaulty, world.chance(faults.full) else { return nil }
    return world.draw(0...2_000)
  }

  fileprivate func noteFull() { world.met(.diskFull) }

  // MARK: - FileStore

  func list(prefix: String) throws(FileStoreError) -> [StoredFile] {
    files.keys.filter { $0.hasPrefix(prefix) }.sorted().map { StoredFile(name: $0, sizeBytes: files[$0]!.bytes.count) }
  }

  func create(_ name: String) throws(FileStoreError) -> any FileStoreWriter {
    try operate("create \(name)")
    if files[name] != nil { world.fail("no file of a snapshot is written twice", name) }
    return Writer(self, name)
  }

  func open(_ name: String) throws(FileStoreError) -> any FileStoreReader {
    guard var bytes = files[name]?.bytes else { throw FileStoreError(.notFound, "\(self.name): no file \(name)") }
    if world.isFaulty, !bytes.isEmpty, world.chance(faults.bitFlip) {
      world.met(.bitFlip)
      world.note(self.name, "misreads a file", text: name)
      bytes[world.draw(0..<bytes.count)] ^= UInt8(1 << world.draw(0...7))
      misread.insert(name)
    }
    return Reader(bytes)
  }

  func remove(_ name: String) throws(FileStoreError) {
    try operate("remove \(name)")
    files[name] = nil
    damaged.remove(name)
  }

  private final class Writer: FileStoreWriter {
    private let disk: SimulatedDisk
    private let name: String
    private var bytes: [UInt8] = []
    private let room: Int?
    private var isOver = false

    init(_ disk: SimulatedDisk, _ name: String) {
      self.disk = disk
      self.name = name
      room = disk.drawRoom()
    }

    func write(_ added: UnsafeRawBufferPointer) throws(FileStoreError) {
      precondition(!isOver)
      try disk.operate("write \(name)")
      if let room, bytes.count + added.count > room {
        disk.noteFull()
        throw FileStoreError(.noSpace, "write \(name): no space left on device")
      }
      bytes += added
    }

    func finish() throws(FileStoreError) {
      precondition(!isOver)
      try disk.finish(name, bytes)
      isOver = true
    }

    func abandon() { isOver = true }
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

import FreshetCore
import FreshetStore

/// `serve.state`: where a replica keeps its copies, one of each model, and the record of a promotion.
///
/// The copy of the configured model lies in the directory itself, that of a promoted one in `version-N` below it.
struct StateDirectory: Sendable {
  /// Of `serve.state`.
  let root: String
  /// Where the copy of the model in question is.
  let path: String
  /// Held as long as anybody writes.
  let lock: DirectoryLock

  private static let prefix = "version-"

  private init(root: String, path: String, lock: DirectoryLock) {
    self.root = root
    self.path = path
    self.lock = lock
  }

  /// Makes the directory if it is not there, and takes it for this process.
  /// - Throws: `FileStoreError`, also if another process has it.
  init(_ path: String) throws(FileStoreError) {
    let store = try DirectoryStore(writing: path)
    self.init(root: store.path, path: store.path, lock: try DirectoryLock(store.path))
  }

  /// The directory for the copy of another model than the configured one.
  func promoted(version: Int) -> StateDirectory {
    StateDirectory(root: root, path: "\(root)/\(Self.prefix)\(version)", lock: lock)
  }

  /// Removes what is saved of promoted models but one: the rest is of promotions that came to no end.
  func discardPromoted(but version: Int?) throws(FileStoreError) {
    let store = try DirectoryStore(writing: root)
    for file in try store.list(prefix: Self.prefix) {
      if let version, file.name.hasPrefix("\(Self.prefix)\(version)/") { continue }
      try store.remove(file.name)
    }
  }

  /// Removes what is saved of a model that is neither configured nor served. Nothing may write there any more.
  func discard() throws(FileStoreError) {
    guard path != root else { return }
    let store = try DirectoryStore(writing: path)
    for file in try store.list(prefix: "") { try store.remove(file.name) }
  }
}

/// Which model a replica was promoted to, so that it comes back with it: a file in `serve.state`.
///
/// The first line says that, the second which configured model the promotion stood above; the rest is the promoted model's
/// configuration. If the replica is given another configuration later, that one counts again.
struct PromotionRecord: Equatable {
  static let fileName = "promotion"
  private static let head = "freshet promotion 1"
  private static let limitBytes = 32 << 20

  /// `FreshetConfiguration.modelDescription` of the configured model.
  let configured: String
  /// `FreshetConfiguration.modelText`.
  let promoted: String

  init(configured: String, promoted: String) {
    self.configured = configured
    self.promoted = promoted
  }

  /// - Throws: `FileStoreError` if there is something that is no record.
  init?(from directory: StateDirectory) throws(FileStoreError) {
    let store = try DirectoryStore(reading: directory.root)
    let reader: any FileStoreReader
    do throws(FileStoreError) {
      reader = try store.open(Self.fileName)
    } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
    let path = "\(directory.root)/\(Self.fileName)"
    let refusal = FileStoreError(
      .failed, "\(path) is not a record of a promotion; remove it to serve the configured model")
    guard reader.sizeBytes <= Self.limitBytes else { throw refusal }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let result = buffer.withUnsafeMutableBytes { raw in
        Result { () throws(FileStoreError) in try reader.read(into: raw) }
      }
      let count = try result.get()
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let lines = text.split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
    guard lines.count == 3, lines[0] == Self.head else { throw refusal }
    self.init(configured: String(lines[1]), promoted: String(lines[2]))
  }

  /// Durable when this returns.
  func write(to directory: StateDirectory) throws(FileStoreError) {
    let writer = try DirectoryStore(writing: directory.root).create(Self.fileName)
    do throws(FileStoreError) {
      let bytes = Array("\(Self.head)\n\(configured)\n\(promoted)".utf8)
      let result = bytes.withUnsafeBytes { raw in Result { () throws(FileStoreError) in try writer.write(raw) } }
      try result.get()
      try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
  }

  static func remove(from directory: StateDirectory) throws(FileStoreError) {
    try DirectoryStore(writing: directory.root).remove(fileName)
  }
}

/// A file of a store.
public struct StoredFile: Sendable, Hashable {
  public let name: String
  public let sizeBytes: Int

  public init(name: String, sizeBytes: Int) {
    self.name = name
    self.sizeBytes = sizeBytes
  }
}

/// A store refused something or could not do it.
public struct FileStoreError: DescribedError, Equatable {
  public enum Kind: String, Sendable {
    /// There is no such file.
    case notFound = "not-found"
    /// The disk or the quota is full.
    case noSpace = "no-space"
    /// Anything else; trying again may help.
    case failed = "store-failed"
  }

  public let kind: Kind
  /// What was tried, on which file of which store, and what the system said.
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var code: String { kind.rawValue }
}

/// Files by name that are written once, whole, and never changed: a directory or a bucket.
///
/// Names are ASCII, with `/` between their parts. Calls block: they belong on a background thread. One name must not be
/// written by two writers at once.
public protocol FileStore: Sendable {
  /// For messages: the path or the URL.
  var description: String { get }
  /// Finished files whose name begins with `prefix`, ascending by name.
  func list(prefix: String) throws(FileStoreError) -> [StoredFile]
  /// Begins a file. It is not visible before `finish`.
  func create(_ name: String) throws(FileStoreError) -> any FileStoreWriter
  /// Opens a finished file.
  func open(_ name: String) throws(FileStoreError) -> any FileStoreReader
  /// Removes a finished file; one that is not there counts as removed.
  func remove(_ name: String) throws(FileStoreError)
}

/// A file that is being written. Belongs to one thread.
public protocol FileStoreWriter: AnyObject {
  /// Appends bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws(FileStoreError)
  /// Makes the file durable, then visible under its name: all of it or nothing.
  func finish() throws(FileStoreError)
  /// Takes back what was written. Does nothing after `finish`.
  func abandon()
}

/// A file that is being read from its beginning. Belongs to one thread.
public protocol FileStoreReader: AnyObject {
  var sizeBytes: Int { get }
  /// - Returns: How many bytes came; fewer than there is room for only at the end, 0 after it.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileStoreError) -> Int
}

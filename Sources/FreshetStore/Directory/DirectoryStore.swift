import FreshetCore
import Glibc

/// Files in a directory of a local file system.
///
/// A file is written under a temporary name beside its place, synced, renamed, and the directories above it are synced:
/// after `finish` it survives a loss of power, before it there is no such file. Writing a name again replaces the file.
/// Several processes may use one directory.
///
/// What is written and read does not stay in the page cache: a snapshot is many times larger than what else is there, and
/// is read again only after a restart.
public struct DirectoryStore: FileStore {
  public let path: String
  public var description: String { path }

  /// Opens a directory of which only `list` and `open` are to be used; changes nothing in it.
  public init(reading path: String) throws(FileStoreError) {
    self.path = Self.normalized(path)
    let opened = self.path
    let descriptor = try SystemCall.run("open \(opened)") { Glibc.open(opened, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    close(descriptor)
  }

  /// Opens a directory, makes it if it is not there, and removes what writers that no longer live have left in it.
  public init(writing path: String) throws(FileStoreError) {
    self.path = Self.normalized(path)
    try Self.makeDirectories(self.path)
    try removeLeftovers()
  }

  private static func normalized(_ path: String) -> String {
    var path = path.isEmpty ? "." : path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return path
  }

  public func list(prefix: String) throws(FileStoreError) -> [StoredFile] {
    var files: [StoredFile] = []
    // Only the directory that the prefix names, and what is below it, can hold such names.
    let directory = prefix.lastIndex(of: "/").map { String(prefix[..<$0]) } ?? ""
    guard directory.isEmpty || StoredFileName.isValid(directory) else { return [] }
    do {
      try visit(directory) { (name, entry) throws(FileStoreError) in
        guard name.hasPrefix(prefix), StoredFileName.isValid(name) else { return }
        files.append(StoredFile(name: name, sizeBytes: entry.sizeBytes))
      }
    } catch {
      // The store itself is there, or was when it was opened; the directory within it need not be.
      guard error.kind == .notFound, !directory.isEmpty else { throw error }
    }
    return files.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  public func create(_ name: String) throws(FileStoreError) -> any FileStoreWriter {
    try StoredFileName.check(name, of: description)
    if let slash = name.lastIndex(of: "/") { try Self.makeDirectories("\(path)/\(name[..<slash])") }
    return try DirectoryFileWriter(root: path, name: name)
  }

  public func open(_ name: String) throws(FileStoreError) -> any FileStoreReader {
    try StoredFileName.check(name, of: description)
    return try DirectoryFileReader(path: "\(path)/\(name)")
  }

  public func remove(_ name: String) throws(FileStoreError) {
    try StoredFileName.check(name, of: description)
    let file = "\(path)/\(name)"
    do {
      _ = try SystemCall.run("remove \(file)") { unlink(file) }
    } catch {
      if error.kind != .notFound { throw error }
    }
  }

  /// Makes a directory, and those above it, durably if they are not there.
  private static func makeDirectories(_ path: String) throws(FileStoreError) {
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    if mkdir(path, 0o777) == 0 { return try SystemCall.syncDirectory(parent) }
    let code = errno
    switch code {
    case EEXIST:
      var entry = stat()
      _ = try SystemCall.run("look at \(path)") { stat(path, &entry) }
      if entry.st_mode & S_IFMT != S_IFDIR { throw FileStoreError("make the directory \(path)", errno: ENOTDIR) }
    case ENOENT where slash != nil && slash != path.startIndex:
      try makeDirectories(parent)
      try makeDirectories(path)
    default: throw FileStoreError("make the directory \(path)", errno: code)
    }
  }
}

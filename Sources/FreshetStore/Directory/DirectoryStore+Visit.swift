import FreshetCore
import Glibc

extension DirectoryStore {
  struct Entry {
    let path: String
    let sizeBytes: Int
  }

  /// Calls `body` with the name, relative to the store, of every regular file in and below a directory of the store.
  ///
  /// Other programs may come and go meanwhile: what disappears is passed over. Directories with names that the store never
  /// gives (`lost+found`) are too.
  /// - Parameter directory: Relative to the store, empty for the store itself.
  func visit(
    _ directory: String, _ body: (String, Entry) throws(FileStoreError) -> Void
  ) throws(FileStoreError) {
    let place = directory.isEmpty ? path : "\(path)/\(directory)"
    for part in try Self.parts(of: place) {
      let name = directory.isEmpty ? part : "\(directory)/\(part)"
      let file = "\(path)/\(name)"
      var entry = stat()
      guard lstat(file, &entry) == 0 else {
        if errno == ENOENT { continue }
        throw FileStoreError("look at \(file)", errno: errno)
      }
      switch entry.st_mode & S_IFMT {
      case S_IFREG: try body(name, Entry(path: file, sizeBytes: Int(entry.st_size)))
      case S_IFDIR where StoredFileName.isValid(part: part.utf8):
        do {
          try visit(name, body)
        } catch {
          if error.kind != .notFound { throw error }
        }
      default: break
      }
    }
  }

  private static func parts(of path: String) throws(FileStoreError) -> [String] {
    guard let stream = opendir(path) else { throw FileStoreError("list \(path)", errno: errno) }
    defer { closedir(stream) }
    var parts: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw FileStoreError("list \(path)", errno: errno) }
        return parts
      }
      let part = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if part != ".", part != ".." { parts.append(part) }
    }
  }
}

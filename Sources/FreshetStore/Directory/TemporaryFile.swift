import FreshetCore
import Glibc

/// The open file under a temporary name, locked for as long as it is open.
///
/// The lock tells a file that is being written, by whichever process, from one whose writer is gone: the kernel gives locks
/// back however a process ends.
struct TemporaryFile {
  static let prefix = ".partial-"

  let path: String
  let descriptor: Int32

  static func create(in directory: String) throws(FileStoreError) -> TemporaryFile {
    while true {
      let path = "\(directory)/\(prefix)\(String(UInt64.random(in: 0 ... .max), radix: 36))"
      let descriptor = try SystemCall.run("create \(path)") {
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      }
      do throws(FileStoreError) {
        // Between these two calls somebody who looks for leftovers may have found and removed the file.
        if try lock(descriptor, path), try isLinked(descriptor, path) {
          return TemporaryFile(path: path, descriptor: descriptor)
        }
      } catch {
        unlink(path)
        close(descriptor)
        throw error
      }
      close(descriptor)
    }
  }

  /// Removes a temporary file, unless somebody is writing it.
  static func removeIfLeft(_ path: String) throws(FileStoreError) {
    let descriptor: Int32
    do {
      descriptor = try SystemCall.run("open \(path)") { open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) }
    } catch {
      // Its writer has just finished or abandoned it.
      if error.kind == .notFound { return }
      throw error
    }
    defer { close(descriptor) }
    guard try lock(descriptor, path) else { return }
    do {
      _ = try SystemCall.run("remove \(path)") { unlink(path) }
    } catch {
      if error.kind != .notFound { throw error }
    }
  }

  private static func lock(_ descriptor: Int32, _ path: String) throws(FileStoreError) -> Bool {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      switch errno {
      case EINTR: continue
      case EWOULDBLOCK: return false
      default: throw FileStoreError("lock \(path)", errno: errno)
      }
    }
    return true
  }

  private static func isLinked(_ descriptor: Int32, _ path: String) throws(FileStoreError) -> Bool {
    var entry = stat()
    _ = try SystemCall.run("look at \(path)") { fstat(descriptor, &entry) }
    return entry.st_nlink > 0
  }
}

extension DirectoryStore {
  func removeLeftovers() throws(FileStoreError) {
    try visit("") { (name, entry) throws(FileStoreError) in
      let part = name.split(separator: "/").last ?? ""
      if part.hasPrefix(TemporaryFile.prefix) { try TemporaryFile.removeIfLeft(entry.path) }
    }
  }
}

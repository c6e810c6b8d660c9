import FreshetCore
import Glibc

/// Keeps a directory for one process: the lock lasts until this is released or the process ends, however it ends.
public final class DirectoryLock: Sendable {
  public static let fileName = ".lock"
  private let descriptor: Int32

  /// - Throws: `failed` if another process has the lock, or the file of the lock cannot be made.
  public init(_ directory: String) throws(FileStoreError) {
    let path = "\(directory)/\(Self.fileName)"
    descriptor = try SystemCall.run("open \(path)") { open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666) }
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      if code == EINTR { continue }
      close(descriptor)
      guard code == EWOULDBLOCK else { throw FileStoreError("lock \(path)", errno: code) }
      throw FileStoreError(.failed, "\(directory) is used by another process; give each one a directory of its own")
    }
  }

  deinit { close(descriptor) }
}

import FreshetCore
import Glibc

/// Calls of the system, tried again when a signal interrupts them.
enum SystemCall {
  /// - Parameter call: Returns -1 with `errno` set if it fails.
  /// - Parameter what: Verb and path, for the message: `write /data/a`.
  static func run<Result: BinaryInteger>(_ what: String, _ call: () -> Result) throws(FileStoreError) -> Result {
    while true {
      let result = call()
      if result != -1 { return result }
      let code = errno
      if code != EINTR { throw FileStoreError(what, errno: code) }
    }
  }

  /// Hands all bytes to a call that may take a part of them.
  static func writeAll(
    _ what: String, _ bytes: UnsafeRawBufferPointer, _ write: (UnsafeRawBufferPointer) -> Int
  ) throws(FileStoreError) {
    var left = bytes
    while !left.isEmpty {
      let taken = try run(what) { write(left) }
      left = UnsafeRawBufferPointer(rebasing: left[taken...])
    }
  }

  /// Fills the buffer as far as there are bytes.
  /// - Returns: How many came.
  static func readFully(
    _ what: String, _ buffer: UnsafeMutableRawBufferPointer, _ read: (UnsafeMutableRawBufferPointer) -> Int
  ) throws(FileStoreError) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = try run(what) { read(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])) }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Makes the entries of a directory durable.
  static func syncDirectory(_ path: String) throws(FileStoreError) {
    let descriptor = try run("open \(path)") { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    defer { close(descriptor) }
    _ = try run("sync \(path)") { fsync(descriptor) }
  }
}

extension FileStoreError {
  init(_ what: String, errno code: Int32) {
    let reason = String(cString: strerror(code))
    switch code {
    case ENOENT: self.init(.notFound, "\(what): \(reason)")
    case ENOSPC, EDQUOT: self.init(.noSpace, "\(what): \(reason); make room there")
    case EFBIG: self.init(.noSpace, "\(what): \(reason); raise the limit of file sizes (ulimit -f)")
    case EACCES, EPERM, EROFS:
      self.init(.failed, "\(what): \(reason); give the user that runs Freshet the right to write there")
    default: self.init(.failed, "\(what): \(reason)")
    }
  }
}

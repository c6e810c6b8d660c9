import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A whole file in memory. Read rather than mapped: a file that is cut off while it is read must not end the process.
final class FileBytes {
  let path: String
  private let memory: UnsafeMutableRawBufferPointer

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

  init(path: String) throws(ReplayError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure(path, "cannot be opened") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.failure(path, "cannot be read") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw ReplayError(code: "unreadable-file", message: "\(path) is not a regular file")
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, Int(status.st_size)), alignment: 16)
    var filled = 0
    while filled < Int(status.st_size) {
      let count = read(descriptor, buffer.baseAddress! + filled, Int(status.st_size) - filled)
      if count < 0 && errno == EINTR { continue }
      if count < 0 {
        let failure = Self.failure(path, "cannot be read")
        buffer.deallocate()
        throw failure
      }
      if count == 0 { break }
      filled += count
    }
    self.path = path
    memory = UnsafeMutableRawBufferPointer(rebasing: buffer[..<filled])
    allocation = buffer
  }

  private let allocation: UnsafeMutableRawBufferPointer

  deinit { allocation.deallocate() }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  private static func failure(_ path: String, _ what: String) -> ReplayError {
    ReplayError(code: "unreadable-file", message: "\(path) \(what): \(String(cString: strerror(errno)))")
  }
}

/// Walks the lines of a file; `\n` and `\r\n` end a line, and a byte order mark before the first one is skipped.
struct LineWalker {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  /// The number of the line that `next` returned last, from 1.
  private(set) var line = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
  }

  /// The next line that is not empty.
  mutating func next() -> UnsafeRawBufferPointer? {
    while position < bytes.count {
      let start = position
      let rest = bytes.count - start
      let base = bytes.baseAddress! + start
      var length = rest
      if let end = memchr(base, 0x0a, rest) { length = UnsafeRawPointer(end) - base }
      position = start + length + 1
      line += 1
      if length > 0, bytes[start + length - 1] == 0x0d { length -= 1 }
      if length > 0 { return UnsafeRawBufferPointer(start: base, count: length) }
    }
    return nil
  }
}

import FreshetCore
import Glibc

/// A file of a `DirectoryStore` that is being read.
final class DirectoryFileReader: FileStoreReader {
  /// After each so many bytes the kernel is asked to let go of them.
  private static let windowBytes = 8 << 20

  private let path: String
  private let descriptor: Int32
  private var readBytes = 0
  private var advisedBytes = 0
  let sizeBytes: Int

  init(path: String) throws(FileStoreError) {
    self.path = path
    let descriptor = try SystemCall.run("open \(path)") { open(path, O_RDONLY | O_CLOEXEC) }
    self.descriptor = descriptor
    var entry = stat()
    do throws(FileStoreError) {
      _ = try SystemCall.run("look at \(path)") { fstat(descriptor, &entry) }
      if entry.st_mode & S_IFMT != S_IFREG { throw FileStoreError(.failed, "open \(path): not a regular file") }
    } catch {
      close(descriptor)
      throw error
    }
    sizeBytes = Int(entry.st_size)
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
  }

  deinit { close(descriptor) }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileStoreError) -> Int {
    let count = try SystemCall.readFully("read \(path)", buffer) {
      Glibc.read(descriptor, $0.baseAddress, $0.count)
    }
    readBytes += count
    if readBytes - advisedBytes >= Self.windowBytes || count < buffer.count {
      posix_fadvise(descriptor, advisedBytes, readBytes - advisedBytes, POSIX_FADV_DONTNEED)
      advisedBytes = readBytes
    }
    return count
  }
}

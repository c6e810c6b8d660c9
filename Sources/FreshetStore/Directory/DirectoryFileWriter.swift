import FreshetCore
import Glibc

/// A file of a `DirectoryStore` that is being written.
final class DirectoryFileWriter: FileStoreWriter {
  /// After each so many bytes the kernel is asked to write them back and to let go of them.
  private static let windowBytes = 8 << 20

  private let root: String
  private let name: String
  private let file: TemporaryFile
  private var isOpen = true
  private var sizeBytes = 0
  private var advisedBytes = 0

  /// The directory that the name is in must be there.
  init(root: String, name: String) throws(FileStoreError) {
    self.root = root
    self.name = name
    file = try TemporaryFile.create(in: Self.directories(of: name, in: root)[0])
  }

  deinit { abandon() }

  func write(_ bytes: UnsafeRawBufferPointer) throws(FileStoreError) {
    guard isOpen else { throw closed }
    let descriptor = file.descriptor
    do throws(FileStoreError) {
      try SystemCall.writeAll("write \(root)/\(name)", bytes) { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    } catch {
      abandon()
      throw error
    }
    sizeBytes += bytes.count
    if sizeBytes - advisedBytes >= Self.windowBytes { letGo() }
  }

  func finish() throws(FileStoreError) {
    guard isOpen else { throw closed }
    let descriptor = file.descriptor
    let target = "\(root)/\(name)"
    do {
      _ = try SystemCall.run("sync \(target)") { fsync(descriptor) }
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
      _ = try SystemCall.run("rename \(file.path) to \(target)") { rename(file.path, target) }
    } catch {
      abandon()
      throw error
    }
    isOpen = false
    close(descriptor)
    do {
      for directory in Self.directories(of: name, in: root) { try SystemCall.syncDirectory(directory) }
    } catch {
      // Visible, but perhaps not for good: half a success is none.
      unlink(target)
      throw error
    }
  }

  func abandon() {
    guard isOpen else { return }
    isOpen = false
    // What cannot be removed is removed when the store is next opened for writing.
    unlink(file.path)
    close(file.descriptor)
  }

  /// Asks the kernel to begin to write back what came since the last call and to drop what it wrote since the one before.
  ///
  /// Linux does both for this one request: it starts on the range's dirty pages without waiting and drops the clean ones
  /// (mm/fadvise.c).
  private func letGo() {
    let start = max(0, advisedBytes - 3 * Self.windowBytes)
    posix_fadvise(file.descriptor, start, sizeBytes - start, POSIX_FADV_DONTNEED)
    advisedBytes = sizeBytes
  }

  /// What comes of writing on after a failure.
  private var closed: FileStoreError { FileStoreError(.failed, "\(root)/\(name): writing it has ended already") }

  /// The directory that a name is in, then those above it up to the store's own.
  private static func directories(of name: String, in root: String) -> [String] {
    var directories: [String] = []
    var rest = name[...]
    while let slash = rest.lastIndex(of: "/") {
      rest = rest[..<slash]
      directories.append("\(root)/\(rest)")
    }
    return directories + [root]
  }
}

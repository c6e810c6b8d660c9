import FreshetCore
import Glibc
import Testing

@testable import FreshetStore

/// What the system refuses must come out as an error and leave no file behind. One test after the other: they change limits and
/// rights of the whole process.
@Suite(.serialized) struct DirectoryStoreFailureTests {
  let scratch: ScratchDirectory

  init() throws { scratch = try ScratchDirectory() }

  @Test func aFullDiskIsToldApartAndLeavesNothing() throws {
    try withLittleSpace(bytes: 1 << 20) { path in
      let store = try DirectoryStore(writing: path)
      try store.write(pattern(100_000), as: "shard/first")
      let writer = try store.create("shard/second")
      #expect(
        kind {
          for _ in 0..<64 { try pattern(1 << 16).withUnsafeBytes { try writer.write($0) } }
          try writer.finish()
        } == .noSpace)
      #expect(kind { try writer.finish() } == .failed)
      #expect(try names(in: path + "/shard") == ["first"])
      #expect(try store.contents(of: "shard/first") == pattern(100_000))
      try store.write(pattern(200_000), as: "shard/third")
      #expect(try store.contents(of: "shard/third") == pattern(200_000))
    }
  }

  @Test func aDirectoryWithoutRightsIsRefusedByName() throws {
    let path = scratch.path + "/store"
    let store = try DirectoryStore(writing: path)
    try store.write(pattern(10), as: "d/a")
    try asOrdinaryUser {
      for (what, body) in [
        ("create", { _ = try store.create("d/b") }), ("make", { _ = try store.create("e/b") }),
        ("remove", { try store.remove("d/a") }), ("make", { _ = try DirectoryStore(writing: path + "/below") }),
      ] as [(String, () throws -> Void)] {
        let error = #expect(throws: FileStoreError.self) { try body() }
        #expect(error?.kind == .failed)
        let message = error?.message ?? ""
        #expect(message.contains(path) && message.contains(what), "\(message)")
      }
      let contents = try store.contents(of: "d/a")
      #expect(contents == pattern(10))
    }
    #expect(try store.list(prefix: "").map(\.name) == ["d/a"])
  }

  @Test func aTargetThatCannotBeReplacedLeavesNoTemporaryFile() throws {
    let store = try DirectoryStore(writing: scratch.path)
    mkdir(scratch.path + "/a", 0o700)
    let writer = try store.create("a")
    #expect(kind { try writer.finish() } == .failed)
    #expect(try names(in: scratch.path) == ["a"])
  }

  @Test func interruptedAndPartialCallsGoOn() throws {
    var script = [-1, 3, -1, -1, 1, 4]
    var written: [UInt8] = []
    try pattern(8).withUnsafeBytes { bytes in
      try SystemCall.writeAll("write", bytes) { left in
        errno = EINTR
        let count = script.removeFirst()
        if count > 0 { written += left[..<(left.startIndex + count)] }
        return count
      }
    }
    #expect(written == pattern(8))
    #expect(script.isEmpty)

    script = [2, -1, 5, 0]
    var buffer = [UInt8](repeating: 0, count: 9)
    let count = try buffer.withUnsafeMutableBytes {
      try SystemCall.readFully("read", $0) { rest in
        errno = EINTR
        for index in rest.indices { rest[index] = UInt8(rest.count) }
        return script.removeFirst()
      }
    }
    #expect(count == 7)
    #expect(Array(buffer[..<7]) == [9, 9, 7, 7, 7, 7, 7])
  }

  @Test func afterPartOfTheBytesAFullDiskIsAnError() {
    var script = [3, -1]
    #expect(
      kind {
        try pattern(8).withUnsafeBytes { bytes in
          try SystemCall.writeAll("write", bytes) { _ in
            errno = ENOSPC
            return script.removeFirst()
          }
        }
      } == .noSpace)
  }

  /// Runs `body` with a directory that has room for so many bytes in a file: a file system of that size where this process may
  /// mount one, else a limit of this process.
  private func withLittleSpace(bytes: Int, _ body: (String) throws -> Void) throws {
    let path = scratch.path + "/small"
    mkdir(path, 0o700)
    if mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0 {
      defer { umount2(path, Int32(MNT_DETACH)) }
      return try body(path)
    }
    var old = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old)
    var new = rlimit(rlim_cur: rlim_t(bytes), rlim_max: old.rlim_max)
    let handler = signal(SIGXFSZ, SIG_IGN)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &new)
    defer {
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old)
      signal(SIGXFSZ, handler)
    }
    try body(path)
  }

  /// Runs `body` without the rights to write below `scratch`: as user `nobody` if this is root, else by taking them away.
  private func asOrdinaryUser(_ body: () throws -> Void) throws {
    let directories = ["", "/store", "/store/d"].map { scratch.path + $0 }
    for directory in directories { chmod(directory, 0o555) }
    let isRoot = geteuid() == 0
    if isRoot { try #require(seteuid(65_534) == 0) }
    defer {
      if isRoot { seteuid(0) }
      for directory in directories { chmod(directory, 0o755) }
    }
    try body()
  }
}

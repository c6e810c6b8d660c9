import Foundation
import FreshetCore
import Testing

@testable import FreshetStore

/// A new empty directory that goes away with everything in it.
final class ScratchDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/freshet-store-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var random = SeededGenerator(seed: seed)
  var words = (0..<count / 8 + 1).map { _ in random.next() }
  return words.withUnsafeMutableBytes { Array($0[..<count]) }
}

extension FileStore {
  func write(_ bytes: [UInt8], as name: String, chunk: Int = 1 << 16) throws {
    let writer = try create(name)
    for start in stride(from: 0, to: bytes.count, by: chunk) {
      try bytes[start..<min(bytes.count, start + chunk)].withUnsafeBytes { try writer.write($0) }
    }
    try writer.finish()
  }

  func contents(of name: String, chunk: Int = 1 << 16) throws -> [UInt8] {
    let reader = try open(name)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: chunk)
    while true {
      let count = try buffer.withUnsafeMutableBytes { try reader.read(into: $0) }
      bytes += buffer[..<count]
      if count == 0 { break }
    }
    #expect(bytes.count == reader.sizeBytes)
    return bytes
  }
}

/// What is in a directory, hidden files too.
func names(in path: String) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }

@Suite struct DirectoryStoreTests {
  let scratch: ScratchDirectory
  let store: DirectoryStore

  init() throws {
    scratch = try ScratchDirectory()
    store = try DirectoryStore(writing: scratch.path + "/a/store/")
  }

  @Test(arguments: [0, 1, 65_536, 30_000_003])
  func aFileComesBackAsItWasWritten(count: Int) throws {
    let bytes = pattern(count)
    try store.write(bytes, as: "shard-0001/1.rows", chunk: 1_000_003)
    #expect(try store.contents(of: "shard-0001/1.rows", chunk: 700_001) == bytes)
    #expect(try store.list(prefix: "") == [StoredFile(name: "shard-0001/1.rows", sizeBytes: count)])
  }

  @Test func aReadFillsTheBufferUntilTheEnd() throws {
    try store.write(pattern(1_000), as: "a")
    let reader = try store.open("a")
    var buffer = [UInt8](repeating: 0, count: 600)
    let counts = try (0..<4).map { _ in try buffer.withUnsafeMutableBytes { try reader.read(into: $0) } }
    #expect(counts == [600, 400, 0, 0])
  }

  @Test func aFileIsNotThereBeforeItIsFinished() throws {
    let writer = try store.create("d/a")
    try pattern(100).withUnsafeBytes { try writer.write($0) }
    #expect(try store.list(prefix: "").isEmpty)
    #expect(throws: FileStoreError.self) { try store.open("d/a") }
    try writer.finish()
    writer.abandon()
    #expect(try store.contents(of: "d/a") == pattern(100))
    #expect(try names(in: store.path + "/d") == ["a"])
  }

  @Test func anAbandonedOrForgottenFileLeavesNothing() throws {
    let writer = try store.create("a")
    try pattern(100).withUnsafeBytes { try writer.write($0) }
    writer.abandon()
    writer.abandon()
    do {
      let forgotten = try store.create("b")
      try pattern(100).withUnsafeBytes { try forgotten.write($0) }
    }
    #expect(try names(in: store.path).isEmpty)
  }

  @Test func writingANameAgainReplacesTheFile() throws {
    try store.write(pattern(5_000), as: "a")
    let old = try store.open("a")
    try store.write(pattern(70, seed: 2), as: "a")
    #expect(try store.contents(of: "a") == pattern(70, seed: 2))
    var buffer = [UInt8](repeating: 0, count: 6_000)
    let count = try buffer.withUnsafeMutableBytes { try old.read(into: $0) }
    #expect(buffer[..<count] == pattern(5_000)[...])
  }

  @Test func filesAreListedByPrefixInTheOrderOfTheirBytes() throws {
    let all = ["a-b/1", "a/1", "a/10", "a/2", "ab/c/d", "b"]
    for name in all.reversed() { try store.write(pattern(3), as: name) }
    for (path, isDirectory) in [("lost+found", true), ("a/.hidden", false), (".git", true), ("ä", false)] {
      let place = store.path + "/" + path
      if isDirectory { mkdir(place, 0) } else { close(open(place, O_CREAT | O_WRONLY, 0o600)) }
    }
    func listed(_ prefix: String) throws -> [String] { try store.list(prefix: prefix).map(\.name) }
    #expect(try listed("") == ["a-b/1", "a/1", "a/10", "a/2", "ab/c/d", "b"])
    #expect(try listed("a/") == ["a/1", "a/10", "a/2"])
    #expect(try listed("a/1") == ["a/1", "a/10"])
    #expect(try listed("ab") == ["ab/c/d"])
    #expect(try listed("ab/c/") == ["ab/c/d"])
    #expect(try listed("c/").isEmpty)
    #expect(try listed("../").isEmpty)
  }

  @Test func aRemovedFileIsGoneAndRemovingItAgainIsNoError() throws {
    try store.write(pattern(3), as: "a/b")
    try store.remove("a/b")
    try store.remove("a/b")
    try store.remove("never/was")
    #expect(try store.list(prefix: "").isEmpty)
  }

  @Test func whatIsNotThereIsNotFound() throws {
    #expect(kind { _ = try store.open("a") } == .notFound)
    #expect(kind { _ = try DirectoryStore(reading: store.path + "/none") } == .notFound)
    #expect(throws: FileStoreError.self) { try DirectoryStore(reading: "/dev/null") }
    #expect(throws: FileStoreError.self) { try DirectoryStore(writing: "/dev/null/store") }
    mkdir(store.path + "/directory", 0o700)
    #expect(kind { _ = try store.open("directory") } == .failed)
  }

  @Test(arguments: [
    "", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", ".partial-1", "a b", "ä", "a\0b",
    String(repeating: "a", count: 241), String(repeating: "a/", count: 450) + "b",
  ])
  func aNameThatCouldLeaveTheDirectoryIsRefused(name: String) throws {
    #expect(!StoredFileName.isValid(name))
    #expect(kind { _ = try store.create(name) } == .failed)
    #expect(kind { _ = try store.open(name) } == .failed)
    #expect(kind { try store.remove(name) } == .failed)
  }

  @Test func leftoversGoWhenTheStoreIsOpenedForWritingButNotFilesBeingWritten() throws {
    try store.write(pattern(3), as: "d/kept")
    let live = try store.create("d/live")
    try pattern(50).withUnsafeBytes { try live.write($0) }
    for place in ["/.partial-1", "/d/.partial-2"] { close(open(store.path + place, O_CREAT | O_WRONLY, 0o600)) }
    _ = try DirectoryStore(reading: store.path)
    #expect(try names(in: store.path) == [".partial-1", "d"])
    _ = try DirectoryStore(writing: store.path)
    #expect(try names(in: store.path) == ["d"])
    #expect(try names(in: store.path + "/d").count == 2)
    try live.finish()
    #expect(try store.list(prefix: "").map(\.name) == ["d/kept", "d/live"])
    #expect(try store.contents(of: "d/live") == pattern(50))
  }
}

/// The kind of the error that `body` throws, nil if it throws none.
func kind(_ body: () throws -> Void) -> FileStoreError.Kind? {
  do {
    try body()
    return nil
  } catch {
    return (error as? FileStoreError)?.kind
  }
}

import Foundation
import FreshetCore
import Testing

@testable import FreshetRocks

/// A directory that goes with the test.
final class TemporaryPath {
  let path = NSTemporaryDirectory() + "freshet-rocks-\(UUID().uuidString)"
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func options(_ expiry: RocksExpiry? = nil, _ second: RocksExpiry? = nil) -> RocksOptions {
  func family(_ name: String, _ expiry: RocksExpiry?, bits: Double) -> RocksOptions.Family {
    RocksOptions.Family(
      name: name, writeBufferBytes: 1 << 20, filterBitsPerKey: bits, blockBytes: 4096, compression: .lz4,
      expiry: expiry)
  }
  return RocksOptions(
    blockCacheBytes: 1 << 20, writeBufferBytes: 4 << 20, maxLogBytes: 8 << 20,
    families: [family("one", expiry, bits: 10), family("two", second, bits: 0)])
}

private func key(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.bigEndian, Array.init) }

extension RocksDatabase {
  fileprivate func put(_ entries: [(Int, [UInt8], [UInt8]?)]) throws {
    let batch = RocksBatch()
    for (family, key, value) in entries {
      key.withUnsafeBytes { key in
        if let value {
          value.withUnsafeBytes { batch.put(families[family], key: key, value: $0) }
        } else {
          batch.remove(families[family], key: key)
        }
      }
    }
    try write(batch)
  }

  fileprivate func keys(_ family: Int, from start: [UInt8] = []) throws -> [[UInt8]] {
    var found: [[UInt8]] = []
    try scan(families[family], from: start) { key, _ in
      found.append(Array(key))
      return true
    }
    return found
  }

  fileprivate func lookUp(_ family: Int, _ numbers: [UInt64]) throws -> [Int: [UInt8]] {
    var found: [Int: [UInt8]] = [:]
    let scratch = RocksLookups()
    try numbers.flatMap(key).withUnsafeBytes {
      try get(families[family], keys: $0, keyBytes: 8, scratch: scratch) { found[$0] = Array($1) }
    }
    return found
  }
}

@Suite struct RocksDatabaseTests {
  @Test func whatWasWrittenIsThereAfterTheDatabaseIsOpenedAgain() throws {
    let directory = TemporaryPath()
    do {
      let database = try RocksDatabase(path: directory.path, options: options())
      try database.put([(0, [1], [10]), (0, [2], []), (1, [1], [11]), (0, [3], [30])])
      try database.put([(0, [3], nil), (0, [1], [12])])
    }
    let database = try RocksDatabase(path: directory.path, options: options())
    #expect(try database.get(database.families[0], key: [1]) == [12])
    #expect(try database.get(database.families[0], key: [2]) == [])
    #expect(try database.get(database.families[0], key: [3]) == nil)
    #expect(try database.get(database.families[1], key: [1]) == [11])
  }

  @Test func keysLookedUpTogetherAreFoundInMemoryAndInFiles() throws {
    let directory = TemporaryPath()
    let database = try RocksDatabase(path: directory.path, options: options())
    try database.put((0..<500).map { (0, key($0 * 2), key($0)) })
    try database.flush()
    try database.put((500..<700).map { (0, key($0 * 2), key($0)) })
    var generator = SeededGenerator(seed: 3)
    for count in [1, 2, 300, 7] {
      let wanted = (0..<count).map { _ in generator.next() % 1500 }
      let found = try database.lookUp(0, wanted)
      for (position, number) in wanted.enumerated() {
        #expect(found[position] == (number % 2 == 0 && number < 1400 ? key(number / 2) : nil))
      }
    }
    #expect(try database.lookUp(0, []).isEmpty)
  }

  @Test func scansGoUpFromTheirStartUntilTheyAreStopped() throws {
    let directory = TemporaryPath()
    let database = try RocksDatabase(path: directory.path, options: options())
    try database.put([30, 10, 20, 40].map { (1, key($0), [UInt8($0)]) })
    #expect(try database.keys(1) == [10, 20, 30, 40].map(key))
    #expect(try database.keys(1, from: key(15)) == [20, 30, 40].map(key))
    #expect(try database.keys(0).isEmpty)
    var seen = 0
    try database.scan(database.families[1], from: []) { _, _ in
      seen += 1
      return seen < 2
    }
    #expect(seen == 2)
  }

  @Test func entriesThatAreOverGoWhenFilesAreMerged() throws {
    let directory = TemporaryPath()
    let byValue = RocksExpiry(.value(at: 1))
    let byKey = RocksExpiry(.key)
    let database = try RocksDatabase(path: directory.path, options: options(byValue, byKey))
    func value(_ time: Int64) -> [UInt8] { [7] + withUnsafeBytes(of: time.littleEndian, Array.init) }
    try database.put((0..<100).map { (0, key($0), value(Int64($0))) } + (0..<100).map { (1, key($0), []) })
    // Too short to have a time: nothing is known of it, so it stays.
    try database.put([(0, [9], [1, 2]), (1, [9], [])])
    byValue.advance(to: 60)
    byValue.advance(to: 40)
    byKey.advance(to: 99)
    try database.flush()
    for family in database.families { database.compact(family) }
    #expect(try database.keys(0).count == 41, "limits never go back")
    #expect(try database.keys(0, from: key(0)).first == key(60))
    #expect(try database.keys(1) == [key(99), [9]].sorted { $0.lexicographicallyPrecedes($1) })
  }

  @Test func oneDirectoryIsOpenOnlyOnce() throws {
    let directory = TemporaryPath()
    var first: RocksDatabase? = try RocksDatabase(path: directory.path, options: options())
    #expect(first != nil)
    let error = #expect(throws: RocksError.self) { try RocksDatabase(path: directory.path, options: options()) }
    #expect(error?.kind == .locked && error?.message.contains(directory.path) == true)
    first = nil
    _ = try RocksDatabase(path: directory.path, options: options())
  }

  @Test func damagedFilesAreAnErrorAndNoCrash() throws {
    let directory = TemporaryPath()
    do {
      let database = try RocksDatabase(path: directory.path, options: options())
      try database.put((0..<2000).map { (0, key($0), [UInt8](repeating: UInt8($0 % 251), count: 100)) })
      try database.flush()
    }
    let name = try #require(
      try FileManager.default.contentsOfDirectory(atPath: directory.path).first { $0.hasSuffix(".sst") })
    let file = URL(fileURLWithPath: directory.path + "/" + name)
    var bytes = try Data(contentsOf: file)
    for position in stride(from: 50, to: bytes.count / 2, by: 500) { bytes[position] ^= 0xff }
    try bytes.write(to: file)
    let database = try RocksDatabase(path: directory.path, options: options())
    let error = #expect(throws: RocksError.self) { _ = try database.lookUp(0, Array(0..<2000)) }
    #expect(error?.kind == .corruption)
    #expect(throws: RocksError.self) { try database.keys(0) }
  }

  @Test func aPlaceThatIsNoDirectoryIsAnErrorThatNamesIt() throws {
    let directory = TemporaryPath()
    try Data([1]).write(to: URL(fileURLWithPath: directory.path))
    let error = #expect(throws: RocksError.self) { try RocksDatabase(path: directory.path, options: options()) }
    #expect(error?.kind == .failed && error?.message.contains(directory.path) == true)
  }

  @Test(arguments: [
    (
      "IO error: No space left on deviceWhile appending to file: x.log: No space left on device",
      RocksError.Kind.noSpace
    ),
    ("IO error: lock hold by current process, acquire time 1: x/LOCK: No locks available", .locked),
    ("IO error: While lock file: x/LOCK: Resource temporarily unavailable", .locked),
    ("Corruption: block checksum mismatch", .corruption), ("IO error: Input/output error", .failed),
    ("Invalid argument: Column family not found", .failed),
  ])
  func errorsAreSortedByWhatCanBeDone(status: String, kind: RocksError.Kind) {
    #expect(RocksError(status: status, "open").kind == kind)
  }

  @Test func sizesGrowWithWhatIsWrittenAndADatabaseCanBeRemoved() throws {
    let directory = TemporaryPath()
    do {
      let database = try RocksDatabase(path: directory.path, options: options())
      let empty = database.sizeBytes
      try database.put((0..<3000).map { (0, key($0), (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 37) }) })
      let inMemory = database.sizeBytes
      #expect(inMemory > empty + 300_000)
      try database.flush()
      #expect(database.sizeBytes > empty)
      #expect(database.keyCount(database.families[0]) == 3000)
    }
    try RocksDatabase.destroy(path: directory.path)
    let database = try RocksDatabase(path: directory.path, options: options())
    #expect(try database.keys(0).isEmpty)
  }
}

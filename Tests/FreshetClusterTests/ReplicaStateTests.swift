import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

/// A replica that begins with what it saved.
@Suite struct ReplicaStateTests {
  /// Saves all of a replica's shards as they are now.
  func save(_ replica: Replica, in store: MemoryStore, life: UInt64 = 7, during: () -> Void = {}) -> [SnapshotEvent] {
    let histories = Dictionary(
      uniqueKeysWithValues: (0..<replica.shardCount).map { (ShardID($0), SnapshotHistory.empty) })
    var keeper = SnapshotKeeper(
      settings: SnapshotSettings(intervalMs: 1_000, baseEvery: 4, keep: 1, seed: 1, partBytes: 200, sliceBytes: 50),
      life: life, histories: histories)
    let writer = SnapshotFileWriter(store: store, compressor: NoCompressor())
    let now = Instant(nanoseconds: 1 << 40)
    var stored: [SnapshotEvent] = []
    var actions = keeper.handle(
      .requested(id: 1), shards: replica, now: now, time: UnixTime(milliseconds: 1_000_000))
    while !actions.isEmpty || keeper.hasWork {
      var next: [SnapshotAction] = []
      for action in actions {
        guard let event = writer.perform(action) else { continue }
        if case .stored = event { stored.append(event) }
        next += keeper.handle(event, shards: replica, now: now, time: UnixTime(milliseconds: 1_000_000))
      }
      during()
      next += keeper.advance(shards: replica, now: now)
      actions = next
    }
    return stored
  }

  func read(_ store: MemoryStore, shards: Int, format: WeightFormat = .float32, tables: ModelTables) throws
    -> RestoredReplica
  {
    try ReplicaState.read(
      from: store, compressor: NoCompressor(), tables: tables, shardCount: shards, weightFormat: format,
      now: Instant(nanoseconds: 1 << 40), time: UnixTime(milliseconds: 1_000_000))
  }

  func replica(_ harness: SyncHarness, _ restored: RestoredReplica?) -> Replica {
    Replica(
      tables: harness.model.tables, map: harness.map, weightFormat: .float32, compressor: RunLengthCompressor(),
      seed: 3, isSaved: true, restored: restored)
  }

  @Test func whatWasSavedIsAnsweredFromAndCaughtUpByDeltas() throws {
    var options = SyncHarness.Options()
    options.isSaved = true
    let harness = SyncHarness(options, seed: 11)
    harness.run(rounds: 10)
    let store = MemoryStore()
    #expect(save(harness.replica, in: store).count == 4)
    let before = harness.replica.positions.map(\.sequence)
    let restored = try read(store, shards: 4, tables: harness.model.tables)
    #expect(restored.shardCount == 4 && restored.skipped.isEmpty && restored.rowCount > 0)
    let copy = replica(harness, restored)
    #expect(copy.isReady && copy.positions.map(\.sequence) == before)
    #expect(copy.watermarks.map(\.offset) == harness.replica.watermarks.map(\.offset))
    // No server has been asked yet.
    #expect(copy.ageMs(now: Instant(nanoseconds: 1 << 40)) != nil)
    harness.replace(copy)
    harness.run(rounds: 10)
    #expect(harness.problems.isEmpty && harness.differences.isEmpty, "\(harness.differences.prefix(3))")
    #expect(copy.statistics.basesCompleted == 0 && copy.statistics.tombstones > 0)
  }

  @Test func aCopyOfAnotherLifeIsReplacedAndEvictedRowsDisappear() throws {
    var options = SyncHarness.Options()
    options.isSaved = true
    let harness = SyncHarness(options, seed: 12)
    harness.run(rounds: 10)
    let store = MemoryStore()
    _ = save(harness.replica, in: store)
    let copy = replica(harness, try read(store, shards: 4, tables: harness.model.tables))
    harness.restartServers()
    harness.replace(copy)
    harness.run(rounds: 5)
    #expect(harness.problems.isEmpty && harness.differences.isEmpty, "\(harness.differences.prefix(3))")
    #expect(copy.statistics.basesCompleted >= 4)
  }

  /// Rows that change and go while the copy is being written are saved as they were at the cut.
  @Test func whatIsSavedIsOfOneInstantWhateverHappensMeanwhile() throws {
    for seed in UInt64(20)..<30 {
      var options = SyncHarness.Options()
      options.isSaved = true
      options.shards = 1
      options.servers = 1
      let harness = SyncHarness(options, seed: seed)
      harness.run(rounds: 6)
      let store = MemoryStore()
      let expected = sums(harness.replica)
      var steps = 0
      _ = save(harness.replica, in: store) {
        steps += 1
        if steps % 3 == 0 { harness.run(rounds: 1) }
      }
      #expect(steps > 20)
      let copy = replica(harness, try read(store, shards: 1, tables: harness.model.tables))
      #expect(sums(copy) == expected && sums(harness.replica) != expected, "seed \(seed)")
      harness.replace(copy)
      harness.run(rounds: 4)
      #expect(harness.differences.isEmpty, "seed \(seed)")
    }
  }

  func sums(_ replica: Replica) -> [UInt64] {
    var scan = ChecksumScan(
      shards: (0..<replica.shardCount).map { ShardID($0) }, formats: replica.tables.layouts.map { _ in [] })
    while true {
      if case .done(let sums) = scan.advance(replica) { return sums.map(\.checksum) }
    }
  }

  @Test func aTornFileAndOneThatDoesNotFitAreSkippedWithTheirReasons() throws {
    var options = SyncHarness.Options()
    options.isSaved = true
    let harness = SyncHarness(options, seed: 13)
    harness.run(rounds: 5)
    let store = MemoryStore()
    _ = save(harness.replica, in: store)
    let file = try #require(store.files.keys.sorted().first { $0.hasSuffix(".rows") })
    for count in [0, 1, 40, store.files[file]!.count - 1] {
      let torn = MemoryStore()
      for (name, bytes) in store.files { torn.put(name, bytes) }
      torn.truncate(file, to: count)
      let restored = try read(torn, shards: 4, tables: harness.model.tables)
      #expect(restored.shardCount == 3 && restored.skipped.count == 1)
      let copy = replica(harness, restored)
      #expect(!copy.isReady)
      harness.replace(copy)
      harness.run(rounds: 2)
      #expect(harness.differences.isEmpty && copy.isReady)
    }
    #expect(try read(store, shards: 3, tables: harness.model.tables).shardCount == 0)
    let narrow = try read(store, shards: 4, format: .float16, tables: harness.model.tables)
    #expect(narrow.shardCount == 0 && narrow.skipped.allSatisfy { $0.snapshot.reason.contains("serve.state") })
  }

  /// docs/snapshot-format.md: what a replica's header has that a server's has not.
  @Test func theHeaderOfASavedCopyHasItsPosition() throws {
    func header(_ copied: CopiedPosition?) -> SnapshotHeader {
      SnapshotHeader(
        id: SnapshotID(shard: ShardID(1), number: 2, life: 3), kind: .base, shardCount: 4, parent: nil,
        takenAt: UnixTime(milliseconds: 5), copied: copied, newestMinutes: 6, progress: [], tables: [])
    }
    func bytes(_ header: SnapshotHeader) -> [UInt8] {
      var writer = BinaryWriter(capacity: 100)
      header.encode(into: &writer)
      return writer.bytes
    }
    let server = bytes(header(nil))
    let replica = bytes(header(CopiedPosition(generation: 0x0102, sequence: 7, reported: 8)))
    var expected = server
    expected[1] = 1
    expected.insert(contentsOf: [2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0], at: 56)
    #expect(replica == expected && server[48] == 5)
    let decoded = try replica.withUnsafeBytes { raw in
      var reader = BinaryReader(raw, what: "header")
      return try SnapshotHeader(from: &reader)
    }
    #expect(decoded.copied == CopiedPosition(generation: 0x0102, sequence: 7, reported: 8))
  }

  @Test func aSavedCopySaysHowOldItIs() throws {
    var options = SyncHarness.Options()
    options.isSaved = true
    let harness = SyncHarness(options, seed: 14)
    harness.run(rounds: 3)
    let store = MemoryStore()
    _ = save(harness.replica, in: store)
    let restored = try ReplicaState.read(
      from: store, compressor: NoCompressor(), tables: harness.model.tables, shardCount: 4, weightFormat: .float32,
      now: Instant(nanoseconds: 1 << 50), time: UnixTime(milliseconds: 1_000_000))
    let saved = try #require(restored.takenAt)
    let age = Double(1_000_000 - saved.milliseconds)
    let copy = replica(harness, restored)
    #expect(age > 0 && abs(copy.ageMs(now: Instant(nanoseconds: 1 << 50))! - age) < 2)
    #expect(copy.ageMs(now: Instant(nanoseconds: 1 << 50).advanced(byMs: 500))! >= age + 498)
  }
}

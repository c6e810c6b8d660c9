import FreshetCore
import FreshetModel
import FreshetTable
import Testing

@testable import FreshetCluster

/// What is restored is what was cut, whatever went on beside the copying.
@Suite struct SnapshotRestoreTests {
  struct Variant: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var comparesStatistics = true
    let change: @Sendable (inout ModelSpec) -> Void
  }

  static let variants = [
    Variant(testDescription: "plain") { _ in },
    Variant(testDescription: "counted admission") {
      for table in $0.tables.indices { $0.tables[table].admission = .minimumCount(3, sketchBytes: 8192) }
    },
    Variant(testDescription: "admission by chance") {
      for table in $0.tables.indices { $0.tables[table].admission = .probability(0.4) }
    },
    Variant(testDescription: "expiry", comparesStatistics: false) {
      for table in $0.tables.indices { $0.tables[table].timeToLiveMinutes = 20 }
    },
    Variant(testDescription: "expiry and counted admission", comparesStatistics: false) {
      $0.tables[0].timeToLiveMinutes = 15
      $0.tables[0].admission = .minimumCount(2, sketchBytes: 64)
    },
    Variant(testDescription: "fp16 and bf16") {
      $0.tables[0].weights = .fp16
      $0.tables[1].weights = .bf16
    },
    Variant(testDescription: "Adam and FTRL") {
      $0.tables[0].optimizer = OptimizerSpec(
        .adam(beta1: 0.9, beta2: 0.99, epsilon: 1e-8), learningRate: 0.01)
      $0.tables[1].optimizer = OptimizerSpec(.ftrl(beta: 1), learningRate: 0.1, l1: 0.1)
    },
  ]

  @Test(arguments: variants) func aRestoredServerEqualsTheOneThatWasCut(variant: Variant) throws {
    var restored = 0
    for seed in UInt64(1)...4 {
      let harness = SnapshotHarness(
        model: TestModel.deep.changed(variant.change), comparesStatistics: variant.comparesStatistics, seed: seed)
      for _ in 0..<3 {
        for _ in 0..<250 { harness.step() }
        let before = harness.contentsAfterSweep()
        let reports = try harness.restart()
        for report in reports {
          #expect(report.skipped.isEmpty)
          guard let manifest = report.manifest else { continue }
          restored += 1
          let newest = harness.stored.filter { $0.id.shard == report.shard }.map(\.id).max()
          #expect(manifest.id == newest)
          #expect(harness.contents(of: report.shard) == harness.cuts[manifest.id], "seed \(seed) \(manifest.id)")
        }
        harness.replay()
        #expect(harness.contentsAfterSweep() == before, "seed \(seed)")
      }
      #expect(harness.mostInFlight <= SnapshotHarness.settings.partsInFlight)
    }
    #expect(restored > 8)
  }

  /// Which row of a sample gives way depends on where the index has room, which is not part of a snapshot.
  @Test func aTableAtItsLimitOfRowsIsRestoredAsItWas() throws {
    let model = TestModel.deep.changed { for table in $0.tables.indices { $0.tables[table].maximumRows = 40 } }
    let harness = SnapshotHarness(model: model, seed: 3)
    for _ in 0..<400 { harness.step() }
    harness.snapshot(id: 1)
    let before = harness.contentsAfterSweep()
    _ = try harness.restart()
    #expect(harness.contentsAfterSweep() == before)
    for _ in 0..<100 { harness.push() }
    _ = harness.contentsAfterSweep()
  }

  @Test func replicasGetRowsAndWatermarksOfARestoredServerAsABase() throws {
    let harness = SnapshotHarness(shards: 1)
    for _ in 0..<50 { harness.push() }
    harness.snapshot(id: 1)
    _ = try harness.restart()
    // Nothing was learned in this life, so there is nothing for a delta.
    #expect(!harness.server.sealDeltas(includingDense: true, compressor: NoCompressor()))
    let frames = try harness.server.sync(
      SyncRequest(positions: [(ShardID(0), .nothing)]), limitBytes: ShardServer.syncReplyBytes,
      compressor: NoCompressor())
    let frame = try frames[0].withUnsafeBytes {
      try SyncFrame(decoding: $0, compressor: NoCompressor(), maximumBodyBytes: 1 << 28)
    }
    let expected = harness.server.watermarks.map { [Int64($0.partition.value), $0.offset.value] }
    #expect(frame.watermarks.map { [Int64($0.partition.value), $0.offset.value] } == expected)
    #expect(expected.count == 3)
    #expect(!frame.tables[0].fids.isEmpty)
  }

  @Test func claimsOfAnEarlierLifeAreFenced() throws {
    let harness = SnapshotHarness()
    let old = harness.server.claim(PartitionID(0)).epoch
    harness.push()
    harness.snapshot(id: 1)
    _ = try harness.restart()
    for _ in 0..<5 {
      #expect(harness.server.claim(PartitionID(0)).epoch != old)
      do {
        _ = try harness.server.push(TestSection.push([]), PartitionID(0), old, 0, 1)
        Issue.record("not fenced")
      } catch { #expect(error.kind == .fenced) }
    }
    #expect(Int64(exactly: harness.server.claim(PartitionID(0)).epoch.value) != nil)
  }

  // MARK: - Damage

  @Test func aDamagedSnapshotIsSkippedForTheOneBeforeItAndReported() throws {
    var random = SeededGenerator(seed: 11)
    for seed in UInt64(1)...12 {
      let harness = SnapshotHarness(model: .tiny, shards: 1, seed: seed)
      for id in UInt64(1)...7 {
        for _ in 0..<5 { harness.push() }
        harness.snapshot(id: id)
      }
      let before = harness.contentsAfterSweep()
      let catalog = try SnapshotCatalog(store: harness.store).entries(of: ShardID(0)).manifests
      #expect(catalog.count >= 2)
      let name = [catalog.last!.id.manifestName, catalog.last!.chain.last!.name].randomElement(using: &random)!
      switch Int.random(in: 0..<4, using: &random) {
      case 0: harness.store.lose(name)
      case 1: harness.store.truncate(name, to: Int.random(in: 0..<harness.store.files[name]!.count, using: &random))
      case 2: harness.store.loseUnsynced(name, random: &random)
      default:
        let position = harness.store.files[name]!.indices.randomElement(using: &random)!
        harness.store.flip(name, at: position, mask: UInt8.random(in: 1...255, using: &random))
      }
      let wasLost = harness.store.files[name] == nil && name == catalog.last!.id.manifestName
      let report = try harness.restart()[0]
      #expect(report.manifest?.id == catalog[catalog.count - 2].id)
      #expect(report.skipped.map(\.name) == (wasLost ? [] : [catalog.last!.id.manifestName]))
      #expect(report.skipped.allSatisfy { $0.reason.contains("shard-0000/") }, "\(report.skipped)")
      #expect(harness.contents(of: ShardID(0)) == harness.cuts[report.manifest!.id])
      harness.replay()
      #expect(harness.contentsAfterSweep() == before)
      // The next snapshot does not rest on what was skipped, and takes it away.
      harness.push()
      harness.snapshot(id: 99)
      #expect(harness.store.files[catalog.last!.id.manifestName] == nil)
      #expect(try harness.restart()[0].skipped.isEmpty)
    }
  }

  @Test func aDamagedBaseLeavesTheSnapshotsOfTheBaseBefore() throws {
    let harness = SnapshotHarness(shards: 1)
    for id in UInt64(1)...6 {
      for _ in 0..<5 { harness.push() }
      harness.snapshot(id: id)
    }
    let manifests = try SnapshotCatalog(store: harness.store).entries(of: ShardID(0)).manifests
    let newest = manifests.last!
    harness.store.flip(newest.chain[0].name, at: 500, mask: 1)
    let report = try harness.restart()[0]
    #expect(report.manifest != nil)
    #expect(report.manifest!.chain[0] != newest.chain[0])
    #expect(report.skipped.count == manifests.filter { $0.chain[0] == newest.chain[0] }.count)
    #expect(harness.contents(of: ShardID(0)) == harness.cuts[report.manifest!.id])
  }

  @Test func aThousandSingleByteChangesOfASnapshotAreAllFound() throws {
    let harness = SnapshotHarness(model: .tiny, shards: 3)
    for _ in 0..<60 { harness.push(rows: 12, fids: 1000) }
    harness.snapshot(id: 1)
    // The shard that keeps no validation: a small file, of which every part is met.
    for name in harness.store.files.keys where !name.hasPrefix("shard-0002") { harness.store.lose(name) }
    let configuration = SnapshotHarness.configuration(harness.model, harness.map, life: 2)
    let names = harness.store.files.keys.sorted()
    #expect(names.count == 2)
    var random = SeededGenerator(seed: 3)
    for _ in 0..<1200 {
      let name = names.randomElement(using: &random)!
      let position = harness.store.files[name]!.indices.randomElement(using: &random)!
      let mask = UInt8.random(in: 1...255, using: &random)
      harness.store.flip(name, at: position, mask: mask)
      do {
        _ = try SnapshotRestorer(store: harness.store, compressor: harness.compressor, configuration: configuration)
          .restore()
        Issue.record("byte \(position) of \(name) changed by \(mask) was not found")
      } catch { #expect(error.kind == .noneWhole) }
      harness.store.flip(name, at: position, mask: mask)
    }
    #expect(try harness.restart()[2].manifest != nil)
  }

  @Test func withNoWholeSnapshotTheServerRefusesToStartAndSaysWhatIsWrongWithEach() throws {
    let harness = SnapshotHarness(shards: 1)
    for id in UInt64(1)...2 {
      harness.push()
      harness.snapshot(id: id)
    }
    let names = harness.store.files.keys.sorted()
    let manifests = names.filter { $0.hasSuffix(".manifest") }
    for name in names.filter({ $0.hasSuffix(".rows") }) { harness.store.truncate(name, to: 10) }
    do {
      _ = try harness.restart()
      Issue.record("started")
    } catch {
      #expect(error.kind == .noneWhole)
      for manifest in manifests { #expect(error.message.contains(manifest)) }
      #expect(error.message.contains("10 bytes"))
    }
  }

  @Test func dataWithoutAManifestCountsForNothingAndGoesWithTheNextSnapshot() throws {
    let harness = SnapshotHarness(shards: 1)
    harness.push()
    harness.snapshot(id: 1)
    let manifest = try #require(harness.store.files.keys.first { $0.hasSuffix(".manifest") })
    harness.store.lose(manifest)
    let data = try #require(harness.store.files.keys.first)
    let report = try harness.restart()[0]
    #expect(report.manifest == nil)
    #expect(report.rows == 0)
    harness.replay()
    harness.snapshot(id: 2)
    #expect(harness.store.files[data] == nil)
    #expect(harness.stored.last?.id.number == 2)
  }

  @Test func aStoreThatCannotBeListedIsAnErrorAndNotAnEmptyStore() throws {
    let harness = SnapshotHarness()
    harness.store.fault = { call, _, _ in call == .list }
    do {
      _ = try harness.restart()
      Issue.record("started")
    } catch { #expect(error.kind == .store) }
  }

  // MARK: - Configuration

  @Test func aSnapshotOfOtherTablesIsRefusedByName() throws {
    let harness = SnapshotHarness()
    harness.push()
    harness.snapshot(id: 1)
    func refusal(_ model: TestModel, shards: Int = 2) -> String? {
      let configuration = SnapshotHarness.configuration(model, ShardMap(shardCount: shards, serverCount: 1), life: 9)
      do {
        _ = try SnapshotRestorer(store: harness.store, compressor: harness.compressor, configuration: configuration)
          .restore()
        return nil
      } catch { return error.kind == .mismatch ? error.message : nil }
    }
    #expect(refusal(.deep.changed { $0.tables[1].name = "other" })?.contains("table0, other, dense") == true)
    #expect(refusal(.deep.changed { $0.tables[0].weights = .bf16 })?.contains("table0 has weights in fp32") == true)
    #expect(
      refusal(.deep.changed { $0.tables[1].optimizer = TestModel.adagrad })?.contains(
        "the optimizer sgd, the model's adagrad")
        == true)
    #expect(
      refusal(.deep.changed { for table in $0.tables.indices { $0.tables[table].dimension = 5 } })?
        .contains("4 weights in a row, the model's 6") == true)
    #expect(refusal(.deep, shards: 4)?.contains("2 shards, cluster.shards is 4") == true)
    // A newer snapshot that fits nothing is not passed over for an older one that would.
    #expect(refusal(.deep) == nil)
  }

  @Test func ratesAndRulesOfAdmissionMayChangeBetweenLives() throws {
    let counting = TestModel.deep.changed { $0.tables[0].admission = .minimumCount(2, sketchBytes: 4096) }
    let harness = SnapshotHarness(model: counting, shards: 1)
    for _ in 0..<20 { harness.push() }
    harness.snapshot(id: 1)
    for change: @Sendable (inout ModelSpec) -> Void in [
      { $0.tables[0].admission = .everything }, { $0.tables[0].admission = .minimumCount(2, sketchBytes: 128) },
      { $0.tables[0].admission = .probability(0.5) },
    ] {
      let configuration = SnapshotHarness.configuration(counting.changed(change), harness.map, life: 2)
      let restored = try SnapshotRestorer(
        store: harness.store, compressor: harness.compressor, configuration: configuration
      ).restore()
      #expect(restored.reports[0].notes.count == 1, "\(restored.reports[0].notes)")
      #expect(restored.reports[0].rows > 0)
    }
    let faster = counting.changed { $0.tables[1].optimizer = .sgd(learningRate: 3) }
    let restored = try SnapshotRestorer(
      store: harness.store, compressor: harness.compressor,
      configuration: SnapshotHarness.configuration(faster, harness.map, life: 2)
    ).restore()
    #expect(restored.reports[0].notes.isEmpty)
  }
}

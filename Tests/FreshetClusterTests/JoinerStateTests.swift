import FreshetCluster
import FreshetCore
import Testing

@Suite struct JoinerStateTests {
  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// One impression with an action, one without, and an action that waits.
  private static func small(_ state: MemoryState) throws -> JoinerBench {
    let bench = try JoinerBench({ $0.negativeRate = 1 }, state: state)
    bench.nowMs = 6_000
    bench.feature(0, "a", at: 5000)
    bench.feature(1, "b", at: 5010)
    bench.action(0, "a", at: 5020)
    bench.action(7, "c", at: 5030, value: 2.5, kind: "click")
    try bench.settle()
    bench.commit()
    return bench
  }

  @Test func theBytesOnDiskAreThoseOfTheDocument() throws {
    let state = MemoryState()
    let bench = try Self.small(state)
    #expect(bench.committed?.text == "j1 0 2 0 8 5030")
    let impressions = Dictionary(
      uniqueKeysWithValues: state.entries(.impressions).map { (Self.hex($0.key), Self.hex($0.value)) })
    func part(_ request: String) throws -> String {
      let key = Self.hex(withUnsafeBytes(of: Hashing.xxh3(request).bigEndian, Array.init))
      return try #require(impressions[key])
    }
    // format, seen, positives, event time; append time − event time, offset, lengths of the keys; the keys; the part.
    #expect(try part("a").hasPrefix("01" + "0100" + "0100" + "8813000000000000" + "d00f" + "00" + "01" + "01" + "3733"))
    #expect(try part("b").hasPrefix("01" + "0000" + "0000" + "9213000000000000" + "bc0f" + "01" + "01" + "01" + "3733"))
    #expect(impressions.count == 2)
    let closings = state.entries(.closings).map { (Self.hex($0.key), $0.value) }.sorted { $0.0 < $1.0 }
    #expect(closings.map(\.0) == ["0000000000001770" + "0000000000000000", "000000000000177a" + "0000000000000001"])
    #expect(closings[0].1 == withUnsafeBytes(of: Hashing.xxh3("a").littleEndian, Array.init))
    let actions = state.entries(.actions).map { (Self.hex($0.key), $0.value) }
    #expect(actions.map(\.0) == ["0000000000000007"])
    let action = Self.hex(actions[0].1)
    let hash = Self.hex(withUnsafeBytes(of: Hashing.xxh3("c").littleEndian, Array.init))
    let payload = Self.hex(Array(JoinerBench.action("c", at: 5030, value: 2.5, kind: "click").utf8))
    #expect(
      action == "01" + "01" + "01" + hash + "a613000000000000" + "7017000000000000" + "0000000000000440" + payload)
    let about = Dictionary(uniqueKeysWithValues: state.entries(.about).map { (Self.hex($0.key), $0.value) })
    #expect(about[Self.hex(Array("position".utf8))] == Array("j1 0 2 0 8 5030".utf8))
    // Needed until the last of them is over; how many.
    #expect(
      about[Self.hex([UInt8(ascii: "f")]) + "0000000000000000"].map(Self.hex) == "de17000000000000" + "0200000000000000"
    )
    #expect(
      about[Self.hex([UInt8(ascii: "a")]) + "0000000000000000"].map(Self.hex) == "5618000000000000" + "0200000000000000"
    )
    let identity = String(decoding: try #require(about[Self.hex(Array("identity".utf8))]), as: UTF8.self)
    #expect(identity.hasPrefix("freshet joiner state 1 schema 1 rules ") && identity.hasSuffix(" test"))
    #expect(about.count == 4)
  }

  @Test func aStateWithAnyByteWrongIsAnErrorOrAStateButNoCrash() throws {
    let state = MemoryState()
    let point = try #require(try Self.small(state).committed)
    var failures = 0
    for family in [JoinerStateFamily.impressions, .closings, .actions, .about] {
      for (key, value) in state.entries(family) {
        var broken = (0..<value.count).map { position in
          var copy = value
          copy[position] ^= 0xff
          return copy
        }
        broken += (0..<value.count).map { Array(value.prefix($0)) }
        broken.append(value + [1])
        for bytes in broken {
          let copy = state.copy(batchesAgo: 0)
          copy.put(family, key, bytes)
          do {
            let bench = try JoinerBench({ $0.negativeRate = 1 }, from: point, state: copy)
            bench.action(8, "a", at: 5040, kind: "click")
            bench.action(9, "b", at: 5050)
            bench.feature(2, "c", at: 5040)
            bench.feature(3, "z", at: 9000)
            try bench.settle()
          } catch let error as JoinerStateError {
            #expect(error.kind == .damaged)
            failures += 1
          }
        }
      }
    }
    #expect(failures > 30)
  }

  @Test func aFullDiskStopsThePartitionUntilItHasRoom() throws {
    let state = MemoryState()
    let bench = try JoinerBench({ $0.negativeRate = 1 }, state: state)
    bench.feature(0, "a", at: 5000)
    bench.action(0, "a", at: 5001)
    try bench.settle()
    state.isFull = true
    bench.commit()
    #expect(bench.partition.stateProblem?.kind == .noSpace)
    #expect(bench.partition.commitPoint == nil)
    bench.feature(1, "b", at: 5100)
    bench.action(1, "b", at: 5101)
    for _ in 0..<5 {
      bench.nowMs += 5_000
      try bench.settle()
    }
    #expect(bench.examples.count == 1 && bench.partition.queuedRecordCount == 2)
    #expect(bench.flow == ["features paused", "actions paused"])
    #expect(bench.partition.stateReport.isFull && bench.partition.stateReport.fullCount == 1)
    state.isFull = false
    bench.nowMs += 1_000
    try bench.settle()
    #expect(bench.partition.stateProblem == nil && bench.examples.count == 2)
    #expect(bench.flow == ["features paused", "actions paused", "features resumed", "actions resumed"])
    bench.commit()
    #expect(state.entries(.impressions).count == 2)
  }

  @Test func aDiskThatCannotBeReadEndsThePartitionWithoutACommit() throws {
    let state = MemoryState()
    let bench = try JoinerBench({ $0.maxWaitingFeatureBytes = 1 }, state: state)
    bench.feature(0, "a", at: 5000)
    bench.action(0, "x", at: 5001)
    try bench.settle()
    bench.commit()
    state.failure = JoinerStateError(.damaged, "checksum mismatch")
    bench.action(1, "a", at: 5002)
    #expect(throws: JoinerStateError(.damaged, "checksum mismatch")) { try bench.settle() }
    #expect(bench.partition.commitPoint == nil)
  }

  @Test func aPartitionAsksForACommitBeforeTooMuchIsUnwritten() throws {
    let bench = try JoinerBench({ $0.maxUnwrittenBytes = 2_000 }, state: MemoryState())
    for offset in 0..<500 { bench.feature(Int64(offset), "r\(offset)", at: 5000) }
    bench.end()
    bench.nowMs += 10_000
    bench.confirmEnds()
    #expect(bench.partition.run(catalog: bench.catalog, now: bench.now, output: bench.output) == .commitNeeded)
    #expect(bench.partition.stateReport.unwrittenBytes < 2_200)
    try bench.settle()
    #expect(bench.partition.stateReport.writes > 10 && bench.partition.waitingFeatureCount == 500)
  }

  @Test func impressionsBeyondTheBudgetLeaveMemoryAndAreFoundOnDisk() throws {
    let state = MemoryState()
    let bench = try JoinerBench(
      {
        $0.maxWaitingFeatureBytes = 1 << 19
        $0.windowMs = 1 << 40
      }, state: state)
    for round in 0..<10 {
      for index in 0..<1000 { bench.feature(Int64(round * 1000 + index), "r\(round * 1000 + index)", at: 5000) }
      try bench.settle()
      bench.commit()
      #expect(bench.partition.stateReport.memoryBytes < (1 << 19) + (1 << 18))
    }
    #expect(bench.partition.stateReport.memoryFeatures < 5000)
    #expect(bench.partition.counters.evictedFeatures == 0 && state.entries(.impressions).count == 10_000)
    for offset in 0..<100 { bench.action(Int64(offset), "r\(offset * 100)", at: 6000) }
    try bench.settle()
    #expect(bench.examples.count == 100)
    #expect(bench.partition.stateReport.lookups.found > 50)
  }

  @Test func onlyAStateThatFitsIsGoneOnFrom() throws {
    let state = MemoryState()
    var config = JoinerConfig()
    let point = try #require(try Self.small(state).committed)
    config.windowMs = 1000
    config.graceMs = 100
    config.maxAheadMs = 1 << 40
    config.negativeRate = 1
    #expect(try state.run(config, point) == .usable(point))
    var later = point
    later.featureNext += 5
    later.actionNext += 5
    later.streamTimeMs! += 100
    #expect(try state.run(config, later) == .usable(point))
    #expect(
      try state.run(config, later, starts: (2, 8)) == .usable(point), "the log still holds all that came after it")
    func isUseless(_ check: JoinerStateCheck) -> Bool { if case .useless = check { true } else { false } }
    #expect(isUseless(try state.run(config, later, starts: (3, 0))))
    #expect(isUseless(try state.run(config, later, starts: (0, 9))))
    var earlier = point
    earlier.actionNext -= 1
    #expect(isUseless(try state.run(config, earlier)), "ahead of what is committed")
    #expect(isUseless(try state.run(config, .start)))
    config.maxQueuedRecords = 50
    config.maxWaitingFeatureBytes = 7
    #expect(try state.run(config, point) == .usable(point), "bounds are no rules")
    config.windowMs += 1
    #expect(isUseless(try state.run(config, point)))
    #expect(try MemoryState().run(config, point) == .empty)
    let incomplete = state.copy(batchesAgo: 0)
    incomplete.put(.about, Array("position".utf8), nil)
    config.windowMs -= 1
    #expect(isUseless(try incomplete.run(config, point)))
    let unnamed = state.copy(batchesAgo: 0)
    unnamed.put(.about, Array("identity".utf8), nil)
    #expect(isUseless(try unnamed.run(config, point)))
  }
}

import Testing

@testable import FreshetSimulator

@Suite struct SimulationTests {
  /// The faults and reactions that 300 seeds have to meet, and how often at least; fewer prove too little.
  static let needed: [Happening: Int] = [
    .messageLost: 50, .delaySpike: 300, .duplicateRequest: 50, .requestOfDeadConnection: 15, .connectionReset: 80,
    .partition: 80, .oneWayPartition: 80, .corruptFrame: 30, .busyServer: 50,
    .serverCrash: 80, .trainerCrash: 80, .joinerCrash: 80, .replicaCrash: 50, .pause: 200, .gracefulStop: 100,
    .rebalance: 500, .secondOwner: 40, .memberExpired: 100, .brokerOutage: 100, .brokerRefusal: 50, .retention: 8,
    .unsafeRetention: 2, .transactionAborted: 30, .transactionExpired: 3, .producerFenced: 3,
    .crashWhileWriting: 10, .unsyncedLost: 4, .unsyncedTorn: 4, .writeFailed: 100, .diskFull: 30, .slowDisk: 1_000,
    .bitFlip: 5,
    .fencedPush: 20, .duplicatePush: 150, .watermarkRefusal: 2, .claimAgain: 250, .snapshotStored: 800,
    .deltaStored: 600, .snapshotAbandoned: 20, .snapshotRestored: 80, .snapshotSkipped: 3, .restoreRefused: 5,
    .storeWiped: 3, .replicaGap: 1, .replicaBase: 500, .replicaRebased: 1, .lostFrame: 20, .repeatedFrame: 20,
    .cutFrame: 20, .deltaSplit: 100, .chunkShared: 1, .syncCapped: 50, .stateStored: 100, .stateRestored: 50,
    .stateSkipped: 1, .stateCaughtUpByDeltas: 1, .replicaStopped: 5, .joinerRestored: 200, .deadLetter: 300,
    .gapDetected: 1,
    .joinerStateUsed: 200, .joinerStateLost: 10, .joinerStateOlder: 7, .joinerStateUseless: 2, .joinerStateLocked: 10,
    .joinerStateDamaged: 2, .joinerDiskFull: 10, .joinerDiskHit: 2_000, .joinerCommitNeeded: 50, .joinerRetention: 25,
  ]

  @Test func threeHundredClustersHoldEveryPromiseAndMeetEveryFault() async {
    let report = await SeedRunner(profile: .general, threads: 2, untilFailure: false, keepsTraces: false).run(1...300) {
      _, _ in
    }
    for failure in report.failures {
      Issue.record("seed \(failure.seed): \(failure.violation!)\n\(failure.trace.suffix(40).joined(separator: "\n"))")
    }
    #expect(report.seeds == 300 && report.failureCount == 0)
    for (happening, count) in Self.needed.sorted(by: { $0.key < $1.key }) {
      #expect(report.coverage[happening] >= count, "\(happening)")
    }
  }

  /// What `freshet simulate --profile sync --seeds 1..100` shows.
  @Test func aHundredClustersWhoseFramesAreLostRepeatedAndCutHaveEqualReplicasAtLast() async {
    let report = await SeedRunner(profile: .sync, threads: 2, untilFailure: false, keepsTraces: false)
      .run(1...100) { _, _ in }
    for failure in report.failures {
      Issue.record("seed \(failure.seed): \(failure.violation!)\n\(failure.trace.suffix(40).joined(separator: "\n"))")
    }
    #expect(report.seeds == 100 && report.failureCount == 0)
    for (happening, count) in [
      Happening.lostFrame: 500, .repeatedFrame: 500, .cutFrame: 500, .replicaCrash: 90, .rowEvicted: 200,
      .stateRestored: 50,
    ] { #expect(report.coverage[happening] >= count, "\(happening)") }
  }

  @Test(arguments: [3, 8, 21, 34]) func theSameSeedGivesTheSameRun(seed: UInt64) {
    let first = Simulation.run(seed: seed, profile: .general, keepsTrace: true)
    let second = Simulation.run(seed: seed, profile: .general, keepsTrace: true)
    #expect(first.traceHash == second.traceHash && first.steps == second.steps)
    #expect(first.trace == second.trace && first.trace.count > 100)
    #expect(first.coverage == second.coverage)
  }

  @Test(arguments: [SimulationProfile.general, .sync]) func nothingOfASimulationIsLeftWhenItIsOver(
    profile: SimulationProfile
  ) {
    for seed in UInt64(70)..<80 {
      weak var left: World?
      _ = Simulation.run(seed: seed, profile: profile, keepsTrace: false) { left = $0 }
      #expect(left == nil, "seed \(seed)")
    }
  }

  @Test func differentSeedsGiveDifferentRuns() {
    let hashes = (UInt64(40)..<60).map { Simulation.run(seed: $0, profile: .general, keepsTrace: false).traceHash }
    #expect(Set(hashes).count == hashes.count)
  }
}

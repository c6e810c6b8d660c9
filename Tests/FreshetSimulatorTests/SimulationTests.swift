import FreshetSimulator
import Testing

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
    .storeWiped: 3, .replicaGap: 1, .replicaBase: 500, .joinerRestored: 200, .deadLetter: 300, .gapDetected: 1,
  ]

  @Test func threeHundredClustersHoldEveryPromiseAndMeetEveryFault() async {
    let report = await SeedRunner(threads: 2, untilFailure: false, keepsTraces: false).run(1...300) { _, _ in }
    for failure in report.failures {
      Issue.record("seed \(failure.seed): \(failure.violation!)\n\(failure.trace.suffix(40).joined(separator: "\n"))")
    }
    #expect(report.seeds == 300 && report.failureCount == 0)
    for (happening, count) in Self.needed.sorted(by: { $0.key < $1.key }) {
      #expect(report.coverage[happening] >= count, "\(happening)")
    }
  }

  @Test(arguments: [3, 8, 21, 34]) func theSameSeedGivesTheSameRun(seed: UInt64) {
    let first = Simulation.run(seed: seed, keepsTrace: true)
    let second = Simulation.run(seed: seed, keepsTrace: true)
    #expect(first.traceHash == second.traceHash && first.steps == second.steps)
    #expect(first.trace == second.trace && first.trace.count > 100)
    #expect(first.coverage == second.coverage)
  }

  @Test func differentSeedsGiveDifferentRuns() {
    let hashes = (UInt64(40)..<60).map { Simulation.run(seed: $0, keepsTrace: false).traceHash }
    #expect(Set(hashes).count == hashes.count)
  }
}

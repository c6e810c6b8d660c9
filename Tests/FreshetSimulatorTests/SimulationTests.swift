import FreshetSimulator
import Testing

@Suite struct SimulationTests {
  /// The faults and reactions that 300 seeds have to meet, and how often at least; fewer prove too little.
  static let needed: [Happening: Int] = [
    .messageLost: 200, .delaySpike: 200, .duplicateRequest: 200, .requestOfDeadConnection: 20, .connectionReset: 50,
    .partition: 50, .oneWayPartition: 50, .corruptFrame: 50, .busyServer: 50,
    .serverCrash: 50, .trainerCrash: 50, .joinerCrash: 50, .replicaCrash: 20, .pause: 200, .gracefulStop: 20,
    .rebalance: 300, .secondOwner: 20, .memberExpired: 50, .brokerOutage: 50, .brokerRefusal: 100, .retention: 5,
    .unsafeRetention: 1, .transactionAborted: 20, .transactionExpired: 2, .producerFenced: 2,
    .crashWhileWriting: 20, .unsyncedLost: 3, .unsyncedTorn: 3, .writeFailed: 100, .diskFull: 50, .slowDisk: 500,
    .bitFlip: 3,
    .fencedPush: 50, .watermarkRefusal: 5, .duplicatePush: 20, .claimAgain: 500, .snapshotStored: 500, .deltaStored: 500,
    .snapshotAbandoned: 10, .snapshotRestored: 50, .snapshotSkipped: 3, .restoreRefused: 1, .replicaGap: 10,
    .replicaBase: 300, .joinerRestored: 20, .deadLetter: 300, .gapDetected: 1,
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

/// Something that a simulation is meant to meet: a fault, or what a machine does about one.
public enum Happening: Int, CaseIterable, Sendable, Comparable {
  // Network
  case messageLost, delaySpike, duplicateRequest, requestOfDeadConnection, connectionReset, partition, oneWayPartition,
    corruptFrame, lostFrame, repeatedFrame, cutFrame, busyServer
  // Processes
  case serverCrash, trainerCrash, joinerCrash, replicaCrash, pause, gracefulStop, replicaStopped
  // Groups and the log
  case rebalance, secondOwner, memberExpired, brokerOutage, brokerRefusal, retention, unsafeRetention,
    transactionAborted,
    transactionExpired, producerFenced
  // Disks
  case crashWhileWriting, unsyncedLost, unsyncedTorn, writeFailed, diskFull, slowDisk, bitFlip
  // What machines did
  case fencedPush, duplicatePush, watermarkRefusal, claimAgain, snapshotStored, deltaStored, snapshotAbandoned,
    snapshotRestored, snapshotSkipped, restoreRefused, storeWiped, replicaGap, replicaBase, replicaRebased, rowEvicted,
    deltaSplit,
    chunkShared, syncCapped, stateStored, stateRestored, stateSkipped, stateCaughtUpByDeltas, joinerRestored,
    deadLetter, gapDetected
  // The joiner's state on disk
  case joinerStateUsed, joinerStateLost, joinerStateOlder, joinerStateUseless, joinerStateLocked, joinerStateDamaged,
    joinerDiskFull, joinerDiskHit, joinerCommitNeeded, joinerRetention

  public static func < (a: Happening, b: Happening) -> Bool { a.rawValue < b.rawValue }
}

/// How often what happened.
public struct Coverage: Sendable, Equatable {
  private var counts = [Int](repeating: 0, count: Happening.allCases.count)

  public init() {}

  public subscript(_ happening: Happening) -> Int {
    get { counts[happening.rawValue] }
    set { counts[happening.rawValue] = newValue }
  }

  public mutating func merge(_ other: Coverage) {
    for index in counts.indices { counts[index] += other.counts[index] }
  }

  /// One line for each happening.
  public var table: [String] { Happening.allCases.map { "\($0)\t\(self[$0])" } }
}

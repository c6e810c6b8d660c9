import FreshetCore
import FreshetModel

/// What is under way between a partition's memory and its disk.
struct StateWriting {
  /// Changes since the last write, once they have been collected: after a full disk they are tried again as they are.
  let batch = JoinerStateBatch()
  /// Whether `batch` is still to be written, and what it is the state of; no position while the state is being rebuilt.
  var isPending = false
  var position: JoinerCommitPoint?
  /// What the disk holds.
  var written: JoinerCommitPoint?
  /// Where the partition began, and whether it has been written that the disk is there too.
  var start = JoinerCommitPoint.start
  var isAtStart = false
  var expiry = JoinerStateExpiry(impressionsBeforeMs: .min, closingsBeforeMs: .min)
  var lastTry: Instant?
  var fullness: JoinerStateError?
  var writes = 0
  var fullCount = 0
}

extension JoinerPartition {
  /// How often a full disk is tried again, in ms.
  private static let retryMs = 1_000.0
  /// Of impressions read from disk there is always room for so much: more than are looked up at once.
  static let leastLoadedBytes = 1 << 20

  // MARK: - What the shell does

  /// The Kafka transaction with the partition's `commitPoint` is committed: writes the state of that moment to the disk.
  /// Nothing may have been run in between. Without a disk, does nothing.
  public func committed(_ point: JoinerCommitPoint, now: Instant) {
    guard disk != nil, !writing.isPending, stateProblem == nil else { return }
    write(point, now)
  }

  /// What is wrong with the disk: it is full, or the state on it cannot be used. Nil if nothing is.
  public var stateProblem: JoinerStateError? { disk?.failure ?? writing.fullness }

  var isDiskFull: Bool { writing.fullness != nil }

  /// What the partition keeps, by tier.
  public var stateReport: JoinerStateReport {
    var report = JoinerStateReport()
    report.memoryFeatures = store.residentCount
    report.memoryBytes = store.residentBytes + waiting.residentBytes
    report.lookups = store.lookups
    if let disk {
      report.isTiered = true
      report.diskFeatures = featureSpans.recordCount
      report.diskBytes = disk.store.sizeBytes
      report.unwrittenBytes = unwrittenBytes
      report.writes = writing.writes
      report.fullCount = writing.fullCount
      report.isFull = isDiskFull
    }
    return report
  }

  // MARK: - Reading

  /// Takes up the state of an earlier life.
  ///
  /// What happened between `stateAt` and `from` is read from the log again; the stream time is that of `from` already.
  func takeUp(_ disk: StateAccess, at stateAt: JoinerCommitPoint?, from: JoinerCommitPoint) {
    writing.written = stateAt
    if let time = from.streamTimeMs { store.keptFromMs = keptFromMs(at: time) }
    guard stateAt != nil else { return }
    closings.startFromDisk(fromMs: from.streamTimeMs ?? 0)
    disk.scan(.actions, from: []) { key, value throws(JoinerStateError) in
      let found = try StateRecord.action(key: key, value: value)
      waiting.add(found.action, requestHash: found.requestHash)
      return true
    }
    disk.scan(.about, from: StateRecord.spanKey(.actions, first: 0)) { key, value throws(JoinerStateError) in
      switch key.first {
      case UInt8(ascii: "a"): actionSpans.load(try StateRecord.span(key: key, value: value))
      case UInt8(ascii: "f"): featureSpans.load(try StateRecord.span(key: key, value: value))
      default: return false
      }
      return true
    }
    if let time = from.streamTimeMs {
      // These were reported by the life that moved the time on.
      while waiting.giveUp(streamTimeMs: time) != nil {}
      actionSpans.drop(streamTimeMs: time)
      featureSpans.drop(streamTimeMs: time)
    }
  }

  /// Looks up at once what the next records of a topic ask for.
  func prefetch(_ topic: JoinerTopic) {
    switch topic {
    case .features:
      prefetched[topic.rawValue] = min(featureQueue.count, FeatureStore.prefetchCount)
      store.prefetch(featureQueue.count) { featureQueue[$0].impression.requestHash }
    case .actions:
      prefetched[topic.rawValue] = min(actionQueue.count, FeatureStore.prefetchCount)
      store.prefetch(actionQueue.count) { actionQueue[$0].requestHash }
    }
  }

  /// Remembers which offsets the state is made of.
  func noteNeeded(_ impression: Impression) {
    let neededUntilMs = impression.timeMs + config.keptMs
    guard disk != nil, neededUntilMs >= streamTimeMs ?? .min else { return }
    featureSpans.add(impression.offset, neededUntilMs: neededUntilMs)
  }

  /// Impressions of earlier event times are over.
  func keptFromMs(at streamTimeMs: Int64) -> Int64 { streamTimeMs - config.keptMs }

  // MARK: - Writing

  var unwrittenBytes: Int { store.changedBytes + closings.unwrittenBytes }

  /// Only a commit makes room in memory.
  var isCommitNeeded: Bool { unwrittenBytes >= config.maxUnwrittenBytes }

  /// Does what is to be done with the disk before anything else happens.
  /// - Returns: Why nothing else may happen; nil if it may.
  func settleState(_ now: Instant) -> Progress? {
    guard let disk else { return nil }
    guard disk.failure == nil else { return .stateFailed }
    if writing.isPending {
      guard let last = writing.lastTry, now.milliseconds(since: last) >= Self.retryMs else { return .diskFull }
      apply(now)
    } else if !isRestored {
      // Without a position it is not the state of any, and no later life takes it for one.
      if unwrittenBytes >= config.maxUnwrittenBytes { write(nil, now) }
    } else if !writing.isAtStart {
      // All that the commit before this life is made of has been seen again, and nothing else.
      writing.isAtStart = true
      if writing.written != writing.start { write(writing.start, now) }
    }
    if disk.failure != nil { return .stateFailed }
    return writing.isPending ? .diskFull : nil
  }

  private func write(_ position: JoinerCommitPoint?, _ now: Instant) {
    store.write(to: writing.batch)
    let time = streamTimeMs ?? .min
    closings.write(to: writing.batch, fromMs: time)
    waiting.write(to: writing.batch)
    if let position {
      featureSpans.write(.features, to: writing.batch)
      actionSpans.write(.actions, to: writing.batch)
      writing.batch.put(.about, key: StateRecord.positionKey, value: Array(position.text.utf8))
    }
    writing.position = position
    writing.isPending = true
    if streamTimeMs != nil {
      writing.expiry = JoinerStateExpiry(impressionsBeforeMs: keptFromMs(at: time), closingsBeforeMs: time)
    }
    apply(now)
  }

  private func apply(_ now: Instant) {
    guard let disk else { return }
    writing.lastTry = now
    do throws(JoinerStateError) {
      try disk.store.apply(writing.batch, expiry: writing.expiry)
    } catch {
      if error.kind == .noSpace {
        if writing.fullness == nil { writing.fullCount += 1 }
        writing.fullness = error
      } else {
        disk.fail(error)
      }
      return
    }
    writing.batch.removeAll()
    writing.isPending = false
    writing.fullness = nil
    writing.writes += 1
    if let position = writing.position { writing.written = position }
    store.trim(to: config.maxWaitingFeatureBytes)
    closings.trim()
    prefetched = [0, 0]
  }
}

/// What a partition keeps, by tier.
public struct JoinerStateReport: Sendable, Equatable {
  public var isTiered = false
  /// Impressions in memory; with a disk, those that are on it too included.
  public var memoryFeatures = 0
  /// Theirs and of the actions that wait.
  public var memoryBytes = 0
  /// Impressions that wait, in memory or not; those of 256 records are counted until the last of them is over.
  public var diskFeatures = 0
  public var diskBytes = 0
  /// Changed since the last commit.
  public var unwrittenBytes = 0
  public var writes = 0
  /// How often the disk was found full.
  public var fullCount = 0
  public var isFull = false
  public var lookups = JoinerLookups()

  public init() {}
}

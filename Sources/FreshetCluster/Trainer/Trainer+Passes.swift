import FreshetCore

/// The batch stage: passes over a partition one after the other, each to its end on every shard, then the stream.
extension Trainer {
  /// What a claim of the partition begins with: the passes are gone through again each time, since a server may have lost
  /// what it had of one. A pass that all shards have finished costs a claim and no more.
  func firstPass(of partition: PartitionID) -> PartitionID {
    configuration.passes > 0 ? PartitionID(partition, pass: 1) : partition
  }

  /// Whether all shards have had the whole pass.
  func hasEndedEverywhere(_ partition: PartitionID) -> Bool {
    guard partition.pass > 0, let state = partitions[partition], state.epochs.count == configuration.map.serverCount
    else { return false }
    return state.watermarks.allSatisfy { $0.watermark.finishedEnd != nil }
  }

  /// Begins the pass where the shard is that is furthest behind.
  ///
  /// It ends where it has ended for shards that have finished it. If there are none it ends where the archive, or the log, ends
  /// now: nothing depends on that yet.
  func locatedPass(_ partition: PartitionID, start: Offset, end available: Offset) {
    var state = partitions[partition]!
    let unfinished = Set(state.watermarks.map(\.watermark).filter { $0.finishedEnd == nil }).sorted()
    let finished = state.watermarks.lazy.compactMap { $0.watermark.finishedEnd }.max()
    let ahead = max(unfinished[unfinished.count - 1], finished ?? .none)
    guard holdsWhatIsNeeded(partition, start: start, end: available, ahead: ahead) else { return }
    let end = finished ?? available
    let smallest = unfinished[0]
    state.next = smallest
    state.applied = smallest
    state.end = end
    state.cuts = Set(unfinished).union([min(start, end), min(countedBelow(partition), end)])
      .filter { $0 > smallest }.sorted()
    state.phase = .running
    state.backoff.reset()
    partitions[partition] = state
    let first = min(max(smallest, start), end)
    actions.append(
      .notice(
        "partition \(partition.stream): pass \(partition.pass) of \(configuration.passes), offsets \(first) ..< \(end)")
    )
    actions.append(.fetchPass(partition, attempt: state.attempt, from: first, until: end))
  }

  /// Tells the shards that a pass is over, once everything of it is in batches that have been pushed.
  func endPassIfPossible(_ partition: PartitionID) {
    guard partition.pass > 0, let state = partitions[partition], let end = state.end, state.hasAllExamples,
      !state.isEnding, state.queue.isEmpty, state.inFlight.isEmpty
    else { return }
    partitions[partition]!.isEnding = true
    // Shards ahead of the last example stand at one of these.
    while let cut = partitions[partition]!.cuts.first { skipToCut(partition, cut) }
    batchNumber += 1
    push(
      partition,
      PartitionTraining.InFlight(
        number: batchNumber, step: takeStep(), from: partitions[partition]!.next, to: .finished(at: end),
        examples: nil),
      hasExamples: false)
  }

  /// Goes on with the next pass, or with the stream, when all servers have this one.
  func startNextPassIfEnded(_ partition: PartitionID, _ now: Instant) {
    guard partition.pass > 0, let state = partitions[partition] else { return }
    let end: Offset
    if let pushed = state.applied.finishedEnd {
      end = pushed
    } else if state.phase == .claiming, hasEndedEverywhere(partition) {
      end = state.watermarks.lazy.compactMap { $0.watermark.finishedEnd }.min()!
    } else {
      return
    }
    let isLast = partition.pass >= configuration.passes
    let next = isLast ? partition.stream : PartitionID(partition.stream, pass: partition.pass + 1)
    var following = PartitionTraining(now: now, seed: configuration.seed ^ UInt64(partition.value))
    following.validatedBelow = partition.pass == 1 ? end : state.validatedBelow
    partitions[partition] = nil
    partitions[next] = following
    claimIfPossible(next, now)
  }
}

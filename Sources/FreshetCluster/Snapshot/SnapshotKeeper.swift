import FreshetCore

/// Decides when which shard of a process is snapshotted and how, and copies it while training goes on. Does no I/O and reads
/// no clock: a `SnapshotFileWriter` carries the actions out.
///
/// One shard at a time is cut, at an instant between two commands, and copied in slices. Rounds over all shards that have
/// learned something begin every `SnapshotSettings.intervalMs`. A shard's first snapshot in a life of the server is a base, so
/// is the one after a failure; in between come deltas. Belongs to the thread that owns the shards.
public struct SnapshotKeeper {
  /// Requests that may wait at once.
  public static let maximumRequests = 64
  /// Names that are remembered because they could not be removed.
  private static let maximumUnremoved = 4096

  private struct Request {
    let id: UInt64
    /// By shard, the `SnapshotSource.changes` that a snapshot must include.
    let needs: [(shard: ShardID, changes: UInt64)]
  }

  let settings: SnapshotSettings
  private let life: UInt64
  private var shards: [ShardID: ShardSnapshots] = [:]
  private var generator: SeededGenerator
  private var lastTicket: UInt64 = 0
  private var copy: SnapshotCopy?
  /// Shards whose turn is to come, in this order.
  private var queue: [ShardID] = []
  private var roundAt: Instant?
  private var requests: [Request] = []
  private var unremoved: [String] = []
  private var stop = SnapshotStop()
  public private(set) var statistics = SnapshotStatistics()

  /// - Parameters:
  ///   - life: `ShardServer.Configuration.generation`.
  ///   - histories: Of the hosted shards, as `SnapshotRestorer` found them.
  public init(settings: SnapshotSettings, life: UInt64, histories: [ShardID: SnapshotHistory]) {
    self.settings = settings
    self.life = life
    generator = SeededGenerator(seed: settings.seed)
    for (shard, history) in histories.sorted(by: { $0.key < $1.key }) {
      let backoff = Backoff(baseMs: settings.retryBaseMs, capMs: settings.retryCapMs, seed: generator.next())
      shards[shard] = ShardSnapshots(history, backoff: backoff)
    }
  }

  /// Whether `advance` would copy something. It would not while the writer has as many parts as it may have.
  public var hasWork: Bool {
    guard let copy else { return false }
    return !copy.isDone && copy.inFlight < settings.partsInFlight
  }

  /// The snapshot under way: its shard, the rows copied so far and the rows in all.
  public var underWay: (shard: ShardID, rowsCopied: Int, rowCount: Int)? {
    copy.map { ($0.shard, $0.rowsCopied, $0.rowCount) }
  }

  /// Memory of rows that changed before they were copied.
  public func sideBytes(shards source: some SnapshotSource) -> Int {
    copy.map { $0.sideBytes(source.tables(of: $0.shard)) } ?? 0
  }

  public func status(shards source: some SnapshotSource, now: Instant) -> [ShardSnapshotStatus] {
    shards.sorted { $0.key < $1.key }.map { shard, snapshots in
      let chain = snapshots.newest?.chain ?? []
      return ShardSnapshotStatus(
        shard: shard, number: snapshots.newest?.id.number, files: chain.count,
        bytes: chain.reduce(0) { $0 + $1.sizeBytes }, ageMs: snapshots.savedAt.map { now.milliseconds(since: $0) },
        isCurrent: snapshots.savedChanges == source.changes(of: shard))
    }
  }

  // MARK: - Events

  /// - Parameters:
  ///   - now: Measures intervals.
  ///   - time: The clock on the wall, which a snapshot shows as its age.
  public mutating func handle(
    _ event: SnapshotEvent, shards source: some SnapshotSource, now: Instant, time: UnixTime
  ) -> [SnapshotAction] {
    var actions: [SnapshotAction] = []
    switch event {
    case .tick: tick(source, now, &actions)
    case .requested(let id): request(id, source, now, &actions)
    case .stopping(let withinMs): beginStop(withinMs: withinMs, source, now)
    case .accepted(let ticket, let parts):
      if copy?.ticket == ticket { copy!.inFlight -= parts }
    case .stored(let ticket, let result): stored(ticket, result, now, &actions)
    case .failed(let ticket, let reason):
      if let copy, copy.ticket == ticket {
        statistics.failures += 1
        // The manifest goes first, in case that it was written all the same.
        giveUp(copy, leaving: [copy.plan.manifestName, copy.plan.fileName], reason: reason, source, now, &actions)
      }
    case .removalFailed(let names, let reason):
      unremoved = (unremoved + names).suffix(Self.maximumUnremoved)
      actions.append(.notice("could not remove \(names.count) old files: \(reason)"))
    }
    proceed(source, now, time, &actions)
    return actions
  }

  /// Copies one slice: some hundred rows, in about 100 µs. Call it again while there is time and `hasWork`.
  public mutating func advance(shards source: some SnapshotSource, now: Instant) -> [SnapshotAction] {
    guard hasWork else { return [] }
    var actions: [SnapshotAction] = []
    if let part = copy!.advance(source.tables(of: copy!.shard)) {
      copy!.inFlight += 1
      if copy!.inFlight == settings.partsInFlight, !copy!.isDone { statistics.pauses += 1 }
      actions.append(.part(part, ticket: copy!.ticket))
    }
    checkSideBytes(source, now, &actions)
    return actions
  }

  // MARK: - Rounds

  private mutating func tick(_ source: some SnapshotSource, _ now: Instant, _ actions: inout [SnapshotAction]) {
    checkSideBytes(source, now, &actions)
    guard !stop.hasBegun else { return }
    guard let due = roundAt else {
      roundAt = now.advanced(byMs: Int(Double(settings.intervalMs) * generator.nextUnit()))
      return
    }
    guard now >= due else { return }
    roundAt = now.advanced(byMs: Int(Double(settings.intervalMs) * (0.9 + 0.2 * generator.nextUnit())))
    for shard in changedShards(source) where !queue.contains(shard) { queue.append(shard) }
  }

  /// Hosted shards that have learned something since their last snapshot, or never had one and have learned anything.
  private func changedShards(_ source: some SnapshotSource) -> [ShardID] {
    shards.keys.sorted().filter { source.changes(of: $0) != shards[$0]!.savedChanges ?? 0 }
  }

  /// Begins the next snapshot if none is under way, or ends the machine.
  private mutating func proceed(
    _ source: some SnapshotSource, _ now: Instant, _ time: UnixTime, _ actions: inout [SnapshotAction]
  ) {
    if stop.hasBegun {
      proceedToStop(source, now, &actions)
      if stop.isOver { return }
    }
    guard copy == nil else { return }
    guard let position = queue.firstIndex(where: { stop.hasBegun || shards[$0]!.notBefore ?? now <= now }) else {
      return
    }
    begin(queue.remove(at: position), source, now, time, &actions)
  }

  private mutating func begin(
    _ shard: ShardID, _ source: some SnapshotSource, _ now: Instant, _ time: UnixTime, _ actions: inout [SnapshotAction]
  ) {
    let kind = shards[shard]!.nextKind(baseEvery: settings.baseEvery, tables: source.tables(of: shard))
    let chain = kind == .delta ? shards[shard]!.chain : []
    let number = shards[shard]!.takeNumber()
    let cut = source.beginCut(of: shard, isFull: kind == .base, now: now)
    lastTicket += 1
    let header = SnapshotHeader(
      id: SnapshotID(shard: shard, number: number, life: life), kind: kind,
      shardCount: source.shardCount,
      parent: chain.last.flatMap { SnapshotHeader.Parent($0) },
      takenAt: UnixTime(milliseconds: time.milliseconds - Int64(cut.ageMs)), copied: cut.copied,
      newestMinutes: cut.newestMinutes,
      progress: cut.progress, tables: cut.tables)
    let plan = SnapshotPlan(ticket: lastTicket, header: header, chain: chain)
    copy = SnapshotCopy(
      plan: plan, cut: cut, partBytes: settings.partBytes, sliceBytes: settings.sliceBytes, now: now)
    actions.append(.begin(plan))
  }

  private mutating func stored(
    _ ticket: UInt64, _ result: SnapshotResult, _ now: Instant, _ actions: inout [SnapshotAction]
  ) {
    guard let copy, copy.ticket == ticket else { return }
    self.copy = nil
    let gone = shards[copy.shard]!.store(
      result, chain: copy.plan.chain + [result.file], changes: copy.changes, now: now, keep: settings.keep)
    statistics.bases += result.file.kind == .base ? 1 : 0
    statistics.deltas += result.file.kind == .delta ? 1 : 0
    statistics.rows += result.rows
    statistics.bytesWritten += UInt64(result.file.sizeBytes)
    statistics.rawBytes += result.rawBytes
    statistics.lastDurationMs = now.milliseconds(since: copy.beganAt)
    stop.measure(rawBytes: result.rawBytes, milliseconds: now.milliseconds(since: copy.beganAt))
    if !gone.isEmpty || !unremoved.isEmpty {
      actions.append(.remove(unremoved + gone))
      unremoved = []
    }
    answerRequests(&actions)
  }

  // MARK: - Failures

  private mutating func checkSideBytes(_ source: some SnapshotSource, _ now: Instant, _ actions: inout [SnapshotAction])
  {
    guard let copy, copy.sideBytes(source.tables(of: copy.shard)) > settings.sideBytes else { return }
    statistics.abandoned += 1
    actions.append(.abandon(ticket: copy.ticket))
    giveUp(
      copy, leaving: [],
      reason: "rows changed faster than the store took them: \(settings.sideBytes) bytes of copies were not enough",
      source, now, &actions)
  }

  private mutating func giveUp(
    _ copy: SnapshotCopy, leaving names: [String], reason: String, _ source: some SnapshotSource, _ now: Instant,
    _ actions: inout [SnapshotAction]
  ) {
    copy.abandon(source.tables(of: copy.shard))
    self.copy = nil
    shards[copy.shard]!.fail(now: now, leaving: names)
    statistics.lastFailure = "\(copy.plan.header.id): \(reason)"
    actions.append(.notice("no snapshot \(copy.plan.header.id): \(reason)"))
    for request in requests where request.needs.contains(where: { $0.shard == copy.shard }) {
      actions.append(.reply(id: request.id, .failed("snapshot \(copy.plan.header.id): \(reason)")))
    }
    requests.removeAll { $0.needs.contains { $0.shard == copy.shard } }
    // Once more when its pause is over. At the end there is no time for that.
    if !stop.hasBegun { queue.append(copy.shard) }
  }

  // MARK: - Requests

  private mutating func request(
    _ id: UInt64, _ source: some SnapshotSource, _ now: Instant, _ actions: inout [SnapshotAction]
  ) {
    guard !stop.hasBegun else {
      actions.append(.reply(id: id, .failed("the server is stopping")))
      return
    }
    guard requests.count < Self.maximumRequests else {
      statistics.requestsRefused += 1
      actions.append(.reply(id: id, .failed("\(requests.count) requests for a snapshot are waiting already")))
      return
    }
    requests.append(Request(id: id, needs: shards.keys.sorted().map { ($0, source.changes(of: $0)) }))
    let missing = requests[requests.count - 1].needs.filter { !isSaved($0.shard, $0.changes) }.map(\.shard)
    // Before the others, but in the order in which they were asked for: many requests must not hold one shard up for ever.
    let asked = queue.filter { missing.contains($0) }
    queue = asked + missing.filter { !asked.contains($0) } + queue.filter { !missing.contains($0) }
    // Who asks does not want to wait for the end of a pause.
    for shard in missing { shards[shard]!.endPause() }
    answerRequests(&actions)
  }

  private func isSaved(_ shard: ShardID, _ changes: UInt64) -> Bool {
    guard let saved = shards[shard]!.savedChanges else { return false }
    return saved >= changes
  }

  private mutating func answerRequests(_ actions: inout [SnapshotAction]) {
    var waiting: [Request] = []
    for request in requests {
      if request.needs.allSatisfy({ isSaved($0.shard, $0.changes) }) {
        let taken = request.needs.compactMap { need in
          shards[need.shard]!.newest.map {
            SnapshotReply.Shard(shard: need.shard, number: $0.id.number, bytes: $0.chain.last?.sizeBytes ?? 0)
          }
        }
        actions.append(.reply(id: request.id, .taken(taken)))
      } else {
        waiting.append(request)
      }
    }
    requests = waiting
  }

  // MARK: - The end

  private mutating func beginStop(withinMs: Int, _ source: some SnapshotSource, _ now: Instant) {
    guard !stop.hasBegun else { return }
    stop.begin(deadline: now.advanced(byMs: withinMs))
    // A shard in hand comes once more: what it has learned since its cut is to be saved as well.
    queue = stop.order(
      changedShards(source).map { shard in
        (
          shard, shards[shard]!.nextKind(baseEvery: settings.baseEvery, tables: source.tables(of: shard)),
          source.rawBytes(of: shard)
        )
      })
  }

  private mutating func proceedToStop(_ source: some SnapshotSource, _ now: Instant, _ actions: inout [SnapshotAction])
  {
    guard !stop.isOver else { return }
    if now >= stop.deadline, let copy {
      actions.append(.abandon(ticket: copy.ticket))
      copy.abandon(source.tables(of: copy.shard))
      self.copy = nil
      queue.insert(copy.shard, at: 0)
    }
    guard copy == nil else { return }
    queue.removeAll { source.changes(of: $0) == shards[$0]!.savedChanges }
    let skipped = stop.skip(&queue, now: now) { shard in
      shards[shard]!.nextKind(baseEvery: settings.baseEvery, tables: source.tables(of: shard)) == .base
        ? source.rawBytes(of: shard) : 0
    }
    if !skipped.isEmpty {
      let names = Set(skipped).sorted().map(\.description).joined(separator: ", ")
      actions.append(
        .notice("stopping without a last snapshot of shards \(names): they learn again what came since the one before"))
    }
    guard queue.isEmpty else { return }
    stop.finish()
    for request in requests { actions.append(.reply(id: request.id, .failed("the server is stopping"))) }
    requests = []
    actions.append(.stopped)
  }
}

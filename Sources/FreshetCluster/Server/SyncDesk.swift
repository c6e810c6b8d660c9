import FreshetCore

/// What a `SyncDesk` is told.
public enum SyncEvent: Sendable {
  /// A replica asks; `id` tells its request from the others.
  case asked(id: UInt64, SyncRequest)
  /// Nobody waits for the answer to this request any more.
  case gone(id: UInt64)
  /// A push has been applied.
  case pushed
  /// Time has passed. Send one every `SyncDesk.tickMs` or so.
  case tick
  /// The server ends: replicas are handed what they have not got yet, and nobody waits from now on.
  case closing
}

public enum SyncAction: Sendable {
  /// Encoded frames in the order in which they are to be applied; empty if there is nothing new.
  case answer(id: UInt64, [[UInt8]])
  case refuse(id: UInt64, ClusterError)
  /// There is no room for an answer; the replica asks again later.
  case busy(id: UInt64, String)
}

/// Decides when a server closes an interval and seals what its shards have learned into deltas, and when it answers which
/// replica. Does no I/O and reads no clock. Belongs to the thread that owns the shards.
///
/// An interval ends when its time is over; if nothing was learned for so long, with the next push that is applied while a
/// replica waits. A replica that has everything waits for news. So does one that the bandwidth cap has no room for: answers are
/// made when they may be sent and not before, so a slow link costs its replica time and the server nothing.
public struct SyncDesk {
  public struct Settings: Sendable {
    /// From one delta of a shard to the next.
    public let intervalMs: Int
    /// The same for the dense tensors; nil: with the others.
    public let denseIntervalMs: Int?
    /// To all replicas together; nil for no limit.
    public let bytesPerSecond: Int?

    public init(intervalMs: Int, denseIntervalMs: Int?, bytesPerSecond: Int?) {
      precondition(intervalMs > 0 && denseIntervalMs ?? 1 > 0)
      self.intervalMs = intervalMs
      self.denseIntervalMs = denseIntervalMs
      self.bytesPerSecond = bytesPerSecond
    }
  }

  public struct Statistics: Sendable, Equatable {
    /// Requests refused because too many were waiting.
    public var refusedWaits: UInt64 = 0
    /// Intervals closed before their time because a list of removed fids had become too long.
    public var earlySeals: UInt64 = 0
    public var answerBytes: UInt64 = 0
    /// Requests that had to wait for the bandwidth cap.
    public var cappedRequests: UInt64 = 0
    /// How long they waited, together.
    public var cappedMs: UInt64 = 0
    /// Requests that the cap left no room for in `maximumCappedMs`.
    public var cappedRefusals: UInt64 = 0
  }

  public static let tickMs = 10
  /// A replica that has everything waits at most this long.
  static let waitMs = 1_000
  /// More are refused.
  public static let maximumWaiting = 1_024
  /// How long the cap may keep a replica waiting; well within what clients wait for a reply.
  static let maximumCappedMs = 10_000

  private struct Waiting {
    let id: UInt64
    let request: SyncRequest
    let since: Instant
    /// Whether the cap has kept it waiting, and from when on.
    var cappedSince: Instant?
  }

  private let settings: Settings
  private var budget: SyncBudget
  /// In the order in which they asked.
  private var waiting: [Waiting] = []
  /// When the last interval that brought news was closed.
  private var sealedAt: Instant?
  private var lookedAt: Instant?
  private var denseSealedAt: Instant?
  private var isClosing = false
  private var actions: [SyncAction] = []
  public private(set) var statistics = Statistics()

  public init(settings: Settings) {
    self.settings = settings
    budget = SyncBudget(bytesPerSecond: settings.bytesPerSecond)
  }

  /// Requests that wait for news or for the cap.
  public var waitingCount: Int { waiting.count }
  public var waitingIDs: [UInt64] { waiting.map(\.id) }

  // MARK: - Events

  public mutating func handle(
    _ event: SyncEvent, shards: ShardServer, compressor: some BlockCompressor, now: Instant
  ) -> [SyncAction] {
    actions.removeAll(keepingCapacity: true)
    switch event {
    case .asked(let id, let request): asked(id, request, shards, compressor, now)
    case .gone(let id): waiting.removeAll { $0.id == id }
    case .pushed:
      // Looked at after every push: no more than comparisons unless there is something to do.
      if !waiting.isEmpty, isOver(settings.intervalMs, since: sealedAt, now) {
        if seal(shards, compressor, now) { answerWaiting(shards, compressor, now) }
      }
    case .tick: tick(shards, compressor, now)
    case .closing:
      isClosing = true
      denseSealedAt = nil
      _ = seal(shards, compressor, now)
      answerWaiting(shards, compressor, now)
    }
    return actions
  }

  private func isOver(_ intervalMs: Int, since: Instant?, _ now: Instant) -> Bool {
    since.map { now >= $0.advanced(byMs: intervalMs) } ?? true
  }

  private mutating func tick(_ shards: ShardServer, _ compressor: some BlockCompressor, _ now: Instant) {
    if shards.mustSeal {
      statistics.earlySeals += 1
      _ = seal(shards, compressor, now)
    } else if isOver(settings.intervalMs, since: lookedAt, now) {
      _ = seal(shards, compressor, now)
    }
    answerWaiting(shards, compressor, now)
  }

  /// - Returns: Whether there was anything to seal.
  private mutating func seal(
    _ shards: ShardServer, _ compressor: some BlockCompressor, _ now: Instant
  ) -> Bool {
    lookedAt = now
    let includesDense = settings.denseIntervalMs.map { isOver($0, since: denseSealedAt, now) } ?? true
    guard shards.sealDeltas(includingDense: includesDense, compressor: compressor) else { return false }
    sealedAt = now
    if includesDense { denseSealedAt = now }
    return true
  }

  // MARK: - Answers

  private mutating func asked(
    _ id: UInt64, _ request: SyncRequest, _ shards: ShardServer, _ compressor: some BlockCompressor, _ now: Instant
  ) {
    // Whoever asks now comes behind those whom the cap keeps waiting.
    let mustWait = !isClosing && (!budget.isFree(now) || waiting.contains { $0.cappedSince != nil })
    do throws(ClusterError) {
      if mustWait {
        // What cannot be answered at all is refused at once.
        _ = try shards.hasNews(for: request)
      } else if try answer(id, request, shards, compressor, now) {
        return
      }
      // An empty answer would have it ask again at once.
      if isClosing { return actions.append(.busy(id: id, "the server is stopping")) }
      guard waiting.count < Self.maximumWaiting else {
        statistics.refusedWaits += 1
        return actions.append(.busy(id: id, "\(waiting.count) replicas wait for news, which is the limit"))
      }
      waiting.append(Waiting(id: id, request: request, since: now, cappedSince: nil))
      if mustWait { answerWaiting(shards, compressor, now) }
    } catch {
      actions.append(.refuse(id: id, error))
    }
  }

  /// Answers those for whom there is news, in the order in which they asked, as far as the cap allows, and those who have waited
  /// for long enough.
  private mutating func answerWaiting(
    _ shards: ShardServer, _ compressor: some BlockCompressor, _ now: Instant
  ) {
    guard !waiting.isEmpty else { return }
    var still: [Waiting] = []
    for replica in waiting {
      do throws(ClusterError) {
        if try answer(replica, shards, compressor, now, &still) { continue }
      } catch {
        actions.append(.refuse(id: replica.id, error))
        continue
      }
      if isClosing || isOver(Self.waitMs, since: replica.since, now) {
        actions.append(.answer(id: replica.id, []))
      } else {
        still.append(replica)
      }
    }
    waiting = still
  }

  /// - Returns: Whether it was answered, or put among those who wait because of the cap.
  private mutating func answer(
    _ replica: Waiting, _ shards: ShardServer, _ compressor: some BlockCompressor, _ now: Instant,
    _ still: inout [Waiting]
  ) throws(ClusterError) -> Bool {
    guard try shards.hasNews(for: replica.request) else { return false }
    if isClosing || budget.isFree(now) {
      if let since = replica.cappedSince { statistics.cappedMs += UInt64(now.milliseconds(since: since)) }
      return try answer(replica.id, replica.request, shards, compressor, now)
    }
    var replica = replica
    if let since = replica.cappedSince {
      guard !isOver(Self.maximumCappedMs, since: since, now) else {
        statistics.cappedRefusals += 1
        statistics.cappedMs += UInt64(now.milliseconds(since: since))
        actions.append(
          .busy(
            id: replica.id,
            "ps.sync_bytes_per_second left no room for an answer within \(Self.maximumCappedMs / 1000) s"))
        return true
      }
    } else {
      statistics.cappedRequests += 1
      replica.cappedSince = now
    }
    still.append(replica)
    return true
  }

  /// - Returns: Whether there was anything to answer with.
  private mutating func answer(
    _ id: UInt64, _ request: SyncRequest, _ shards: ShardServer, _ compressor: some BlockCompressor, _ now: Instant
  ) throws(ClusterError) -> Bool {
    let limit = budget.answerBytes(atMost: ShardServer.syncReplyBytes)
    let frames = try shards.sync(request, limitBytes: limit, compressor: compressor)
    guard !frames.isEmpty else { return false }
    let bytes = frames.reduce(0) { $0 + $1.count }
    budget.spend(bytes, now)
    statistics.answerBytes += UInt64(bytes)
    actions.append(.answer(id: id, frames))
    return true
  }
}

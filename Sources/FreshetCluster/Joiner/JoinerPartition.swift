import FreshetCore
import FreshetModel

/// Joins one partition of `features` and `actions` into examples. No I/O: the shell feeds records and the time, and does
/// what the output says. Belongs to one thread. `docs/joiner.md` is the specification.
///
/// ```
/// receive(.features, record, now)   // any number, either topic, in offset order
/// reachedEnd(.actions, now)         // whenever the consumer says so
/// confirmedEnd(.actions, now)       // when output.needsEnd asked for it and the broker confirms
/// run(catalog, now, output)         // after each batch, and every few ms while nothing arrives
/// commitPoint                       // after the output has been taken
/// ```
public final class JoinerPartition {
  public enum Progress: Sendable, Equatable {
    /// Everything that can be processed has been.
    case drained
    /// The output is full: take it and run again.
    case outputFull
    /// The output asks for newer items: read them, call `itemsRefreshed` and run again.
    case waitingForItems
    /// Much of the state is not on disk yet: commit, say so (`committed`), and run again.
    case commitNeeded
    /// The disk is full: nothing happens until it has room again. `stateProblem` says more.
    case diskFull
    /// The state on disk cannot be used. Throw this partition away with all output since the last commit, set the state
    /// aside, and begin again from the log. `stateProblem` says more.
    case stateFailed
  }

  public let config: JoinerConfig
  public let extractor: FeatureExtractor
  /// What the last record left; the same for all that this partition computes.
  var scratch: FeatureScratch { records.scratch }
  /// Where reading the topics must begin.
  public let readFrom: (features: Int64, actions: Int64)
  public internal(set) var counters = JoinerCounters()
  /// The largest event time processed; nil before the first record.
  public internal(set) var streamTimeMs: Int64?

  /// By position in `ModelSpec.enrichments`: empty ones, until the shell gives those that it keeps up to date as it does the
  /// items.
  public var enrichments: [KeyedCatalog]

  let records: InputRecordReader
  let positives: PositiveRules
  var row: FeatureRow
  let labels: UnsafeMutableBufferPointer<Float>
  let slotCounts: UnsafeMutableBufferPointer<UInt8>

  var inputs: [InputState]
  let featureQueue = RingQueue<QueuedFeature>()
  let actionQueue = RingQueue<QueuedAction>()
  let queueArena = BlockArena()

  let store: FeatureStore
  var impressionArena: BlockArena { store.arena }
  var waiting: WaitingActions
  /// When impressions close, if windows make examples; references are requests.
  var closings: ClosingQueue
  /// Kept where the store does not know what was first: with a disk.
  var featureSpans = OffsetSpans()
  var actionSpans = OffsetSpans()
  /// The disk; nil if all is in memory.
  let disk: StateAccess?
  var writing = StateWriting()
  /// Records at the heads of the queues that have been looked up.
  var prefetched = [0, 0]
  /// The stream time that is being moved to; nil between records.
  var advancingToMs: Int64?
  /// The append time of the record that moves the stream time.
  var advancingAppendTimeMs: Int64 = 0

  /// The topic whose end the last `run` would have liked to be sure of.
  var wantedEnd: JoinerTopic?

  var itemsAsOf: UnixTime
  /// The item that a refresh was asked for, and whether that has been done.
  var askedItem: (hash: UInt64, isRefreshed: Bool)?
  /// Items that a refresh did not find, and when.
  var missingItems: [UInt64: Instant] = [:]

  /// A partition in memory.
  /// - Parameters:
  ///   - from: Where an earlier joiner of the partition committed; `.start` for a new partition. Reading must begin at
  ///     `readFrom`, which is its `featureLow` and `actionLow`.
  ///   - itemsAsOf: When the catalog was last read to the end of its topic.
  public convenience init(
    config: JoinerConfig, extractor: FeatureExtractor, from: JoinerCommitPoint, itemsAsOf: UnixTime, now: Instant
  ) throws(JoinerError) {
    try self.init(
      config: config, extractor: extractor, from: from, state: nil, stateAt: nil, itemsAsOf: itemsAsOf, now: now)
  }

  /// - Parameters:
  ///   - from: Where an earlier joiner of the partition committed; `.start` for a new partition.
  ///   - state: The disk below the memory, to this partition alone; nil for none.
  ///   - stateAt: The position of the state that is on it, as `JoinerStateCheck` found it; nil if it is empty.
  ///   - itemsAsOf: When the catalog was last read to the end of its topic.
  public init(
    config: JoinerConfig, extractor: FeatureExtractor, from: JoinerCommitPoint, state: (any JoinerStateStore)?,
    stateAt: JoinerCommitPoint?, itemsAsOf: UnixTime, now: Instant
  ) throws(JoinerError) {
    try config.validate()
    self.config = config
    self.extractor = extractor
    self.itemsAsOf = itemsAsOf
    records = InputRecordReader(extractor, config: config)
    enrichments = extractor.spec.enrichments.indices.map { KeyedCatalog(of: .enrichment($0), capacity: 0) }
    row = extractor.makeRow()
    positives = PositiveRules(extractor.spec)
    labels = .allocate(capacity: extractor.layout.taskCount)
    labels.initialize(repeating: .nan)
    slotCounts = .allocate(capacity: extractor.layout.slotCount)
    slotCounts.initialize(repeating: 0)
    disk = state.map(StateAccess.init)
    store = FeatureStore(
      disk: disk, loadedRoom: max(Self.leastLoadedBytes, config.maxWaitingFeatureBytes / 4))
    closings = ClosingQueue(disk: disk, chunk: config.closingsInMemory)
    waiting = WaitingActions(graceMs: config.graceMs, rememberedMs: config.keptMs, isTiered: disk != nil)
    streamTimeMs = from.streamTimeMs
    readFrom = (stateAt?.featureNext ?? from.featureLow, stateAt?.actionNext ?? from.actionLow)
    inputs = [
      InputState(next: from.featureNext, isRestored: readFrom.features == from.featureNext, lastArrival: now),
      InputState(next: from.actionNext, isRestored: readFrom.actions == from.actionNext, lastArrival: now),
    ]
    writing.start = from
    if let disk { takeUp(disk, at: stateAt, from: from) }
  }

  deinit {
    labels.deallocate()
    slotCounts.deallocate()
  }

  /// What to commit together with all output taken so far; nil in the middle of a step or before the state of an earlier
  /// joiner is restored, when nothing may be committed.
  public var commitPoint: JoinerCommitPoint? {
    guard isRestored, advancingToMs == nil, stateProblem == nil else { return nil }
    let featureNext = inputs[JoinerTopic.features.rawValue].next
    let actionNext = inputs[JoinerTopic.actions.rawValue].next
    let featureLow = (store.isTiered ? featureSpans.low : store.oldest?.offset) ?? featureNext
    // Spans begin somewhere else on each disk: what an earlier commit did not need is not needed again.
    return JoinerCommitPoint(
      featureLow: max(featureLow, writing.start.featureLow), featureNext: featureNext,
      actionLow: max(actionSpans.low ?? actionNext, writing.start.actionLow), actionNext: actionNext,
      streamTimeMs: streamTimeMs)
  }

  /// Records below the committed position that have been read again.
  public internal(set) var restoredCount = 0

  /// Whether everything below the committed positions has been seen again.
  public var isRestored: Bool { inputs[0].isRestored && inputs[1].isRestored }

  /// Whether the shell should hold the topic back. It may finish a batch that it has begun.
  public func isPaused(_ topic: JoinerTopic) -> Bool { inputs[topic.rawValue].isPaused }

  /// With a disk, those of the last 256 records that share a span with one that waits are counted too.
  public var waitingFeatureCount: Int { store.isTiered ? featureSpans.recordCount : store.count }
  public var waitingFeatureBytes: Int { impressionArena.byteCount }
  /// Those that are only remembered included.
  public var waitingActionCount: Int { waiting.count }
  public var queuedRecordCount: Int { featureQueue.count + actionQueue.count }

  /// The consumer has seen the current end of the topic.
  public func reachedEnd(_ topic: JoinerTopic, now: Instant) {
    inputs[topic.rawValue].isCaughtUp = true
    inputs[topic.rawValue].isRestored = true
  }

  /// The broker, asked at `now`, has nothing beyond what has been fed of the topic.
  public func confirmedEnd(_ topic: JoinerTopic, now: Instant) {
    inputs[topic.rawValue].endConfirmed = now
  }

  /// The catalog now holds all items that were in the topic at `asOf`, wall time.
  public func itemsRefreshed(asOf: UnixTime) {
    itemsAsOf = max(itemsAsOf, asOf)
    if let asked = askedItem { askedItem = (asked.hash, true) }
  }
}

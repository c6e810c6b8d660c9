import FreshetCore
import FreshetModel

/// What a trainer knows of one partition that it is assigned.
struct PartitionTraining {
  enum Phase: Equatable {
    /// Until all servers are connected and the backoff is over.
    case waiting(until: Instant)
    case claiming
    case locating
    case running
  }

  /// A batch between its pull and its push.
  struct InFlight {
    let number: UInt64
    let step: TrainingStep
    let from: Offset
    let to: Offset
    /// For validation by slices; nil without.
    let examples: ExampleSlice?
  }

  /// A pushed batch that some servers have not acknowledged.
  struct Unacknowledged {
    let number: UInt64
    let to: Offset
    var awaited: Int
    /// Of the examples in it; 0 and any time if there are none.
    let exampleCount: Int
    let oldestIngest: UnixTime
  }

  var phase: Phase
  var attempt: UInt64 = 0
  var backoff: Backoff
  var epochs: [ServerID: Epoch] = [:]
  /// Of all servers' shards, as far as they have answered.
  var watermarks: [ClaimReply.ShardWatermark] = []
  /// Distinct watermarks above the start, and where the log begins if nothing below it is to be had; ascending: no batch may
  /// span one.
  var cuts: [Offset] = []
  /// Where the next batch begins: every shard's watermark once the batches before it are applied.
  var next = Offset.none
  var queue: [ExampleBatch] = []
  /// Examples of `queue[0]` that are already in batches.
  var taken = 0
  var inFlight: [InFlight] = []
  var unacknowledged: [Unacknowledged] = []
  var applied = Offset.none
  var committed = Offset.none
  /// Of a pass: where it ends, once that is known.
  var end: Offset?
  /// Of a pass: whether everything below its end has been read.
  var hasAllExamples = false
  /// Of a pass: whether its end has been pushed.
  var isEnding = false
  /// Below it the first pass has validated the stream's examples; `none` without passes.
  var validatedBelow = Offset.none

  init(now: Instant, seed: UInt64) {
    phase = .waiting(until: now)
    backoff = Backoff(baseMs: 100, capMs: 5_000, seed: seed)
  }

  /// Examples that are in no batch yet.
  var queuedCount: Int { queue.reduce(-taken) { $0 + $1.count } }

  /// Forgets everything that belongs to the current claim.
  mutating func abandon(until: Instant) {
    phase = .waiting(until: until)
    attempt += 1
    epochs = [:]
    watermarks = []
    cuts = []
    queue = []
    taken = 0
    inFlight = []
    unacknowledged = []
    end = nil
    hasAllExamples = false
    isEnding = false
    validatedBelow = .none
  }
}

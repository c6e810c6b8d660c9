import FreshetCore

/// The encoded deltas of one shard that a server still holds, oldest first, with consecutive sequences.
struct DeltaLog {
  /// Which life of the shard these sequences belong to.
  let generation: UInt64
  /// The last sealed delta; 0 before the first.
  private(set) var sequence: UInt64 = 0
  /// Examples that the receipts of the sealed deltas have stood for.
  private(set) var reported: UInt64 = 0
  private var frames: [[UInt8]] = []
  private var sizeBytes = 0
  private let maximumBytes: Int

  init(generation: UInt64, maximumBytes: Int) {
    precondition(generation != 0)
    self.generation = generation
    self.maximumBytes = maximumBytes
  }

  var nextSequence: UInt64 { sequence + 1 }

  /// Adds the delta of `nextSequence`; the oldest ones go when there are too many bytes.
  /// - Parameter reported: Including those of this delta.
  /// - Returns: How many went.
  mutating func append(_ frame: [UInt8], reported: UInt64) -> Int {
    sequence += 1
    self.reported = reported
    frames.append(frame)
    sizeBytes += frame.count
    var dropped = 0
    while sizeBytes > maximumBytes && dropped < frames.count {
      sizeBytes -= frames[dropped].count
      dropped += 1
    }
    frames.removeFirst(dropped)
    return dropped
  }

  /// Whether there is anything that a replica at this position lacks.
  func hasNews(for position: ShardPosition) -> Bool {
    position.generation != generation || position.sequence != sequence || position.base != nil
  }

  /// The deltas after `sequence`, or nil if some of them are gone (or never were).
  func frames(after sequence: UInt64) -> ArraySlice<[UInt8]>? {
    let oldest = self.sequence - UInt64(frames.count)
    guard sequence >= oldest, sequence <= self.sequence else { return nil }
    return frames[Int(sequence - oldest)...]
  }
}

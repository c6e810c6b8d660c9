import FreshetCluster
import FreshetCore

/// A multiset of examples in a few words: equal for equal ones in any order, and different for others but for chance.
struct JoinDigest: Equatable, Codable {
  var count = 0
  var sum: UInt64 = 0
  var squares: UInt64 = 0
  var mixed: UInt64 = 0

  mutating func add(_ hash: UInt64) {
    count += 1
    sum &+= hash
    squares &+= hash &* hash
    mixed &+= Hashing.mix(hash)
  }

  mutating func add(_ other: JoinDigest) {
    count += other.count
    sum &+= other.sum
    squares &+= other.squares
    mixed &+= other.mixed
  }

  /// What an example says: who, when, what of it, and the label of its one task.
  mutating func add(requestHash: UInt64, timeMs: Int64, actionTimeMs: Int64, flags: UInt8, label: Float) {
    var hash = requestHash
    hash = Hashing.mix(hash ^ UInt64(bitPattern: timeMs))
    hash = Hashing.mix(hash ^ UInt64(bitPattern: actionTimeMs))
    add(Hashing.mix(hash ^ UInt64(flags) << 32 ^ UInt64(label.bitPattern)))
  }

  /// An example record; docs/example-format.md has the places.
  mutating func add(record: UnsafeRawBufferPointer) {
    func number(_ position: Int) -> Int64 {
      Int64(littleEndian: record.loadUnaligned(fromByteOffset: position, as: Int64.self))
    }
    add(
      requestHash: UInt64(bitPattern: number(6)), timeMs: number(14), actionTimeMs: number(22), flags: record[1],
      label: Float(bitPattern: UInt32(littleEndian: record.loadUnaligned(fromByteOffset: 46, as: UInt32.self))))
  }

  /// What a joiner has to make of a workload, by sorting both inputs by request and going through them side by side.
  ///
  /// - Precondition: Every action arrives within the window and the grace time of its impression, and none is repeated.
  static func expected(_ workload: JoinWorkload, config: JoinerConfig) -> JoinDigest {
    var digest = JoinDigest()
    let features = workload.features.sorted { $0.request < $1.request }
    let actions = workload.actions.sorted { $0.request < $1.request }
    var position = 0
    let end = features.map(\.timeMs).max() ?? 0
    for feature in features {
      let requestHash = Hashing.xxh3(JoinWorkload.requestID(feature.request))
      while position < actions.count, actions[position].request < feature.request { position += 1 }
      if position < actions.count, actions[position].request == feature.request {
        digest.add(
          requestHash: requestHash, timeMs: feature.timeMs, actionTimeMs: actions[position].timeMs, flags: 0,
          label: actions[position].value >= 4 ? 1 : 0)
      } else if config.negativeRate > 0, feature.timeMs + config.windowMs < end {
        var generator = SeededGenerator(seed: requestHash ^ Hashing.mix(config.negativeSeed))
        guard generator.nextUnit() < Double(config.negativeRate) else { continue }
        digest.add(
          requestHash: requestHash, timeMs: feature.timeMs, actionTimeMs: feature.timeMs + config.windowMs, flags: 1,
          label: 0)
      }
    }
    return digest
  }
}

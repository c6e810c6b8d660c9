import FreshetCore

/// The rule that lets a fid have a row. A fid without a row is read as its initial value, and its gradients are dropped.
public enum Admission: Sendable, Hashable {
  case everything
  /// A fid gets a row with the update that makes it the `count`-th, as far as a counting sketch of a fixed size remembers.
  /// - Parameters:
  ///   - count: In `2...255`.
  ///   - sketchBytes: At least 64. The sketch remembers about the last `sketchBytes / 8` updates of fids without a row.
  case minimumCount(Int, sketchBytes: Int)
  /// Each update of a fid without a row gives it one with this probability, above 0 and below 1: a fid gets in after
  /// `1 / probability` updates on average.
  case probability(Double, seed: UInt64)
}

/// Decides on the fids of one table that ask for a row.
struct AdmissionFilter: ~Copyable {
  private enum Rule {
    case everything
    case minimumCount(Int)
    case below(UInt64)
  }

  private let rule: Rule
  var sketch: CountingSketch
  var generator: SeededGenerator

  init(_ admission: Admission) {
    var sketchBytes = 0
    var seed: UInt64 = 0
    switch admission {
    case .everything:
      rule = .everything
    case .minimumCount(let count, let bytes):
      precondition((2...255).contains(count), "a minimum count of \(count) is not in 2...255")
      rule = .minimumCount(count)
      sketchBytes = bytes
    case .probability(let probability, let given):
      precondition(probability > 0 && probability < 1, "a probability of \(probability) is not between 0 and 1")
      rule = .below(UInt64(probability * 0x1p53))
      seed = given
    }
    sketch = CountingSketch(sizeBytes: sketchBytes)
    generator = SeededGenerator(seed: Hashing.mix(seed))
  }

  var sizeBytes: Int { sketch.sizeBytes }

  /// Whether the fid gets a row with this update.
  @inline(__always)
  mutating func admits(_ fid: Fid) -> Bool {
    switch rule {
    case .everything: true
    case .minimumCount(let count): sketch.add(fid) >= count
    case .below(let bound): generator.next() >> 11 < bound
    }
  }
}

import FreshetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Ids hashed into fewer buckets than there are ids, so that some share a row: what a table without collisions avoids.
///
/// It takes fids, each of which stands for one id: two ids share a row exactly if their fids fall into one bucket.
struct IdHashing {
  let seed: UInt64
  let buckets: UInt64

  /// - Parameters:
  ///   - collisionRate: In `0 ..< 1`, the expected share of ids that are lost: 1 − distinct buckets / ids, as Monolith's Table 1
  ///     counts.
  ///   - ids: How many there are.
  init(collisionRate: Double, ids: Int, seed: UInt64) {
    precondition((0..<1).contains(collisionRate) && ids > 0)
    self.seed = seed
    var (low, high) = (1.0, Double(ids) * 1e6)
    for _ in 0..<200 {
      let middle = (low * high).squareRoot()
      if Self.expectedRate(buckets: middle, ids: Double(ids)) > collisionRate { low = middle } else { high = middle }
    }
    buckets = UInt64(high.rounded())
  }

  /// For ids that are hashed uniformly: a bucket stays empty with probability (1 − 1/b)ⁿ.
  static func expectedRate(buckets: Double, ids: Double) -> Double {
    1 + buckets / ids * expm1(ids * log1p(-1 / max(buckets, 1.000001)))
  }

  /// The fid of the bucket that a fid falls into.
  func callAsFunction(_ fid: Fid) -> Fid {
    let bucket = Hashing.mix(fid ^ Hashing.mix(seed)).multipliedFullWidth(by: buckets).high
    return Hashing.mix(Hashing.mix(seed &+ 1) ^ bucket)
  }

  /// 1 − distinct buckets / ids.
  func measuredRate(_ fids: Set<Fid>) -> Double {
    1 - Double(Set(fids.map { self($0) }).count) / Double(fids.count)
  }
}

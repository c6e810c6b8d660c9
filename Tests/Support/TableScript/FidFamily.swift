import FreshetCore

/// A way to number fids, each hard on another part of the index. All are one to one.
public enum FidFamily: CaseIterable, Sendable {
  case sequential
  case equalLowBits
  case equalHighBits
  case extremes
  case spread
  /// All have the same home.
  case equalHashes
  /// Homes at and around one place.
  case adjacentHashes
  /// Homes at the end of the index, so that their runs go round to its start.
  case lastHashes
  case firstHashes
  /// A quarter each at four places.
  case clusteredHashes

  /// Whether searches go through long runs, so that thousands of fids would take too long.
  var collides: Bool {
    switch self {
    case .equalHashes, .adjacentHashes, .lastHashes, .firstHashes, .clusteredHashes: true
    default: false
    }
  }

  /// - Parameter number: In `0 ..< 2^31`.
  public func fid(_ number: Int) -> Fid {
    let number = UInt64(number)
    return switch self {
    case .sequential: number
    case .equalLowBits: number << 32 | 0x5555
    case .equalHighBits: 0xfeed_beef << 32 | number
    case .extremes: number % 2 == 0 ? number / 2 : .max - number / 2
    case .spread: number &* 0x9e37_79b9_7f4a_7c15
    case .equalHashes: Self.fid(hash: 0x8000_0001, salt: number)
    case .adjacentHashes: Self.fid(hash: 0x4000_0000 &+ UInt32(number) &* 3, salt: number)
    case .lastHashes: Self.fid(hash: .max - UInt32(number % 7), salt: number)
    case .firstHashes: Self.fid(hash: UInt32(number % 5), salt: number)
    case .clusteredHashes: Self.fid(hash: UInt32(number % 4) << 30 | 0x3fff_fff0, salt: number)
    }
  }

  /// The fid whose `Hashing.mix` has `hash` as its low 32 bits and `salt` as its high ones.
  public static func fid(hash: UInt32, salt: UInt64) -> Fid { unmix(salt << 32 | UInt64(hash)) }

  /// The inverse of `Hashing.mix`: odd factors have inverses modulo 2^64, and a shift by more than half a word undoes itself.
  public static func unmix(_ value: UInt64) -> UInt64 {
    var x = value
    x ^= x >> 33
    x = x &* inverse(0xc4ce_b9fe_1a85_ec53)
    x ^= x >> 33
    x = x &* inverse(0xff51_afd7_ed55_8ccd)
    x ^= x >> 33
    return x
  }

  /// Newton's iteration: each round doubles the number of right bits, of which an odd number has three to begin with.
  private static func inverse(_ factor: UInt64) -> UInt64 {
    var inverse = factor
    for _ in 0..<5 { inverse = inverse &* (2 &- factor &* inverse) }
    return inverse
  }
}

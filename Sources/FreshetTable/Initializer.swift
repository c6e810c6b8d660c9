import FreshetCore

/// The value of a row that does not exist: a pure function of the table's seed and the fid, so that reading never
/// inserts and a replay starts every row from the same weights.
public enum Initializer: Sendable {
  /// Every weight is the same.
  case constant(Float)
  /// The first `columns` weights are uniform in `-bound ..< bound`, the others 0.
  ///
  /// Column `c` takes the top 24 bits `u` of the `c`-th output of SplitMix64 seeded with `mix(fid) ^ mix(seed)`, and is
  /// `(u × 2^-23 − 1) × bound`.
  case uniform(bound: Float, columns: Int, seed: UInt64)
  /// The listed rows start from the given weights, any other row from 0. Dense tensors start this way.
  case tabulated(InitialRows)

  /// Writes the `width` initial weights of `fid`.
  @inlinable
  public func write(fid: Fid, width: Int, into weights: UnsafeMutablePointer<Float>) {
    switch self {
    case .constant(let value):
      weights.update(repeating: value, count: width)
    case .uniform(let bound, let columns, let seed):
      var generator = SeededGenerator(seed: Hashing.mix(fid) ^ Hashing.mix(seed))
      for column in 0..<min(columns, width) {
        let top24 = Float(generator.next() >> 40)
        weights[column] = (top24 * 0x1p-23 - 1) * bound
      }
      for column in min(columns, width)..<width { weights[column] = 0 }
    case .tabulated(let rows):
      rows.write(fid: fid, width: width, into: weights)
    }
  }
}

/// Initial weights of a fixed set of rows.
public struct InitialRows: Sendable {
  private let positions: [Fid: Int]
  private let values: [Float]
  private let width: Int

  /// - Parameters:
  ///   - fids: Distinct.
  ///   - values: Row-major, `fids.count × width`.
  public init(fids: [Fid], values: [Float], width: Int) {
    precondition(values.count == fids.count * width)
    self.values = values
    self.width = width
    positions = Dictionary(uniqueKeysWithValues: fids.enumerated().map { ($1, $0 * width) })
  }

  public func write(fid: Fid, width: Int, into weights: UnsafeMutablePointer<Float>) {
    precondition(width == self.width)
    guard let position = positions[fid] else {
      weights.update(repeating: 0, count: width)
      return
    }
    values.withUnsafeBufferPointer { weights.update(from: $0.baseAddress! + position, count: width) }
  }
}

import CIntrinsics

/// Makes one vector of the rows of each slot, and one number of their linear weights.
///
///     v_s = c_s Σ_i factors(row_i),   wide = Σ_s c_s Σ_i linear(row_i)
///
/// over the rows `i` of slot `s`, with `c_s` 1, 1/n or 1/√n for n rows (`SlotSpec.Pooling`). A slot without rows gives zeros.
final class PoolingLayer {
  private let slots: Int
  private let factors: Int
  private let pooling: UnsafeMutablePointer<SlotSpec.Pooling>

  init(factors: Int, pooling: [SlotSpec.Pooling]) {
    slots = pooling.count
    self.factors = factors
    self.pooling = .allocate(capacity: max(1, slots))
    for (slot, kind) in pooling.enumerated() { (self.pooling + slot).initialize(to: kind) }
  }

  deinit { pooling.deallocate() }

  /// - Parameters:
  ///   - vectors: For each example `slots × factors` floats, `stride` apart.
  ///   - wide: One float for each example.
  func forward(
    _ batch: NetworkInput, vectors: UnsafeMutablePointer<Float>, stride: Int, wide: UnsafeMutablePointer<Float>
  ) {
    let factors = factors
    let width = factors &+ 1
    for example in 0..<batch.count {
      let vector = vectors + example &* stride
      vector.update(repeating: 0, count: slots &* factors)
      var linear: Float = 0
      for slot in 0..<slots {
        let first = Int(batch.starts[example &* slots &+ slot])
        let end = Int(batch.starts[example &* slots &+ slot &+ 1])
        guard end > first else { continue }
        let scale = pooling[slot].scale(end &- first)
        let target = vector + slot &* factors
        for position in first..<end {
          let row = batch.rows + Int(batch.occurrences[position]) &* width
          fi_add_scaled(target, scale, row, factors)
          linear += scale * row[factors]
        }
      }
      wide[example] = linear
    }
  }

  /// - Parameters:
  ///   - vectorGradients: Like `vectors`.
  ///   - wideGradients: Like `wide`.
  ///   - rowGradients: Of the width of `batch.rows`, its rows numbered as `batch.gradientRows` says; added to.
  func backward(
    _ batch: NetworkInput, vectorGradients: UnsafePointer<Float>, stride: Int, wideGradients: UnsafePointer<Float>,
    rowGradients: UnsafeMutablePointer<Float>
  ) {
    let factors = factors
    let width = factors &+ 1
    for example in 0..<batch.count {
      let gradient = vectorGradients + example &* stride
      let wideGradient = wideGradients[example]
      for slot in 0..<slots {
        let first = Int(batch.starts[example &* slots &+ slot])
        let end = Int(batch.starts[example &* slots &+ slot &+ 1])
        guard end > first else { continue }
        let scale = pooling[slot].scale(end &- first)
        let source = gradient + slot &* factors
        for position in first..<end {
          let target = rowGradients + Int(batch.gradientRows[position]) &* width
          fi_add_scaled(target, scale, source, factors)
          target[factors] += scale * wideGradient
        }
      }
    }
  }
}

extension SlotSpec.Pooling {
  /// What each of `count` rows, 1 or more, is multiplied by.
  @inline(__always)
  func scale(_ count: Int) -> Float {
    guard count > 1 else { return 1 }
    return switch self {
    case .sum: 1
    case .mean: 1 / Float(count)
    case .sqrtn: 1 / Float(count).squareRoot()
    }
  }
}

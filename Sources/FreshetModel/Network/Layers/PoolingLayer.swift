import CIntrinsics

/// Makes one vector of the rows of each slot, and one number of their linear weights.
///
///     v_s = c_s Σ_i factors(row_i),   wide = Σ_s c_s Σ_i linear(row_i)
///
/// over the rows `i` of slot `s`, with `c_s` 1, 1/n or 1/√n for n rows (`SlotSpec.Pooling`). A slot without rows gives zeros.
final class PoolingLayer {
  private struct Slot {
    let pooling: SlotSpec.Pooling
    let factors: Int
    /// Of its vector among those of an example.
    let offset: Int
  }

  private let slotCount: Int
  private let slots: UnsafeMutablePointer<Slot>
  /// Floats of all slots' vectors.
  private let width: Int

  /// - Parameters:
  ///   - factors: By slot.
  ///   - pooling: By slot.
  init(factors: [Int], pooling: [SlotSpec.Pooling]) {
    precondition(factors.count == pooling.count)
    slotCount = pooling.count
    slots = .allocate(capacity: max(1, slotCount))
    var offset = 0
    for slot in 0..<slotCount {
      (slots + slot).initialize(to: Slot(pooling: pooling[slot], factors: factors[slot], offset: offset))
      offset += factors[slot]
    }
    width = offset
  }

  deinit { slots.deallocate() }

  /// - Parameters:
  ///   - vectors: For each example the slots' vectors one behind the other, `stride` floats apart.
  ///   - wide: One float for each example.
  func forward(
    _ batch: NetworkInput, vectors: UnsafeMutablePointer<Float>, stride: Int, wide: UnsafeMutablePointer<Float>
  ) {
    for example in 0..<batch.count {
      let vector = vectors + example &* stride
      vector.update(repeating: 0, count: width)
      let starts = batch.starts + example &* slotCount
      var linear: Float = 0
      for number in 0..<slotCount {
        let first = Int(starts[number])
        let end = Int(starts[number &+ 1])
        guard end > first else { continue }
        let slot = slots[number]
        let scale = slot.pooling.scale(end &- first)
        let target = vector + slot.offset
        for position in first..<end {
          let row = batch.rows + Int(batch.occurrences[position])
          fi_add_scaled(target, scale, row, slot.factors)
          linear += scale * row[slot.factors]
        }
      }
      wide[example] = linear
    }
  }

  /// - Parameters:
  ///   - vectorGradients: Like `vectors`.
  ///   - wideGradients: Like `wide`.
  ///   - rowGradients: Of rows where `batch.gradientRows` says; added to.
  func backward(
    _ batch: NetworkInput, vectorGradients: UnsafePointer<Float>, stride: Int, wideGradients: UnsafePointer<Float>,
    rowGradients: UnsafeMutablePointer<Float>
  ) {
    for example in 0..<batch.count {
      let gradient = vectorGradients + example &* stride
      let wideGradient = wideGradients[example]
      let starts = batch.starts + example &* slotCount
      for number in 0..<slotCount {
        let first = Int(starts[number])
        let end = Int(starts[number &+ 1])
        guard end > first else { continue }
        let slot = slots[number]
        let scale = slot.pooling.scale(end &- first)
        let source = gradient + slot.offset
        for position in first..<end {
          let target = rowGradients + Int(batch.gradientRows[position])
          fi_add_scaled(target, scale, source, slot.factors)
          target[slot.factors] += scale * wideGradient
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

import CIntrinsics

/// The second-order part of a factorization machine (Rendle 2010): the sum of the dot products of all pairs of slots' vectors,
///
///     FM(v) = ½ Σ_k ((Σ_s v_sk)² − Σ_s v_sk²),   ∂FM/∂v_sk = Σ_r v_rk − v_sk
final class FactorizationLayer {
  private let slots: Int
  private let factors: Int
  /// Of each example, over the slots: kept for the way back.
  private let sums = FloatBuffer()

  init(slots: Int, factors: Int) {
    self.slots = slots
    self.factors = factors
  }

  func reserve(_ count: Int) { sums.reserve(count * factors) }

  /// Adds each example's interactions to `wide`.
  /// - Parameter vectors: For each example `slots × factors` floats, `stride` apart.
  func forward(count: Int, vectors: UnsafePointer<Float>, stride: Int, addingTo wide: UnsafeMutablePointer<Float>) {
    let factors = factors
    for example in 0..<count {
      let vector = vectors + example &* stride
      let sums = sums.start + example &* factors
      fi_sum_rows(vector, slots, factors, sums)
      let squares = fi_dot(vector, vector, slots &* factors)
      wide[example] += 0.5 * (fi_dot(sums, sums, factors) - squares)
    }
  }

  /// Adds to the gradients of the vectors.
  /// - Parameters:
  ///   - vectors, stride: As in `forward`.
  ///   - wideGradients: Of what `forward` added to, one for each example.
  func backward(
    count: Int, vectors: UnsafePointer<Float>, stride: Int, wideGradients: UnsafePointer<Float>,
    addingTo vectorGradients: UnsafeMutablePointer<Float>
  ) {
    let factors = factors
    for example in 0..<count {
      let vector = vectors + example &* stride
      let gradient = vectorGradients + example &* stride
      let sums = sums.start + example &* factors
      let wideGradient = wideGradients[example]
      for slot in 0..<slots {
        let base = slot &* factors
        fi_add_scaled_difference(gradient + base, wideGradient, sums, vector + base, factors)
      }
    }
  }
}

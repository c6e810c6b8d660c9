import CIntrinsics

/// The second-order part of a factorization machine (Rendle 2010): the sum of the dot products of all pairs of slots' vectors,
///
///     FM(v) = ½ Σ_k ((Σ_s v_sk)² − Σ_s v_sk²),   ∂FM/∂v_sk = Σ_r v_rk − v_sk
///
/// over slots whose vectors are of one length; an example may have vectors of other slots between theirs.
final class FactorizationLayer {
  /// Vectors one behind the other.
  private struct Run: BitwiseCopyable {
    let offset: Int
    var count: Int
  }

  private let runs: UnsafeMutableBufferPointer<Run>
  private let factors: Int
  /// Of each example, over the slots: kept for the way back.
  private let sums = FloatBuffer()

  /// - Parameters:
  ///   - offsets: Where in an example's vectors those to be multiplied begin, ascending; one at least.
  ///   - factors: Of each of them.
  init(offsets: [Int], factors: Int) {
    precondition(!offsets.isEmpty)
    var runs: [Run] = []
    for offset in offsets {
      if let last = runs.last, last.offset + last.count * factors == offset {
        runs[runs.count - 1].count += 1
      } else {
        runs.append(Run(offset: offset, count: 1))
      }
    }
    self.runs = .allocate(capacity: runs.count)
    _ = self.runs.initialize(from: runs)
    self.factors = factors
  }

  deinit { runs.deallocate() }

  func reserve(_ count: Int) { sums.reserve(count * factors) }

  /// Adds each example's interactions to `wide`.
  /// - Parameter vectors: Of each example, `stride` floats apart.
  func forward(count: Int, vectors: UnsafePointer<Float>, stride: Int, addingTo wide: UnsafeMutablePointer<Float>) {
    let factors = factors
    for example in 0..<count {
      let sums = sums.start + example &* factors
      var squares: Float = 0
      for number in 0..<runs.count {
        let run = runs[number]
        let vector = vectors + (example &* stride &+ run.offset)
        if number == 0 {
          fi_sum_rows(vector, run.count, factors, sums)
        } else {
          fi_add_rows(sums, vector, run.count, factors)
        }
        squares += fi_dot(vector, vector, run.count &* factors)
      }
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
      let sums = sums.start + example &* factors
      let wideGradient = wideGradients[example]
      for number in 0..<runs.count {
        let run = runs[number]
        let first = example &* stride &+ run.offset
        for vector in 0..<run.count {
          let base = first &+ vector &* factors
          fi_add_scaled_difference(vectorGradients + base, wideGradient, sums, vectors + base, factors)
        }
      }
    }
  }
}

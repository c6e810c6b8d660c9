import CIntrinsics
import Glibc

/// Adam (Kingma and Ba, 2015) with the step count of each row, so that a rare row's bias is corrected by its own history:
/// `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`, `w ← w − rate × (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + epsilon)`.
/// State: both moments of each weight, and the row's `t`, exact up to 2^24.
public struct Adam: RowOptimizer, Sendable, Hashable {
  public let learningRate: Float
  /// Decay of the first moment, in `0 ..< 1`.
  public let beta1: Float
  /// Decay of the second moment, in `0 ..< 1`.
  public let beta2: Float
  public let epsilon: Float
  private let logBeta1: Double
  private let logBeta2: Double

  public init(learningRate: Float, beta1: Float, beta2: Float, epsilon: Float) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    logBeta1 = log(Double(beta1))
    logBeta2 = log(Double(beta2))
  }

  struct Correction {
    /// `rate / (1 − β₁ᵗ)`.
    let rate: Float
    /// `1 / √(1 − β₂ᵗ)`.
    let scale: Float
  }

  static var stateVectors: Int { 2 }
  static var stateScalars: Int { 1 }

  @inline(__always)
  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>) { (.zero, .zero) }

  @inline(__always)
  func beginStep(_ scalars: UnsafeMutablePointer<Float>) -> Correction {
    let step = min(scalars.pointee + 1, 0x1p24)
    scalars.pointee = step
    return Correction(
      rate: Float(Double(learningRate) / -expm1(Double(step) * logBeta1)),
      scale: Float(1 / (-expm1(Double(step) * logBeta2)).squareRoot()))
  }

  @inline(__always)
  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Correction
  ) {
    first = beta1 * first + (1 - beta1) * gradient
    second = beta2 * second + (1 - beta2) * (gradient * gradient)
    weight -= step.rate * first / (fi_sqrt8(second) * step.scale + (epsilon + .leastNormalMagnitude))
  }
}

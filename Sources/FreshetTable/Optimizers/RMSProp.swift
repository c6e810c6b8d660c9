import CIntrinsics

/// RMSProp (Tieleman and Hinton, 2012, lecture 6.5): `s ← decay × s + (1 − decay) × g²`, `w ← w − rate × g / (√s + epsilon)`.
/// State: one mean square for each weight.
public struct RMSProp: RowOptimizer, Sendable, Hashable {
  public let learningRate: Float
  /// Of the mean square, in `0 ..< 1`.
  public let decay: Float
  public let epsilon: Float

  public init(learningRate: Float, decay: Float, epsilon: Float) {
    self.learningRate = learningRate
    self.decay = decay
    self.epsilon = epsilon
  }

  static var stateVectors: Int { 1 }

  @inline(__always)
  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>) { (.zero, .zero) }

  @inline(__always)
  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Void
  ) {
    first = decay * first + (1 - decay) * (gradient * gradient)
    weight -= learningRate * gradient / (fi_sqrt8(first) + (epsilon + .leastNormalMagnitude))
  }
}

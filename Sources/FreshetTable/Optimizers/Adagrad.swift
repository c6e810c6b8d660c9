import CIntrinsics

/// Adagrad (Duchi, Hazan and Singer, 2011), element by element:
/// `a ← a + g²`, `w ← w − rate × g / (√a + epsilon)`. State: one accumulator for each weight.
public struct Adagrad: RowOptimizer, Sendable, Hashable {
  public let learningRate: Float
  /// Where accumulators start. 0 makes the first step of every weight as long as the learning rate.
  public let initialAccumulator: Float
  public let epsilon: Float

  public init(learningRate: Float, initialAccumulator: Float, epsilon: Float) {
    self.learningRate = learningRate
    self.initialAccumulator = initialAccumulator
    self.epsilon = epsilon
  }

  static var stateVectors: Int { 1 }

  @inline(__always)
  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>) {
    (SIMD8(repeating: initialAccumulator), .zero)
  }

  @inline(__always)
  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Void
  ) {
    first += gradient * gradient
    // The least divisor keeps 0/0 from becoming NaN when accumulator, gradient and epsilon are all 0; it is below every
    // other divisor's precision.
    weight -= learningRate * gradient / (fi_sqrt8(first) + (epsilon + .leastNormalMagnitude))
  }
}

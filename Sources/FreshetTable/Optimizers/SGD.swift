/// Stochastic gradient descent (Robbins and Monro, 1951): `w ← w − rate × g`. No state.
public struct SGD: RowOptimizer, Sendable, Hashable {
  public let learningRate: Float

  public init(learningRate: Float) { self.learningRate = learningRate }

  static var stateVectors: Int { 0 }

  @inline(__always)
  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>) { (.zero, .zero) }

  @inline(__always)
  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Void
  ) {
    weight -= learningRate * gradient
  }
}

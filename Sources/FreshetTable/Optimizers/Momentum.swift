/// Gradient descent with momentum (Polyak, 1964; in the form of Sutskever et al., 2013, with the rate outside the velocity):
/// `v ← momentum × v + g`, `w ← w − rate × v`. State: one velocity for each weight.
///
/// A row moves only when it gets a gradient; the velocity of a row that is not in a batch rests.
public struct Momentum: RowOptimizer, Sendable, Hashable {
  public let learningRate: Float
  /// In `0 ..< 1`.
  public let momentum: Float

  public init(learningRate: Float, momentum: Float) {
    self.learningRate = learningRate
    self.momentum = momentum
  }

  static var stateVectors: Int { 1 }

  @inline(__always)
  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>) { (.zero, .zero) }

  @inline(__always)
  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Void
  ) {
    first = momentum * first + gradient
    weight -= learningRate * first
  }
}

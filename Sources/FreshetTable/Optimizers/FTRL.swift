import CIntrinsics

/// FTRL-Proximal (McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013, algorithm 1), per coordinate:
/// `σ = (√(n + g²) − √n) / rate`, `z ← z + g − σw`, `n ← n + g²`, and then
/// `w = 0 if |z| ≤ l1, else −(z − sign(z) × l1) / ((beta + √n) / rate + l2)`.
/// State: `z` and `n` of each weight.
///
/// The algorithm has no initial weights of its own. Here `z` starts where the last formula gives the initial weight, so that
/// factors that start at random (and would not learn from 0) keep their start. Weights that start at 0 start as in the paper.
public struct FTRL: RowOptimizer, Sendable, Hashable {
  /// The paper's α.
  public let learningRate: Float
  /// The paper's β: keeps first steps short.
  public let beta: Float
  public let l1: Float
  public let l2: Float

  public init(learningRate: Float, beta: Float, l1: Float, l2: Float) {
    self.learningRate = learningRate
    self.beta = beta
    self.l1 = l1
    self.l2 = l2
  }

  static var stateVectors: Int { 2 }

  @inline(__always)
  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>) {
    // −w × (beta / rate + l2) solves the last formula at n = 0 without l1, which then moves it away from 0.
    let z = -weight * (beta / learningRate + l2)
    let away = SIMD8<Float>(repeating: 0).replacing(with: l1, where: z .> 0).replacing(with: -l1, where: z .< 0)
    return (z + away, .zero)
  }

  @inline(__always)
  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Void
  ) {
    let squares = second + gradient * gradient
    let root = fi_sqrt8(squares)
    let sigma = (root - fi_sqrt8(second)) / learningRate
    first += gradient - sigma * weight
    second = squares
    let magnitude = first.replacing(with: -first, where: first .< 0) - l1
    let sign = SIMD8<Float>(repeating: -1).replacing(with: 1, where: first .< 0)
    let solved = sign * magnitude / ((beta + root) / learningRate + (l2 + .leastNormalMagnitude))
    weight = solved.replacing(with: 0, where: magnitude .<= 0)
  }
}

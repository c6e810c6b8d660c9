/// Stochastic gradient descent: `w ← w − rate × g`. No state.
public struct SGD: RowOptimizer, Sendable, Hashable {
  public let learningRate: Float

  public init(learningRate: Float) { self.learningRate = learningRate }

  static func stateWidth(for width: Int) -> Int { 0 }

  func initializeState(_ state: UnsafeMutablePointer<Float>, width: Int) {}

  @inline(__always)
  func update(
    weights: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>, width: Int
  ) {
    for column in 0..<width { weights[column] -= learningRate * gradient[column] }
  }
}

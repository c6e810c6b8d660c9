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

  static func stateWidth(for width: Int) -> Int { width }

  func initializeState(_ state: UnsafeMutablePointer<Float>, width: Int) {
    state.update(repeating: initialAccumulator, count: width)
  }

  @inline(__always)
  func update(
    weights: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>, width: Int
  ) {
    // Eight at a time: a loop over scalars keeps a call to sqrtf for each of them.
    let rawWeights = UnsafeMutableRawPointer(weights)
    let rawState = UnsafeMutableRawPointer(state)
    let rawGradient = UnsafeRawPointer(gradient)
    var column = 0
    while column &+ 8 <= width {
      let byte = column &* 4
      let g = rawGradient.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
      let a = rawState.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self) + g * g
      let w = rawWeights.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self)
      rawState.storeBytes(of: a, toByteOffset: byte, as: SIMD8<Float>.self)
      rawWeights.storeBytes(
        of: w - learningRate * g / (a.squareRoot() + epsilon + leastDivisor), toByteOffset: byte, as: SIMD8<Float>.self)
      column &+= 8
    }
    while column < width {
      let g = gradient[column]
      let a = state[column] + g * g
      state[column] = a
      weights[column] -= learningRate * g / (a.squareRoot() + epsilon + leastDivisor)
      column &+= 1
    }
  }

  /// Keeps 0/0 from becoming NaN when accumulator, gradient and epsilon are all 0; below every real divisor's precision.
  private var leastDivisor: Float { .leastNormalMagnitude }
}

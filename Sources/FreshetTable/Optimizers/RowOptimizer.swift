/// The rule by which a gradient changes a row, as configuration. Each case has a kernel of its own name.
public enum Optimizer: Sendable, Hashable {
  case sgd(SGD)
  case momentum(Momentum)
  case adagrad(Adagrad)
  case rmsProp(RMSProp)
  case adam(Adam)
  case ftrl(FTRL)
  /// Rows are only assigned, never updated: serving replicas.
  case weightsOnly

  /// State beside the weights: vectors as long as they are, and single floats.
  var stateShape: (vectors: Int, scalars: Int) {
    func shape<Kernel: RowOptimizer>(_: Kernel) -> (Int, Int) { (Kernel.stateVectors, Kernel.stateScalars) }
    return switch self {
    case .sgd(let kernel): shape(kernel)
    case .momentum(let kernel): shape(kernel)
    case .adagrad(let kernel): shape(kernel)
    case .rmsProp(let kernel): shape(kernel)
    case .adam(let kernel): shape(kernel)
    case .ftrl(let kernel): shape(kernel)
    case .weightsOnly: shape(WeightsOnly())
    }
  }

  /// Floats of state beside `width` weights.
  public func stateWidth(for width: Int) -> Int { stateShape.vectors * width + stateShape.scalars }
}

/// One optimizer's step, for eight weights of a row at a time.
protocol RowOptimizer: Sendable {
  /// What is the same for all weights of a row in one step.
  associatedtype Step
  /// Vectors of state as long as the weights: 0, 1 or 2.
  static var stateVectors: Int { get }
  /// Single floats of state, which belong to the row as a whole.
  static var stateScalars: Int { get }
  var learningRate: Float { get }

  /// The state of weights that have never been updated.
  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>)

  /// Begins a step of a row; may change its single floats, which start from 0.
  func beginStep(_ scalars: UnsafeMutablePointer<Float>) -> Step

  /// State vectors that the optimizer does not have are ignored.
  /// - Precondition: `gradient` is finite.
  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Step)
}

extension RowOptimizer {
  static var stateScalars: Int { 0 }
}

extension RowOptimizer where Step == Void {
  @inline(__always)
  func beginStep(_ scalars: UnsafeMutablePointer<Float>) {}
}

/// Takes no gradients; rows have no state.
struct WeightsOnly: RowOptimizer {
  static var stateVectors: Int { 0 }
  var learningRate: Float { 0 }

  func initialState(weight: SIMD8<Float>) -> (first: SIMD8<Float>, second: SIMD8<Float>) { (.zero, .zero) }

  func apply(
    _ gradient: SIMD8<Float>, to weight: inout SIMD8<Float>, _ first: inout SIMD8<Float>, _ second: inout SIMD8<Float>,
    _ step: Void
  ) {
    preconditionFailure("a table of weights alone got gradients")
  }
}

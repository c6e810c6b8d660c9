/// The rule by which a gradient changes a row, as configuration. Each case has a kernel of its own name.
public enum Optimizer: Sendable, Hashable {
  case sgd(SGD)
  case adagrad(Adagrad)
  /// Rows are only assigned, never updated: serving replicas.
  case weightsOnly

  /// Floats of optimizer state beside `width` weights.
  public func stateWidth(for width: Int) -> Int {
    switch self {
    case .sgd: SGD.stateWidth(for: width)
    case .adagrad: Adagrad.stateWidth(for: width)
    case .weightsOnly: 0
    }
  }

  /// Writes the state of a row that has never been updated.
  func initializeState(_ state: UnsafeMutablePointer<Float>, width: Int) {
    switch self {
    case .sgd(let kernel): kernel.initializeState(state, width: width)
    case .adagrad(let kernel): kernel.initializeState(state, width: width)
    case .weightsOnly: break
    }
  }
}

/// One optimizer's kernel for one row.
protocol RowOptimizer {
  static func stateWidth(for width: Int) -> Int
  func initializeState(_ state: UnsafeMutablePointer<Float>, width: Int)
  /// - Precondition: `gradient` is finite; the three buffers do not overlap.
  func update(
    weights: UnsafeMutablePointer<Float>, state: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>, width: Int
  )
}

import FreshetTable
import Glibc

/// One row under an optimizer, in Double, written element by element from the papers' formulas.
public struct ReferenceRow: Sendable, Equatable {
  public var weights: [Double]
  /// As the table lays it out: vectors as long as the weights, then single numbers.
  public var state: [Double]

  public init(weights: [Double], state: [Double]) {
    self.weights = weights
    self.state = state
  }

  /// Weights and then state.
  public init(floats: [Float], width: Int) {
    weights = floats.prefix(width).map(Double.init)
    state = floats.dropFirst(width).map(Double.init)
  }

  /// A row that has never been updated.
  public init(initial: [Float], optimizer: Optimizer) {
    weights = initial.map(Double.init)
    let zeros = [Double](repeating: 0, count: initial.count)
    switch optimizer {
    case .sgd, .weightsOnly: state = []
    case .momentum, .rmsProp: state = zeros
    case .adagrad(let adagrad): state = zeros.map { _ in Double(adagrad.initialAccumulator) }
    case .adam: state = zeros + zeros + [0]
    case .ftrl(let ftrl):
      // The z for which the paper's formula gives the initial weight.
      state =
        weights.map { weight in
          let z = -weight * (Double(ftrl.beta) / Double(ftrl.learningRate) + Double(ftrl.l2))
          return z == 0 ? 0 : z + (z > 0 ? Double(ftrl.l1) : -Double(ftrl.l1))
        } + zeros
    }
  }

  /// Applies one gradient.
  public mutating func update(_ given: [Float], optimizer: Optimizer, rules: GradientRules) {
    let gradient = Self.rewrite(given.map(Double.init), weights: weights, rules)
    if case .adam = optimizer { state[2 * weights.count] += 1 }
    for column in weights.indices { step(column, gradient[column], optimizer) }
    let bound = Double(optimizer.learningRate) * Double(rules.l1)
    if bound > 0 { weights = weights.map { $0 > bound ? $0 - bound : $0 < -bound ? $0 + bound : 0 } }
  }

  private static func rewrite(_ gradient: [Double], weights: [Double], _ rules: GradientRules) -> [Double] {
    var result = gradient
    if let bound = rules.clipValue { result = result.map { max(-Double(bound), min(Double(bound), $0)) } }
    if let longest = rules.clipNorm {
      let norm = result.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if norm > Double(longest) { result = result.map { $0 * Double(longest) / norm } }
    }
    return zip(result, weights).map { $0 + Double(rules.l2) * $1 }
  }

  private mutating func step(_ column: Int, _ g: Double, _ optimizer: Optimizer) {
    let width = weights.count
    let second = width + column
    switch optimizer {
    case .sgd(let sgd):
      weights[column] -= Double(sgd.learningRate) * g
    case .momentum(let momentum):
      state[column] = Double(momentum.momentum) * state[column] + g
      weights[column] -= Double(momentum.learningRate) * state[column]
    case .adagrad(let adagrad):
      state[column] += g * g
      if g != 0 {
        weights[column] -= Double(adagrad.learningRate) * g / (state[column].squareRoot() + Double(adagrad.epsilon))
      }
    case .rmsProp(let rmsProp):
      let decay = Double(rmsProp.decay)
      state[column] = decay * state[column] + (1 - decay) * g * g
      if g != 0 {
        weights[column] -= Double(rmsProp.learningRate) * g / (state[column].squareRoot() + Double(rmsProp.epsilon))
      }
    case .adam(let adam):
      let beta1 = Double(adam.beta1)
      let beta2 = Double(adam.beta2)
      let t = state[2 * width]
      state[column] = beta1 * state[column] + (1 - beta1) * g
      state[second] = beta2 * state[second] + (1 - beta2) * g * g
      let mean = state[column] / (1 - pow(beta1, t))
      let square = state[second] / (1 - pow(beta2, t))
      if mean != 0 {
        weights[column] -= Double(adam.learningRate) * mean / (square.squareRoot() + Double(adam.epsilon))
      }
    case .ftrl(let ftrl):
      let rate = Double(ftrl.learningRate)
      let squares = state[second] + g * g
      let sigma = (squares.squareRoot() - state[second].squareRoot()) / rate
      state[column] += g - sigma * weights[column]
      state[second] = squares
      let z = state[column]
      let divisor = (Double(ftrl.beta) + squares.squareRoot()) / rate + Double(ftrl.l2)
      weights[column] = abs(z) <= Double(ftrl.l1) ? 0 : -(z - (z < 0 ? -1 : 1) * Double(ftrl.l1)) / divisor
    case .weightsOnly:
      preconditionFailure("rows of weights alone take no gradients")
    }
  }
}

extension Optimizer {
  public var learningRate: Float {
    switch self {
    case .sgd(let kernel): kernel.learningRate
    case .momentum(let kernel): kernel.learningRate
    case .adagrad(let kernel): kernel.learningRate
    case .rmsProp(let kernel): kernel.learningRate
    case .adam(let kernel): kernel.learningRate
    case .ftrl(let kernel): kernel.learningRate
    case .weightsOnly: 0
    }
  }
}

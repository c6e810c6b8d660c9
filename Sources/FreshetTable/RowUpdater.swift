import FreshetCore

/// One gradient for one copied row: where its weights, its state and the gradient begin, each in floats.
public struct RowUpdate: Sendable, BitwiseCopyable {
  public var weights: Int32
  public var state: Int32
  public var gradient: Int32

  public init(weights: Int32, state: Int32, gradient: Int32) {
    self.weights = weights
    self.state = state
    self.gradient = gradient
  }
}

/// Applies gradients to copies of a table's rows as the table itself would: same code, same bits.
///
/// A trainer that has pulled rows goes on from its copies with it before their server has the gradients. Tables whose weights are
/// kept in 16 bits round them after each step, at random; the copies of their rows are not rounded. Not thread-safe.
public final class RowUpdater {
  private let layout: TableLayout
  private let shape: RowShape
  private let insertsRows: Bool
  private let scratch: UnsafeMutablePointer<Float>

  public init(layout: TableLayout) {
    self.layout = layout
    shape = RowShape(
      TableLayout(
        name: layout.name, width: layout.width, weightFormat: .float32, optimizer: layout.optimizer,
        gradientRules: layout.gradientRules, initializer: layout.initializer, admission: .everything, expiry: .never))
    insertsRows = if case .everything = layout.admission { true } else { false }
    scratch = .allocate(capacity: layout.width + 8)
  }

  deinit { scratch.deallocate() }

  /// Applies gradients in order.
  ///
  /// A gradient with a NaN or an infinity is skipped. So is one for a row that does not exist, unless the table admits every
  /// fid: the server may refuse it.
  /// - Parameters:
  ///   - weights, states: Of rows as `EmbeddingTable.gather(_:into:states:)` gives them, `width` and `copiedStateWidth` floats each.
  ///   - gradients: Of the table's width.
  public func update(
    _ updates: UnsafeBufferPointer<RowUpdate>, weights: UnsafeMutablePointer<Float>,
    states: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>
  ) {
    switch layout.optimizer {
    case .sgd(let kernel): update(updates, weights, states, gradients, kernel)
    case .momentum(let kernel): update(updates, weights, states, gradients, kernel)
    case .adagrad(let kernel): update(updates, weights, states, gradients, kernel)
    case .rmsProp(let kernel): update(updates, weights, states, gradients, kernel)
    case .adam(let kernel): update(updates, weights, states, gradients, kernel)
    case .ftrl(let kernel): update(updates, weights, states, gradients, kernel)
    case .weightsOnly: preconditionFailure("table \(layout.name) of a serving replica got gradients")
    }
  }

  @inline(__always)
  private func update<Kernel: RowOptimizer>(
    _ updates: UnsafeBufferPointer<RowUpdate>, _ weights: UnsafeMutablePointer<Float>,
    _ states: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>, _ optimizer: Kernel
  ) {
    let kernel = RowKernel<Kernel, Float32Storage, AnyWidth>(
      optimizer: optimizer, shape: shape, rules: layout.gradientRules, scratch: scratch)
    let width = shape.width
    let existence = shape.stateVectors &* width &+ shape.stateScalars
    for update in updates {
      let gradient = gradients + Int(update.gradient)
      let state = states + Int(update.state)
      guard insertsRows || state[existence] != 0, areFinite(gradient, width) else { continue }
      kernel.update(weights + Int(update.weights), state: state, gradient: gradient, noise: 0)
    }
  }
}

import FreshetCore
import FreshetTable

/// A table with what a test does not care about chosen for it.
func makeTable(
  width: Int, _ optimizer: Optimizer, format: WeightFormat = .float32, rules: GradientRules = .none,
  initializer: Initializer = .constant(0), admission: Admission = .everything, expiry: Expiry = .never, feeds: Int = 0,
  isSnapshotted: Bool = false
) -> EmbeddingTable {
  EmbeddingTable(
    layout: TableLayout(
      name: "test", width: width, weightFormat: format, optimizer: optimizer, gradientRules: rules,
      initializer: initializer, admission: admission, expiry: expiry),
    feeds: feeds, isSnapshotted: isSnapshotted)
}

extension EmbeddingTable {
  func update(_ fids: [Fid], gradients: [Float], minutes: UInt32 = 0) {
    precondition(gradients.count == fids.count * layout.width)
    fids.withUnsafeBufferPointer { update($0, gradients: gradients, minutes: minutes) }
  }

  /// The same gradient for every weight.
  func update(_ fids: [Fid], with gradient: Float, minutes: UInt32 = 0) {
    update(fids, gradients: [Float](repeating: gradient, count: fids.count * layout.width), minutes: minutes)
  }

  func assign(_ fids: [Fid], to weight: Float, minutes: UInt32 = 0) {
    let weights = [Float](repeating: weight, count: fids.count * layout.width)
    fids.withUnsafeBufferPointer { assign($0, weights: weights, minutes: minutes) }
  }

  @discardableResult
  func remove(_ fids: [Fid]) -> Int { fids.withUnsafeBufferPointer { remove($0) } }

  func gather(_ fids: [Fid]) -> [Float] {
    [Float](unsafeUninitializedCapacity: fids.count * layout.width) { buffer, count in
      fids.withUnsafeBufferPointer { gather($0, into: buffer.baseAddress!) }
      count = fids.count * layout.width
    }
  }
}

extension SeededGenerator {
  /// Uniform in `-1 ..< 1`.
  mutating func gradients(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float(next() >> 40) * 0x1p-23 - 1 }
  }
}

extension Optimizer {
  /// One of each, with parameters as they are used.
  static let examples: [Optimizer] = [
    .sgd(SGD(learningRate: 0.1)),
    .momentum(Momentum(learningRate: 0.05, momentum: 0.9)),
    .adagrad(Adagrad(learningRate: 0.1, initialAccumulator: 0.1, epsilon: 1e-8)),
    .rmsProp(RMSProp(learningRate: 0.01, decay: 0.9, epsilon: 1e-7)),
    .adam(Adam(learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8)),
    .ftrl(FTRL(learningRate: 0.1, beta: 1, l1: 0.01, l2: 0.1)),
  ]
}

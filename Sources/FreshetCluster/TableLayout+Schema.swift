import FreshetCore
import FreshetModel
import FreshetTable

extension TableLayout {
  /// A table of the schema, with the limit of rows that holds for all shards together.
  init(_ table: TableSpec) {
    self.init(
      name: table.name, width: table.dimension + 1, weightFormat: WeightFormat(table.weights),
      optimizer: Optimizer(table.optimizer), gradientRules: GradientRules(table.optimizer),
      // Uniform in ±√3 σ has standard deviation σ.
      initializer: .uniform(
        bound: Float(table.initialDeviation * 3.0.squareRoot()), columns: table.dimension, seed: table.seed),
      admission: Admission(table.admission, seed: table.seed),
      expiry: Expiry(timeToLiveMinutes: table.timeToLiveMinutes, maximumRows: table.maximumRows))
  }

  /// The table as one of `shardCount` shards has it: with its share of the rows, rounded up.
  func share(ofShards shardCount: Int) -> TableLayout {
    guard let rows = expiry.maximumRows else { return self }
    var expiry = expiry
    expiry.maximumRows = (rows + shardCount - 1) / shardCount
    return TableLayout(
      name: name, width: width, weightFormat: weightFormat, optimizer: optimizer, gradientRules: gradientRules,
      initializer: initializer, admission: admission, expiry: expiry)
  }
}

extension WeightFormat {
  init(_ precision: WeightPrecision) {
    switch precision {
    case .fp32: self = .float32
    case .fp16: self = .float16
    case .bf16: self = .bfloat16
    }
  }
}

extension Admission {
  init(_ spec: AdmissionSpec, seed: UInt64) {
    switch spec {
    case .everything: self = .everything
    case .minimumCount(let count, let sketchBytes): self = .minimumCount(count, sketchBytes: sketchBytes)
    case .probability(let probability): self = .probability(probability, seed: seed)
    }
  }
}

extension Optimizer {
  init(_ spec: OptimizerSpec) {
    let rate = Float(spec.learningRate)
    switch spec.kind {
    case .sgd: self = .sgd(SGD(learningRate: rate))
    case .momentum(let momentum): self = .momentum(Momentum(learningRate: rate, momentum: Float(momentum)))
    case .adagrad(let accumulator, let epsilon):
      self = .adagrad(
        Adagrad(learningRate: rate, initialAccumulator: Float(accumulator), epsilon: Float(epsilon)))
    case .rmsProp(let decay, let epsilon):
      self = .rmsProp(RMSProp(learningRate: rate, decay: Float(decay), epsilon: Float(epsilon)))
    case .adam(let beta1, let beta2, let epsilon):
      self = .adam(Adam(learningRate: rate, beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon)))
    case .ftrl(let beta):
      self = .ftrl(FTRL(learningRate: rate, beta: Float(beta), l1: Float(spec.l1), l2: Float(spec.l2)))
    }
  }
}

extension GradientRules {
  /// The penalties of FTRL are part of its own formula.
  init(_ spec: OptimizerSpec) {
    let hasOwnPenalties = if case .ftrl = spec.kind { true } else { false }
    self.init(
      clipValue: spec.clipValue.map { Float($0) }, clipNorm: spec.clipNorm.map { Float($0) },
      l1: hasOwnPenalties ? 0 : Float(spec.l1), l2: hasOwnPenalties ? 0 : Float(spec.l2))
  }
}

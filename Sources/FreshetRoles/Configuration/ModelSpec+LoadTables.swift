import FreshetCore
import FreshetModel

extension ModelSpec {
  static func tables(_ section: YAMLSection) throws(ConfigurationError) -> [TableSpec] {
    var tables: [TableSpec] = []
    for key in section.keys {
      let table = try section.section(key)
      tables.append(
        TableSpec(
          name: key, dimension: try table.int("dimension", default: 16, in: 0...Limits.dimension),
          optimizer: try optimizer(table.section("optimizer")),
          initialDeviation: try table.double("initial_deviation", default: 0.01, in: 0...1_000),
          seed: UInt64(try table.int("seed", default: 1, in: 0...Int.max)),
          weights: try table.choice("weights", default: .fp32),
          admission: try admission(table.section("admission")) ?? .everything,
          timeToLiveMinutes: try timeToLive(table.section("expiry")).flatMap { $0 == 0 ? nil : $0 },
          maximumRows: try table.optionalInt("maximum_rows", in: 1...Limits.maximumRows)))
      try table.finish()
    }
    return tables
  }

  static func overrides(_ slot: YAMLSection) throws(ConfigurationError) -> SlotOverrides {
    SlotOverrides(
      learningRate: try slot.optionalDouble("learning_rate", in: rates),
      admission: try admission(slot.section("admission")),
      timeToLiveMinutes: try timeToLive(slot.section("expiry")))
  }

  /// - Returns: Nil if the section says nothing.
  private static func admission(_ section: YAMLSection) throws(ConfigurationError) -> AdmissionSpec? {
    let count = try section.optionalInt("minimum_count", in: 1...Limits.minimumCount)
    let sketchBytes =
      count == nil
      ? try section.optionalInt("sketch_bytes", in: Limits.sketchBytes)
      : try section.int("sketch_bytes", default: AdmissionSpec.defaultSketchBytes, in: Limits.sketchBytes)
    let probability = try section.optionalDouble("probability", in: 1e-9...1)
    try section.finish()
    guard count != nil || sketchBytes == nil else { throw section.error("sketch_bytes", "needs `minimum_count`") }
    switch (count, probability) {
    case (nil, nil): return nil
    case (_?, _?): throw section.error("probability", "cannot stand beside `minimum_count`; give one of them")
    case (1, nil), (nil, 1): return .everything
    case (let count?, nil): return .minimumCount(count, sketchBytes: sketchBytes!)
    case (nil, let probability?): return .probability(probability)
    }
  }

  /// - Returns: 0 for never, nil if the section says nothing.
  private static func timeToLive(_ section: YAMLSection) throws(ConfigurationError) -> UInt32? {
    let minutes = try section.optionalInt("time_to_live_minutes", in: 0...Limits.timeToLiveMinutes)
    try section.finish()
    return minutes.map { UInt32($0) }
  }

  private static let rates = 1e-12...1e6

  static func optimizer(_ section: YAMLSection) throws(ConfigurationError) -> OptimizerSpec {
    enum Name: String, CaseIterable { case sgd, momentum, adagrad, rmsprop, adam, ftrl }
    func decay(_ key: String, _ fallback: Double) throws(ConfigurationError) -> Double {
      try section.double(key, default: fallback, in: 0...0.999_999_9)
    }
    func epsilon() throws(ConfigurationError) -> Double { try section.double("epsilon", default: 1e-8, in: 1e-30...1) }
    let name = try section.choice("kind", default: Name.adagrad)
    // Steps of RMSProp and Adam are about as long as the rate, those of momentum add up to ten times the rate.
    let usualRate =
      switch name {
      case .sgd, .adagrad, .ftrl: 0.05
      case .momentum: 0.01
      case .rmsprop, .adam: 0.001
      }
    let rate = try section.double("learning_rate", default: usualRate, in: rates)
    let kind: OptimizerSpec.Kind =
      switch name {
      case .sgd: .sgd
      case .momentum: .momentum(momentum: try decay("momentum", 0.9))
      case .adagrad:
        .adagrad(
          initialAccumulator: try section.double("initial_accumulator", default: 0.1, in: 0...1e6),
          epsilon: try epsilon())
      case .rmsprop: .rmsProp(decay: try decay("decay", 0.9), epsilon: try epsilon())
      case .adam:
        .adam(beta1: try decay("beta1", 0.9), beta2: try decay("beta2", 0.999), epsilon: try epsilon())
      case .ftrl: .ftrl(beta: try section.double("beta", default: 1, in: 0...1e6))
      }
    let optimizer = OptimizerSpec(
      kind, learningRate: rate, l1: try section.double("l1", default: 0, in: 0...1e6),
      l2: try section.double("l2", default: 0, in: 0...1e6),
      clipValue: try section.optionalDouble("clip_value", in: 1e-12...1e12),
      clipNorm: try section.optionalDouble("clip_norm", in: 1e-12...1e12))
    try section.finish()
    return optimizer
  }
}

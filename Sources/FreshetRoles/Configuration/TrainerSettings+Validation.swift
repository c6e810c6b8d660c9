import FreshetCluster
import FreshetCore
import FreshetModel

/// The section `trainer.validation`: what trainers say of their own predictions.
public struct ValidationSettings: Sendable {
  /// Examples of a partition over which the windowed figures are. Default: 10,000.
  public var window: Int
  /// Slots by whose values figures are divided. Default: none.
  public var slices: [String]
  /// Values of a slot that are slices of their own; the others are one together. Default: 32.
  public var sliceValues: Int
  /// From one record in `kafka.topics.validation` to the next of the same figures, wall time; 0: none is written.
  /// Default: 10,000.
  public var intervalMs: Int
}

/// The section `trainer.guard`: when training is held.
public struct GuardSettings: Sendable {
  /// Examples that are judged together. Default: 10,000.
  public var window: Int
  /// Nats; nil: not judged. Default: nil.
  public var maximumLogloss: Double?
  /// nil: not judged. Default: nil.
  public var maximumNormalizedEntropy: Double?

  /// nil if nothing is judged.
  var bounds: TrainingGuard.Bounds? {
    guard maximumLogloss != nil || maximumNormalizedEntropy != nil else { return nil }
    return TrainingGuard.Bounds(
      window: window, maximumLogloss: maximumLogloss, maximumNormalizedEntropy: maximumNormalizedEntropy)
  }
}

extension ValidationSettings {
  init(_ section: YAMLSection) throws(ConfigurationError) {
    window = try section.int("window", default: 10_000, in: 100...1_000_000_000)
    slices = try section.strings("slices", default: [])
    for (position, slot) in slices.enumerated() where slices[..<position].contains(slot) {
      throw section.error("slices", "`\(slot)` is named twice")
    }
    sliceValues = try section.int("slice_values", default: 32, in: 1...ValidationSlices.maximumCapacity)
    intervalMs = try section.int("interval_ms", default: 10_000, in: 0...86_400_000)
    guard intervalMs == 0 || intervalMs >= 100 else {
      throw section.error("interval_ms", "\(intervalMs) is neither 0 nor at least 100")
    }
    try section.finish()
  }
}

extension GuardSettings {
  /// - Parameter batchSize: `trainer.batch_size`.
  init(_ section: YAMLSection, batchSize: Int) throws(ConfigurationError) {
    window = try section.int("window", default: 10_000, in: 100...100_000_000)
    maximumLogloss = try section.optionalDouble("maximum_logloss", in: 1e-6...1e6)
    maximumNormalizedEntropy = try section.optionalDouble("maximum_normalized_entropy", in: 1e-6...1e6)
    // A window that one batch fills would hold training again at the first batch after each resumption.
    guard bounds == nil || window >= 2 * batchSize else {
      throw section.error("window", "\(window) is less than two batches (`trainer.batch_size` is \(batchSize))")
    }
    try section.finish()
  }
}

extension FreshetConfiguration {
  /// What a trainer counts.
  public var validation: PartitionValidation.Settings {
    PartitionValidation.Settings(
      window: trainer.validation.window, slots: trainer.validation.slices.compactMap { model.slot(named: $0)?.index },
      valuesPerSlot: trainer.validation.sliceValues)
  }

  /// Throws if a slice is of no slot of the model.
  func checkSlices(_ file: String) throws(ConfigurationError) {
    for name in trainer.validation.slices where model.slot(named: name) == nil {
      throw ConfigurationError(
        file: file, line: nil, key: "trainer.validation.slices",
        reason: "`\(name)` is no slot of the model; there are " + model.slots.map(\.name).joined(separator: ", ")
          + NearestName.hint(name, among: model.slots.map(\.name)))
    }
  }
}

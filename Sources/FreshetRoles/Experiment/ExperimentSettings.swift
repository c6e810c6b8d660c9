import FreshetCluster
import FreshetCore
import FreshetModel

/// What the experiments of docs/experiments.md have in common.
public struct ExperimentSettings: Sendable {
  /// A directory of MovieLens data.
  public var data: String
  /// Ratings, in the order of time; nil for all.
  public var limit: Int?
  /// Runs, each from other initial values.
  public var seeds: Int
  /// Fields and tasks as for MovieLens.
  public var model: ModelSpec
  public var batchSize: Int
  public var microBatchSize: Int

  public init(
    data: String, limit: Int?, seeds: Int, model: ModelSpec, batchSize: Int, microBatchSize: Int
  ) {
    self.data = data
    self.limit = limit
    self.seeds = seeds
    self.model = model
    self.batchSize = batchSize
    self.microBatchSize = microBatchSize
  }

  /// The model with initial values of its own for each seed; seed 0 has the configured ones.
  func model(seed: Int) -> ModelSpec {
    var model = self.model
    for table in model.tables.indices { model.tables[table].seed &+= UInt64(seed) }
    return model
  }

  func readLog() throws -> ExampleLog {
    Network.useOneThread()
    let log = ExampleLog(try TrainingLog(model: model, directory: data, limit: limit).blocks)
    guard log.count >= 100 else {
      throw ReplayError(code: "too-few-ratings", message: "\(data) gives \(log.count) ratings, at least 100 are needed")
    }
    return log
  }

  /// The slot that holds nothing but a field as it is.
  /// - Throws: `UsageError` if the model has none.
  func slot(ofField field: Int) throws -> Int {
    guard let slot = model.slots.firstIndex(where: { $0.fields == [field] && $0.transform == .hash }) else {
      throw UsageError("the model has no slot of the field \(model.fields[field].name) alone")
    }
    return slot
  }

  /// For reports.
  func setup(_ log: ExampleLog) -> String {
    let network = model.network.kind.rawValue
    let hidden = model.network.hidden.isEmpty ? "" : " \(model.network.hidden)"
    let dimensions = Set(model.slots.map { model.tables[$0.table].dimension }).sorted(by: >)
    return "\(grouped(log.count)) ratings in the order of time; \(network)\(hidden), dimension "
      + dimensions.map(String.init).joined(separator: "/")
      + "; batches of \(batchSize), steps of \(min(batchSize, microBatchSize)); "
      + "\(seeds) \(seeds == 1 ? "seed" : "seeds")."
  }
}

/// 1000209 as 1,000,209.
func grouped(_ number: Int) -> String {
  let digits = Array(String(number.magnitude))
  var text = number < 0 ? "-" : ""
  for (position, digit) in digits.enumerated() {
    if position > 0, (digits.count - position) % 3 == 0 { text.append(",") }
    text.append(digit)
  }
  return text
}

import FreshetCore
import FreshetModel
import FreshetTable

/// The tables of a cluster: those of the model, in the schema's order, and after them the one of the dense tensors.
///
/// Every role derives them from the same configuration, so a table's position is its name on the wire.
public struct ModelTables: Sendable {
  public static let denseTableName = "dense"

  public let shape: NetworkShape
  public let denseLayout: DenseLayout
  public let poolsByMean: [Bool]
  /// By slot, the position of its table.
  public let tableOfSlot: [Int]
  /// With the optimizers of training; the last one is the dense table.
  public let layouts: [TableLayout]

  public var denseTable: Int { layouts.count - 1 }

  /// - Throws: `mismatch` if slots live in tables of different dimensions, which no network here can pool.
  public init(_ model: ModelSpec) throws(ClusterError) {
    let factors = model.tables[model.slots[0].table].dimension
    for slot in model.slots where model.tables[slot.table].dimension != factors {
      throw ClusterError(
        .mismatch,
        "slot \(slot.name): table \(model.tables[slot.table].name) has dimension \(model.tables[slot.table].dimension), "
          + "the other slots' tables \(factors); give all slots tables of one dimension")
    }
    guard !model.tables.contains(where: { $0.name == Self.denseTableName }) else {
      throw ClusterError(.mismatch, "a table is named \(Self.denseTableName), which is the dense tensors' name")
    }
    shape = NetworkShape(
      slots: model.slots.count, factors: factors, denseFeatures: model.denseFeatures.count,
      hidden: model.network.hidden, hasFactorizationMachine: model.network.kind != .logistic, tasks: model.tasks.count)
    denseLayout = DenseLayout(shape: shape)
    poolsByMean = model.slots.map { $0.pooling == .mean }
    tableOfSlot = model.slots.map(\.table)
    var layouts = model.tables.map { table in
      TableLayout(
        name: table.name, width: table.dimension + 1, optimizer: Optimizer(table.optimizer),
        // Uniform in ±√3 σ has standard deviation σ.
        initializer: .uniform(
          bound: Float(table.initialDeviation * 3.0.squareRoot()), columns: table.dimension, seed: table.seed))
    }
    let initial = InitialRows(
      fids: denseLayout.fids, values: denseLayout.initialParameters(seed: model.tables[0].seed),
      width: DenseLayout.chunkWidth)
    layouts.append(
      TableLayout(
        name: Self.denseTableName, width: DenseLayout.chunkWidth, optimizer: Optimizer(model.network.optimizer),
        initializer: .tabulated(initial)))
    self.layouts = layouts
  }

  /// The same tables for a replica: weights without optimizer state.
  public var servingLayouts: [TableLayout] {
    layouts.map {
      TableLayout(name: $0.name, width: $0.width, optimizer: .weightsOnly, initializer: $0.initializer)
    }
  }

  public func makeNetwork() -> Network { Network(shape: shape, poolsByMean: poolsByMean) }
}

extension Optimizer {
  init(_ spec: OptimizerSpec) {
    switch spec {
    case .sgd(let rate):
      self = .sgd(SGD(learningRate: Float(rate)))
    case .adagrad(let rate, let accumulator, let epsilon):
      self = .adagrad(
        Adagrad(learningRate: Float(rate), initialAccumulator: Float(accumulator), epsilon: Float(epsilon)))
    }
  }
}

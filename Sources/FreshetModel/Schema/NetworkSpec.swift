/// What is computed from the pooled rows and the dense features; docs/models.md has the formulas.
public struct NetworkSpec: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    /// Linear weights and a bias.
    case logistic
    /// The same and the pairwise dot products of slots' factors (Rendle 2010).
    case fm
    /// The same and a multilayer perceptron over the factors (Guo et al. 2017).
    case deepFM
    /// Linear weights, cross layers over the factors and a perceptron beside or above them: DCN-v2 (Wang et al. 2021).
    case dcn
    /// Linear weights, a perceptron that all tasks share, and one more for each task above it (Caruana 1997).
    case towers
    /// Linear weights, perceptrons as experts that each task mixes by a gate of its own, and one more for each task above its
    /// mixture: MMoE (Ma et al. 2018).
    case mmoe
  }

  /// How the cross layers of `dcn` and its perceptron lie to each other.
  public enum CrossStructure: String, Sendable, CaseIterable {
    /// Side by side, and heads over both.
    case parallel
    /// The perceptron above the cross layers.
    case stacked
  }

  /// Default: `deepFM`.
  public var kind: Kind
  /// Positions in `ModelSpec.slots`: those whose factors `fm` and `deepFM` multiply with each other, two at least, whose tables have
  /// one dimension. Default: nil, all slots, as for the other kinds.
  public var factorizedSlots: [Int]?
  /// Units of the hidden layers that all tasks share, first to last, each in `1...4096`, at most 8 layers. `deepFM` and `towers` have
  /// one at least, `dcn` may have some, the others have none.
  public var hidden: [Int]
  /// Cross layers of `dcn`, in `1...8`; 0 for the other kinds.
  public var crossLayers: Int
  /// Columns of the two matrices whose product a cross layer's matrix is, in `1...4096`. Default: nil, one full matrix.
  public var crossRank: Int?
  /// Default: `parallel`. Of no effect without hidden layers.
  public var crossStructure: CrossStructure
  /// Of `mmoe`, in `2...64`; 0 for the other kinds.
  public var experts: Int
  /// Units of each expert's layers, as `hidden`: one layer at least for `mmoe`, none for the other kinds.
  public var expertHidden: [Int]
  /// Units of the layers of each task, as `hidden`: one at least for `towers`, any for `mmoe`, none for the other kinds.
  public var towerHidden: [Int]
  /// Of all these layers, in rows of `DenseLayout.chunkWidth` weights. Default: `OptimizerSpec.standard`.
  public var optimizer: OptimizerSpec

  public init(
    kind: Kind = .deepFM, factorizedSlots: [Int]? = nil, hidden: [Int] = [], crossLayers: Int = 0,
    crossRank: Int? = nil, crossStructure: CrossStructure = .parallel, experts: Int = 0, expertHidden: [Int] = [],
    towerHidden: [Int] = [], optimizer: OptimizerSpec = .standard
  ) {
    self.kind = kind
    self.factorizedSlots = factorizedSlots
    self.hidden = hidden
    self.crossLayers = crossLayers
    self.crossRank = crossRank
    self.crossStructure = crossStructure
    self.experts = experts
    self.expertHidden = expertHidden
    self.towerHidden = towerHidden
    self.optimizer = optimizer
  }
}

extension NetworkSpec {
  var hasFactorizationMachine: Bool { kind == .fm || kind == .deepFM }
}

extension NetworkShape {
  /// - Precondition: The model is valid.
  public init(_ model: ModelSpec) {
    let network = model.network
    let body: Body =
      switch network.kind {
      case .logistic, .fm, .deepFM: .plain
      case .dcn:
        .cross(
          layers: network.crossLayers, rank: network.crossRank, isStacked: network.crossStructure == .stacked)
      case .towers: .towers(network.towerHidden)
      case .mmoe:
        .mixture(experts: network.experts, expert: network.expertHidden, tower: network.towerHidden)
      }
    self.init(
      factors: model.slots.map { model.tables[$0.table].dimension },
      factorizedSlots: network.hasFactorizationMachine
        ? network.factorizedSlots?.sorted() ?? Array(model.slots.indices) : [],
      denseFeatures: model.denseFeatures.count, hidden: network.hidden, body: body, tasks: model.tasks.count)
  }
}

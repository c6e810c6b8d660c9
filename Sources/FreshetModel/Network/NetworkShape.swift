import FreshetCore

/// The sizes that fix a network: logistic regression, a factorization machine, DeepFM, DCN-v2, a shared bottom with towers, or
/// MMoE. docs/models.md has the formulas and their sources.
///
/// For one example with pooled factor vectors `v_s` (one for each slot, 0 where the slot is empty), pooled linear weights `l_s`
/// and dense features `x`:
///
///     logit_t = Σ l_s + FM(v) + body_t(v ‖ x),   FM(v) = ½ Σ_k ((Σ_s v_sk)² − Σ_s v_sk²)
///
/// where FM is present if `hasFactorizationMachine`, over `factorizedSlots`. A plain body is `bias_t + head_t · MLP(v ‖ x)`, with ReLU layers; without
/// any, its heads see `x` alone.
public struct NetworkShape: Sendable, Equatable {
  /// What is computed from the pooled vectors and the dense features.
  public enum Body: Sendable, Equatable {
    /// The ReLU layers of `hidden` and heads.
    case plain
    /// `layers` cross layers, their matrices of at most `rank` if that is given; beside the layers of `hidden` (`isStacked`
    /// false) or below them.
    case cross(layers: Int, rank: Int?, isStacked: Bool)
    /// The layers of `hidden` for all tasks together, and then ReLU layers of these widths for each task.
    case towers([Int])
    /// So many experts with ReLU layers of the widths of `expert`; for each task a mixture of them and layers of the widths of
    /// `tower`. `hidden` is empty.
    case mixture(experts: Int, expert: [Int], tower: [Int])
  }

  /// By slot, the factors of an embedding; a row has one weight more, the last one linear. 0 for a slot of linear weights only.
  public let factors: [Int]
  /// By slot, where its factors begin among those of all slots, and one more: where the last ones end.
  public let vectorOffsets: [Int]
  public let denseFeatures: Int
  /// Widths of the ReLU layers that all tasks share.
  public let hidden: [Int]
  /// The slots whose vectors the factorization machine multiplies, ascending; all have the same number of factors. None: there
  /// is none.
  public let factorizedSlots: [Int]
  public let body: Body
  public let tasks: Int

  /// A plain body over slots of one dimension.
  public init(
    slots: Int, factors: Int, denseFeatures: Int, hidden: [Int], hasFactorizationMachine: Bool, tasks: Int
  ) {
    self.init(
      slots: slots, factors: factors, denseFeatures: denseFeatures, hidden: hidden,
      hasFactorizationMachine: hasFactorizationMachine, body: .plain, tasks: tasks)
  }

  /// Slots of one dimension, all of which the factorization machine multiplies.
  public init(
    slots: Int, factors: Int, denseFeatures: Int, hidden: [Int], hasFactorizationMachine: Bool, body: Body, tasks: Int
  ) {
    self.init(
      factors: Array(repeating: factors, count: slots),
      factorizedSlots: hasFactorizationMachine ? Array(0..<slots) : [], denseFeatures: denseFeatures, hidden: hidden,
      body: body, tasks: tasks)
  }

  public init(
    factors: [Int], factorizedSlots: [Int], denseFeatures: Int, hidden: [Int], body: Body, tasks: Int
  ) {
    precondition(factors.allSatisfy { $0 >= 0 } && denseFeatures >= 0 && tasks >= 1 && hidden.allSatisfy { $0 > 0 })
    precondition(zip(factorizedSlots, factorizedSlots.dropFirst()).allSatisfy { $0 < $1 })
    precondition(factorizedSlots.allSatisfy { factors[$0] == factors[factorizedSlots[0]] })
    switch body {
    case .plain: break
    case .cross(let layers, let rank, _): precondition(layers >= 1 && rank ?? 1 >= 1)
    case .towers(let tower): precondition(!hidden.isEmpty && tower.allSatisfy { $0 > 0 })
    case .mixture(let experts, let expert, let tower):
      precondition(experts >= 1 && !expert.isEmpty && (expert + tower).allSatisfy { $0 > 0 } && hidden.isEmpty)
    }
    self.factors = factors
    vectorOffsets = factors.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    self.denseFeatures = denseFeatures
    self.hidden = hidden
    self.factorizedSlots = factorizedSlots
    self.body = body
    self.tasks = tasks
  }

  public var slots: Int { factors.count }
  public var hasFactorizationMachine: Bool { !factorizedSlots.isEmpty }
  /// Of the vectors that the factorization machine multiplies; 0 without one.
  public var factorizedWidth: Int { factorizedSlots.first.map { factors[$0] } ?? 0 }
  /// Weights of the widest rows.
  public var largestRowWidth: Int { (factors.max() ?? 0) + 1 }
  /// All slots' factors.
  public var vectorWidth: Int { vectorOffsets[factors.count] }

  /// Whether the body computes on the pooled vectors, and not on the dense features alone.
  public var readsVectors: Bool { !hidden.isEmpty || body != .plain }

  /// Columns of the body's input: every slot's factors, then the dense features.
  public var inputWidth: Int { (readsVectors ? vectorWidth : 0) + denseFeatures }
}

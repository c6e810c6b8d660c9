import FreshetCore

/// The sizes that fix a network: logistic regression, a factorization machine, DeepFM, DCN-v2, a shared bottom with towers, or
/// MMoE. docs/models.md has the formulas and their sources.
///
/// For one example with pooled factor vectors `v_s` (one for each slot, 0 where the slot is empty), pooled linear weights `l_s`
/// and dense features `x`:
///
///     logit_t = Σ l_s + FM(v) + body_t(v ‖ x),   FM(v) = ½ Σ_k ((Σ_s v_sk)² − Σ_s v_sk²)
///
/// where FM is present if `hasFactorizationMachine`. A plain body is `bias_t + head_t · MLP(v ‖ x)`, with ReLU layers; without
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

  public let slots: Int
  /// Factors of an embedding; a row has `factors + 1` weights, the last one linear. 0 for logistic regression.
  public let factors: Int
  public let denseFeatures: Int
  /// Widths of the ReLU layers that all tasks share.
  public let hidden: [Int]
  public let hasFactorizationMachine: Bool
  public let body: Body
  public let tasks: Int

  /// A plain body.
  public init(
    slots: Int, factors: Int, denseFeatures: Int, hidden: [Int], hasFactorizationMachine: Bool, tasks: Int
  ) {
    self.init(
      slots: slots, factors: factors, denseFeatures: denseFeatures, hidden: hidden,
      hasFactorizationMachine: hasFactorizationMachine, body: .plain, tasks: tasks)
  }

  public init(
    slots: Int, factors: Int, denseFeatures: Int, hidden: [Int], hasFactorizationMachine: Bool, body: Body, tasks: Int
  ) {
    precondition(slots >= 0 && factors >= 0 && denseFeatures >= 0 && tasks >= 1 && hidden.allSatisfy { $0 > 0 })
    switch body {
    case .plain: break
    case .cross(let layers, let rank, _): precondition(layers >= 1 && rank ?? 1 >= 1)
    case .towers(let tower): precondition(!hidden.isEmpty && tower.allSatisfy { $0 > 0 })
    case .mixture(let experts, let expert, let tower):
      precondition(experts >= 1 && !expert.isEmpty && (expert + tower).allSatisfy { $0 > 0 } && hidden.isEmpty)
    }
    self.slots = slots
    self.factors = factors
    self.denseFeatures = denseFeatures
    self.hidden = hidden
    self.hasFactorizationMachine = hasFactorizationMachine
    self.body = body
    self.tasks = tasks
  }

  public var rowWidth: Int { factors + 1 }
  /// All slots' factors.
  public var vectorWidth: Int { slots * factors }

  /// Whether the body computes on the pooled vectors, and not on the dense features alone.
  public var readsVectors: Bool { !hidden.isEmpty || body != .plain }

  /// Columns of the body's input: every slot's factors, then the dense features.
  public var inputWidth: Int { (readsVectors ? vectorWidth : 0) + denseFeatures }
}

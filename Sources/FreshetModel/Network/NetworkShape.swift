import FreshetCore

/// The sizes that fix a network: logistic regression, a factorization machine, or DeepFM (Guo et al. 2017).
///
/// For one example with pooled factor vectors `v_s` (one for each slot, 0 where the slot is empty), pooled linear weights `l_s`
/// and dense features `x`:
///
///     logit_t = bias_t + Σ l_s + FM(v) + head_t · MLP(v ‖ x),   FM(v) = ½ Σ_k ((Σ_s v_sk)² − Σ_s v_sk²)
///
/// where FM is present for `fm` and `deepFM`, and the MLP (ReLU layers) for `deepFM`; without it the heads see `x` alone.
public struct NetworkShape: Sendable, Equatable {
  public let slots: Int
  /// Factors of an embedding; a row has `factors + 1` weights, the last one linear. 0 for logistic regression.
  public let factors: Int
  public let denseFeatures: Int
  /// Widths of the ReLU layers; empty unless DeepFM.
  public let hidden: [Int]
  public let hasFactorizationMachine: Bool
  public let tasks: Int

  public init(
    slots: Int, factors: Int, denseFeatures: Int, hidden: [Int], hasFactorizationMachine: Bool, tasks: Int
  ) {
    precondition(slots >= 0 && factors >= 0 && denseFeatures >= 0 && tasks >= 1 && hidden.allSatisfy { $0 > 0 })
    self.slots = slots
    self.factors = factors
    self.denseFeatures = denseFeatures
    self.hidden = hidden
    self.hasFactorizationMachine = hasFactorizationMachine
    self.tasks = tasks
  }

  public var rowWidth: Int { factors + 1 }

  /// Columns of the first layer's input: every slot's factors, then the dense features. Without hidden layers only the
  /// dense features reach the heads.
  public var inputWidth: Int { (hidden.isEmpty ? 0 : slots * factors) + denseFeatures }
}

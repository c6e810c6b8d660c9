/// How gradients change weights: the optimizer, and what happens to gradient and weights around its step.
public struct OptimizerSpec: Sendable, Equatable {
  /// The step itself, with the parameters that only this optimizer has.
  public enum Kind: Sendable, Equatable {
    /// `w −= rate × g`.
    case sgd
    /// `v = momentum × v + g; w −= rate × v` (Polyak 1964). `momentum` in `0 ..< 1`.
    case momentum(momentum: Double)
    /// `a += g²; w −= rate × g / (√a + epsilon)` (Duchi et al. 2011), with `a` starting at `initialAccumulator`.
    case adagrad(initialAccumulator: Double, epsilon: Double)
    /// `s = decay × s + (1 − decay) × g²; w −= rate × g / (√s + epsilon)` (Tieleman and Hinton 2012). `decay` in `0 ..< 1`.
    case rmsProp(decay: Double, epsilon: Double)
    /// Moments with bias correction by each row's own step count (Kingma and Ba 2015). Both betas in `0 ..< 1`.
    case adam(beta1: Double, beta2: Double, epsilon: Double)
    /// FTRL-Proximal (McMahan et al. 2013), whose own formula has `l1` and `l2`. `beta` is 0 or more.
    case ftrl(beta: Double)
  }

  public var kind: Kind
  /// Above 0. FTRL's α.
  public var learningRate: Double
  /// Weight of the penalty `l1 × ‖w‖₁`, 0 or more. Default: 0.
  public var l1: Double
  /// Weight of the penalty `l2/2 × ‖w‖²`, 0 or more. Default: 0.
  public var l2: Double
  /// Elements of the gradient are held within `±clipValue`, above 0. Default: no bound.
  public var clipValue: Double?
  /// A row's gradient that is longer is scaled down to this norm, above 0. Default: no bound.
  public var clipNorm: Double?

  public init(
    _ kind: Kind, learningRate: Double, l1: Double = 0, l2: Double = 0, clipValue: Double? = nil,
    clipNorm: Double? = nil
  ) {
    self.kind = kind
    self.learningRate = learningRate
    self.l1 = l1
    self.l2 = l2
    self.clipValue = clipValue
    self.clipNorm = clipNorm
  }

  /// Adagrad with the defaults: learning rate 0.05, initial accumulator 0.1, epsilon 1e-8.
  public static let standard = OptimizerSpec.adagrad(learningRate: 0.05, initialAccumulator: 0.1, epsilon: 1e-8)

  /// SGD without penalties and bounds.
  public static func sgd(learningRate: Double) -> OptimizerSpec { OptimizerSpec(.sgd, learningRate: learningRate) }

  /// Adagrad without penalties and bounds.
  public static func adagrad(learningRate: Double, initialAccumulator: Double, epsilon: Double) -> OptimizerSpec {
    OptimizerSpec(.adagrad(initialAccumulator: initialAccumulator, epsilon: epsilon), learningRate: learningRate)
  }
}

import FreshetCore

/// How one label of an example is learned and judged, whatever was done to the stream that the example comes from.
///
/// The stream that is learned has every label of 0 with the weight `negativeRate`, in expectation: negative examples because they
/// were kept with that probability, all other labels of 0 because they count that much. With the odds divided by the rate in the
/// same way (`LogisticLoss.sampledLogit`), the model's own logit is that of the stream before sampling. A correction is the
/// loss of its labels less the loss of those that they take the place of. docs/joiner.md derives all of it.
public struct ExampleLoss: Sendable {
  /// Of the loss, by the logit; without the example's weight.
  public let gradient: Float
  /// What progressive validation adds to its sums. Below 0 where a correction takes back more than it adds.
  public let loss: Double
  /// Of the sampled stream, likewise.
  public let predicted: Double
  /// Whether progressive validation counts a prediction of the label.
  public let isCounted: Bool

  /// A label that the example does not have.
  private static let nothing = ExampleLoss(gradient: 0, loss: 0, predicted: 0, isCounted: false)

  private init(gradient: Float, loss: Double, predicted: Double, isCounted: Bool) {
    self.gradient = gradient
    self.loss = loss
    self.predicted = predicted
    self.isCounted = isCounted
  }

  /// - Parameters:
  ///   - logit: The model's own.
  ///   - label: 0 or 1; NaN where the example says nothing about the task.
  ///   - rate: `ExampleHeader.negativeRate`.
  ///   - requestHash: Decides which labels of 0 are counted where only their share is: the same ones in each replay.
  public init(logit: Float, label: Float, origin: ExampleOrigin, negativeRate rate: Float, requestHash: UInt64) {
    if label.isNaN, origin != .correctsNegative {
      self = Self.nothing
      return
    }
    let sampled = LogisticLoss.sampledLogit(logit, negativeRate: rate)
    let probability = LogisticLoss.sigmoid(sampled)
    let isPositive = label > 0.5
    let isInShare = rate >= 1 || Self.share(requestHash) < rate
    var counted: Float = 0
    var gradient: Float = 0
    if !label.isNaN {
      gradient = (isPositive || origin == .negative ? 1 : rate) * (probability - label)
      counted = isPositive || origin == .negative || isInShare ? 1 : 0
    }
    var takenBack: Float = 0
    switch origin {
    case .actions, .negative: break
    case .correctsNegative:
      gradient -= probability
      takenBack = 1
    case .correctsLabels:
      gradient -= rate * probability
      takenBack = isInShare ? 1 : 0
    }
    self.init(
      gradient: gradient,
      loss: (counted > 0 ? LogisticLoss.loss(logit: Double(sampled), label: Double(label)) : 0)
        - (takenBack > 0 ? LogisticLoss.loss(logit: Double(sampled), label: 0) : 0),
      predicted: Double((counted - takenBack) * probability), isCounted: counted > 0)
  }

  /// In 0 ..< 1, of each request another one.
  private static func share(_ requestHash: UInt64) -> Float {
    Float(Hashing.mix(requestHash ^ 0x6c61_6265_6c73_2030) >> 40) * 0x1p-24
  }
}

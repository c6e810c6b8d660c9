/// Progressive validation in total and over a window that moves on, in constant memory however long the stream is.
///
/// Who owns it says when a window is full (`roll`), so that several of them are over the same stretch of the stream.
public struct WindowedValidation: Sendable, Equatable {
  /// What is older than the two windows.
  private var past: ValidationWindow
  private var previous: ValidationWindow
  private var current: ValidationWindow

  public init(_ resolution: ValidationWindow.Resolution) {
    past = ValidationWindow(resolution)
    previous = past
    current = past
  }

  public var total: ValidationWindow {
    var sum = past
    sum.merge(previous)
    sum.merge(current)
    return sum
  }

  /// The newest full window and what has come since.
  public var recent: ValidationWindow {
    var sum = previous
    sum.merge(current)
    return sum
  }

  public mutating func add(_ outcome: ValidationOutcome) {
    current.addSums(loss: outcome.loss, predicted: outcome.predicted)
    if outcome.isCounted { current.add(outcome.prediction) }
  }

  /// Adds a batch: its predictions, and their exact sums.
  public mutating func add(_ predictions: [Prediction], loss: Double, predicted: Double) {
    current.addSums(loss: loss, predicted: predicted)
    for prediction in predictions { current.add(prediction) }
  }

  /// The current window is full: the next one begins.
  public mutating func roll() {
    past.merge(previous)
    swap(&previous, &current)
    current.removeAll()
  }

  /// Takes over all that another one has, which is empty then.
  mutating func absorb(_ other: inout WindowedValidation) {
    past.merge(other.past)
    previous.merge(other.previous)
    current.merge(other.current)
    other.past.removeAll()
    other.previous.removeAll()
    other.current.removeAll()
  }
}

/// What progressive validation makes of one label of one example (`ExampleLoss`).
public struct ValidationOutcome: Sendable, Equatable {
  /// In nats.
  public let loss: Double
  public let predicted: Double
  public let prediction: Prediction
  public let isCounted: Bool

  public init(loss: Double, predicted: Double, prediction: Prediction, isCounted: Bool) {
    self.loss = loss
    self.predicted = predicted
    self.prediction = prediction
    self.isCounted = isCounted
  }

  /// Of a label that the example does not have.
  public static let nothing = ValidationOutcome(
    loss: 0, predicted: 0, prediction: Prediction(logit: 0, isPositive: false), isCounted: false)
}

import FreshetModel

/// What predictions are worth, exactly: no histogram.
struct PredictionScore {
  let auc: Double
  let logloss: Double

  /// - Parameters:
  ///   - logits: Predictions of examples that have a label.
  ///   - labels: Theirs, 0 or 1.
  init(logits: ArraySlice<Float>, labels: ArraySlice<Float>) {
    precondition(logits.count == labels.count)
    let count = logits.count
    var loss = 0.0
    var ranked: [(logit: Float, isPositive: Bool)] = []
    ranked.reserveCapacity(count)
    for (logit, label) in zip(logits, labels) {
      loss += LogisticLoss.loss(logit: Double(logit), label: Double(label))
      ranked.append((logit, label > 0.5))
    }
    ranked.sort { $0.logit < $1.logit }
    var below = 0.0
    var above = 0.0
    var positives = 0.0
    var first = 0
    while first < count {
      // Equal predictions count half.
      var negativesHere = 0.0
      var positivesHere = 0.0
      var end = first
      while end < count, ranked[end].logit == ranked[first].logit {
        if ranked[end].isPositive { positivesHere += 1 } else { negativesHere += 1 }
        end += 1
      }
      above += positivesHere * (below + negativesHere / 2)
      below += negativesHere
      positives += positivesHere
      first = end
    }
    auc = positives > 0 && below > 0 ? above / (positives * below) : .nan
    logloss = count > 0 ? loss / Double(count) : .nan
  }
}

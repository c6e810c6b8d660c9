import FreshetCore
import FreshetModel
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What docs/joiner.md says of negatives and corrections, as equations.
@Suite struct ExampleLossTests {
  static let rates: [Float] = [1, 0.5, 0.1, 0.01]
  static let logits: [Float] = [-6, -2.2, -0.3, 0, 1.7, 8]

  private func terms(
    _ logit: Float, _ label: Float, _ origin: ExampleOrigin, _ rate: Float, request: UInt64 = 1
  ) -> ExampleLoss {
    ExampleLoss(logit: logit, label: label, origin: origin, negativeRate: rate, requestHash: request)
  }

  private func logit(_ probability: Double) -> Float { Float(log(probability / (1 - probability))) }

  /// With p₁ positive and p₀ explicitly negative in time, both once more late, and all others negatives kept with the rate, the
  /// gradient vanishes where the model says the share of positives before sampling, and nowhere else.
  @Test(arguments: rates) func theExpectedGradientVanishesAtTheTrueProbability(rate: Float) {
    for (onTime, explicit, late, lateExplicit) in [
      (0.1, 0, 0, 0), (0.05, 0.1, 0, 0), (0.02, 0, 0.08, 0), (0, 0, 0.3, 0), (0.1, 0.05, 0.1, 0.05),
    ] as [(Float, Float, Float, Float)] {
      func expected(_ logit: Float) -> Float {
        let inTime =
          onTime * terms(logit, 1, .actions, rate).gradient
          + explicit * terms(logit, 0, .actions, rate).gradient
        let negatives = (1 - onTime - explicit) * rate * terms(logit, 0, .negative, rate).gradient
        let corrected =
          late * terms(logit, 1, .correctsNegative, rate).gradient
          + lateExplicit * terms(logit, 0, .correctsNegative, rate).gradient
        let dropped =
          late * terms(logit, 1, .actions, rate).gradient
          + lateExplicit * terms(logit, 0, .actions, rate).gradient
        return inTime + negatives + rate * corrected + (1 - rate) * dropped
      }
      let truth = logit(Double(onTime + late))
      #expect(abs(expected(truth)) < 1e-6)
      #expect(expected(truth - 0.2) < -1e-4 && expected(truth + 0.2) > 1e-4)
    }
  }

  /// A window's example and its correction are together what the action in time would have given: gradient, loss and sums.
  @Test(arguments: rates) func whatWasGivenAndItsCorrectionAreTheExampleOfTheActionInTime(rate: Float) {
    for logit in Self.logits {
      for request in 0..<20 as Range<UInt64> {
        func expectSum(_ given: ExampleLoss, _ correction: ExampleLoss, _ whole: ExampleLoss) {
          #expect(abs(given.gradient + correction.gradient - whole.gradient) < 1e-6)
          #expect(abs(given.loss + correction.loss - whole.loss) < 1e-6)
          #expect(abs(given.predicted + correction.predicted - whole.predicted) < 1e-6)
        }
        let negative = terms(logit, 0, .negative, rate, request: request)
        for label in [0, 1, .nan] as [Float] {
          expectSum(
            negative, terms(logit, label, .correctsNegative, rate, request: request),
            terms(logit, label, .actions, rate, request: request))
        }
        let zero = terms(logit, 0, .actions, rate, request: request)
        let one = terms(logit, 1, .actions, rate, request: request)
        expectSum(zero, terms(logit, 1, .correctsLabels, rate, request: request), one)
        expectSum(zero, terms(logit, .nan, .correctsLabels, rate, request: request), zero)
      }
    }
  }

  /// The correction of a positive is a pull of 1, however sure the model is, and of no other direction.
  @Test func noCorrectionPullsHarderThanOneExample() {
    for rate in Self.rates {
      for logit in Self.logits {
        for label in [0, 1, .nan] as [Float] {
          for origin in ExampleOrigin.allCases {
            #expect(abs(terms(logit, label, origin, rate).gradient) <= 1 + 1e-6)
          }
        }
        #expect(abs(terms(logit, 1, .correctsNegative, rate).gradient + 1) < 1e-6)
      }
    }
  }

  /// Labels of 0 that were not sampled are counted in their share only, as negatives are kept: sums and counts then are those
  /// of one stream.
  @Test(arguments: rates) func progressiveValidationCountsTheSampledStream(rate: Float) {
    var generator = SeededGenerator(seed: 5)
    var counted = 0
    var predicted = 0.0
    for _ in 0..<20_000 {
      let terms = terms(-1, 0, .actions, rate, request: generator.next())
      counted += terms.isCounted ? 1 : 0
      predicted += terms.predicted
      #expect(terms.isCounted == (terms.loss > 0))
    }
    #expect(abs(Double(counted) - 20_000 * Double(rate)) < 4 * 71)
    let probability = Double(LogisticLoss.sigmoid(LogisticLoss.sampledLogit(-1, negativeRate: rate)))
    #expect(abs(predicted - Double(counted) * probability) < 0.01)
    #expect(terms(-1, 1, .actions, rate).isCounted && terms(-1, 0, .negative, rate).isCounted)
    #expect(!terms(-1, .nan, .actions, rate).isCounted && !terms(-1, .nan, .correctsNegative, rate).isCounted)
  }

  /// One weight learns a stream whose rate changes from one example to the next, with actions that are no positives and with late
  /// ones.
  @Test func withRatesThatChangeTheModelAndItsValidationStayCalibrated() {
    var generator = SeededGenerator(seed: 9)
    var logit: Float = 0
    var sumOfProbabilities = 0.0
    var window = ValidationWindow()
    let steps = 400_000
    for step in 0..<steps {
      let rate = Self.rates[Int(generator.next() % UInt64(Self.rates.count))]
      let request = generator.next()
      let isKept = generator.nextUnit() < Double(rate)
      let outcome = generator.nextUnit()
      let examples: [(Float, ExampleOrigin)] =
        switch outcome {
        case ..<0.06: [(1, .actions)]
        case ..<0.10: isKept ? [(0, .negative), (1, .correctsNegative)] : [(1, .actions)]
        case ..<0.25: [(0, .actions)]
        default: isKept ? [(0, .negative)] : []
        }
      for (label, origin) in examples {
        let terms = terms(logit, label, origin, rate, request: request)
        if step >= steps / 4 {
          window.addSums(loss: terms.loss, predicted: terms.predicted)
          if terms.isCounted { window.add(Prediction(logit: logit, isPositive: label > 0.5)) }
        }
        logit -= 0.002 * terms.gradient
      }
      if step >= steps / 4 { sumOfProbabilities += Double(LogisticLoss.sigmoid(logit)) }
    }
    let served = sumOfProbabilities / Double(steps - steps / 4)
    #expect(abs(served / 0.1 - 1) < 0.03, "\(served)")
    #expect(abs(window.calibration! - 1) < 0.02, "\(window.calibration!)")
  }

  @Test func withoutSamplingItIsThePlainLogisticLoss() {
    for logit in Self.logits {
      for label in [0, 1] as [Float] {
        let terms = terms(logit, label, .actions, 1)
        #expect(terms.gradient == LogisticLoss.sigmoid(logit) - label)
        #expect(terms.loss == LogisticLoss.loss(logit: Double(logit), label: Double(label)))
        #expect(terms.isCounted)
      }
    }
  }
}

import FreshetCore
import FreshetModel
import Testing

@Suite struct ProgressiveValidationTests {
  /// AUC by comparing every pair.
  func naiveAUC(_ scored: [(logit: Float, positive: Bool)]) -> Double {
    var sum = 0.0
    var pairs = 0.0
    for p in scored where p.positive {
      for n in scored where !n.positive {
        sum += p.logit > n.logit ? 1 : p.logit == n.logit ? 0.5 : 0
        pairs += 1
      }
    }
    return sum / pairs
  }

  func sample(_ count: Int, seed: UInt64) -> [(logit: Float, positive: Bool)] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in
      let logit = Float.random(in: -3...3, using: &random)
      return (logit, Float(random.nextUnit()) < LogisticLoss.sigmoid(logit))
    }
  }

  @Test func aucAgreesWithCountingEveryPairWithinItsOwnBound() throws {
    let scored = sample(3_000, seed: 1)
    var window = ValidationWindow()
    for example in scored { window.add(Prediction(logit: example.logit, isPositive: example.positive)) }
    let exact = naiveAUC(scored)
    let auc = try #require(window.auc)
    #expect(abs(auc - exact) <= window.aucErrorBound! + 1e-12)
    #expect(abs(auc - exact) < 1e-4)
    #expect(window.aucErrorBound! < 2e-3)
  }

  @Test func windowsMergeToTheSameMetricsAsOneStream() {
    let scored = sample(5_000, seed: 2)
    var whole = ValidationWindow()
    var parts = (0..<7).map { _ in ValidationWindow() }
    for (index, example) in scored.enumerated() {
      let prediction = Prediction(logit: example.logit, isPositive: example.positive)
      whole.add(prediction)
      parts[index % 7].add(prediction)
    }
    var merged = ValidationWindow()
    for part in parts { merged.merge(part) }
    #expect(merged == whole)
  }

  @Test func longStreamsKeepEveryExampleInBoundedWindows() {
    var validation = ProgressiveValidation()
    let total = 500_000
    for start in stride(from: 0, to: total, by: 50) {
      // The first half is all negatives, the second all positives.
      let batch = (start..<start + 50).map { Prediction(logit: 0, isPositive: $0 >= total / 2) }
      validation.add(batch, loss: 50, predicted: 25)
    }
    #expect(validation.total.count == UInt64(total))
    #expect(validation.total.positives == UInt64(total / 2))
    #expect(validation.total.loss == Double(total))
    let half = validation.lastHalf
    #expect(half.count <= UInt64(total / 2) && half.count > UInt64(total / 2 - total / 60))
    #expect(half.positives == half.count)
    #expect(validation.windowSize > ProgressiveValidation.initialWindowSize)
  }

  @Test func aWindowSurvivesItsEncodingAndTruncationsThrow() throws {
    var window = ValidationWindow()
    for example in sample(100, seed: 3) {
      window.add(Prediction(logit: example.logit, isPositive: example.positive))
    }
    window.addSums(loss: 12.5, predicted: 40)
    var writer = BinaryWriter(capacity: 100)
    window.encode(into: &writer)
    let decoded = try writer.bytes.withUnsafeBytes { raw in
      var reader = BinaryReader(raw, what: "window")
      let decoded = try ValidationWindow(from: &reader)
      try reader.finish()
      return decoded
    }
    #expect(decoded == window)
    for length in stride(from: 0, to: writer.count, by: 501) {
      Array(writer.bytes.prefix(length)).withUnsafeBytes { raw in
        _ = #expect(throws: MalformedBlob.self) {
          var reader = BinaryReader(raw, what: "window")
          _ = try ValidationWindow(from: &reader)
        }
      }
    }
  }

  @Test func extremeLogitsStayInTheHistogram() {
    for logit: Float in [-1e30, -16, 0, 15.999, 16, 1e30, .infinity, -.infinity, .nan] {
      let prediction = Prediction(logit: logit, isPositive: true)
      #expect((0..<Prediction.bucketCount).contains(prediction.bucket))
      #expect(prediction.isPositive)
      #expect(Prediction(bits: prediction.bits) == prediction)
    }
    #expect(Prediction(bits: 1 << 13) == nil)
  }
}

import FreshetCore
import FreshetTable
import FreshetTableScript
import Testing

@Suite struct WeightFormatTests {
  /// The mean over 1,024 weights of how far they came lies within 5 standard errors of the exact way. `start` chooses the
  /// format's step there: `precision`.
  @Test(arguments: [
    (WeightFormat.float16, Float(0.5), Float(2e-5), 0x1p-11), (.bfloat16, 0.5, 2e-5, 0x1p-8),
    (.float16, -0.3, 2e-5, 0x1p-12), (.bfloat16, -0.3, 2e-5, 0x1p-9),
    (.float16, 0, 2e-9, 0x1p-24), (.float16, 2e-5, 2e-9, 0x1p-24),
  ])
  func stepsFarBelowTheFormatsPrecisionAddUp(format: WeightFormat, start: Float, step: Float, precision: Double) {
    let table = makeTable(width: 16, .sgd(SGD(learningRate: 1)), format: format)
    let fids = (0..<64).map { FidFamily.spread.fid($0 + 1) }
    let steps = 200
    table.assign(fids, to: start)
    for _ in 0..<steps { table.update(fids, with: -step) }
    let begin = Double(format.nearest(start))
    let way = table.gather(fids).reduce(0) { $0 + Double($1) - begin } / 1024
    let exact = Double(step) * Double(steps)
    let standardError = (exact * precision / 1024).squareRoot()
    #expect(abs(way - exact) < 5 * standardError, "\(way) instead of \(exact)")
  }

  @Test(arguments: [WeightFormat.float16, .bfloat16])
  func anExactWeightStaysAsItIs(format: WeightFormat) {
    var random = SeededGenerator(seed: 6)
    let table = makeTable(width: 8, .sgd(SGD(learningRate: 1)), format: format)
    for scale in [1e-8, 1e-7, 1e-6, 6e-5, 1e-3, 1, 1e4] as [Float] {
      let fids = (0..<16).map { _ in random.next() }
      let weights = random.gradients(128).map { format.nearest($0 * scale) }
      fids.withUnsafeBufferPointer { table.assign($0, weights: weights, minutes: 0) }
      for _ in 0..<20 { table.update(fids, with: 0) }
      #expect(table.gather(fids) == weights)
    }
  }

  @Test func float16StopsAtTheEndOfItsRange() {
    let table = makeTable(width: 9, .sgd(SGD(learningRate: 1)), format: .float16)
    table.update([1], with: -1e30)
    table.assign([2], to: -1e30)
    table.update([2], with: 1)
    #expect(table.weights(1).weights == [Float](repeating: 65_504, count: 9))
    #expect(table.weights(2).weights == [Float](repeating: -65_504, count: 9))
  }

  @Test(arguments: WeightFormat.allCases)
  func anAssignedWeightIsTheNearestOfTheFormat(format: WeightFormat) {
    var random = SeededGenerator(seed: 2)
    let table = makeTable(width: 17, .weightsOnly, format: format)
    for _ in 0..<50 {
      let scale = Float(sign: .plus, exponent: Int(random.next() % 50) - 30, significand: 1)
      let weights = random.gradients(17).map { $0 * scale }
      [Fid(3)].withUnsafeBufferPointer { table.assign($0, weights: weights, minutes: 0) }
      #expect(table.weights(3).weights == weights.map(format.nearest))
    }
  }

  @Test func rowsOf16BitsAreSmaller() {
    #expect(makeTable(width: 32, .weightsOnly).layout.strideBytes == 128)
    #expect(makeTable(width: 32, .weightsOnly, format: .float16).layout.strideBytes == 64)
  }
}

import FreshetCore
import FreshetTable
import FreshetTableScript
import Testing

@Suite struct OptimizerTests {
  static let widths = [1, 2, 8, 16, 17, 64, 128]
  static let rules: [GradientRules] = [
    .none,
    GradientRules(clipValue: 0.3, clipNorm: nil, l1: 0, l2: 0),
    GradientRules(clipValue: nil, clipNorm: 0.5, l1: 0, l2: 0),
    GradientRules(clipValue: nil, clipNorm: nil, l1: 0.02, l2: 0),
    GradientRules(clipValue: nil, clipNorm: nil, l1: 0, l2: 0.1),
    GradientRules(clipValue: 0.6, clipNorm: 1, l1: 0.01, l2: 0.05),
  ]

  /// The scale of an error is the greater of the weight and of the way it has come: a weight near 0 is a difference of
  /// greater numbers.
  @Test(arguments: Optimizer.examples, widths)
  func stepsFollowThePapersFormula(optimizer: Optimizer, width: Int) throws {
    for rules in Self.rules { try follow(optimizer, width, rules, steps: 12, tolerance: 1e-6) }
  }

  @Test(arguments: Optimizer.examples)
  func manyStepsDoNotDriftAway(optimizer: Optimizer) throws {
    try follow(optimizer, 17, .none, steps: 500, tolerance: 2e-6)
  }

  private func follow(
    _ optimizer: Optimizer, _ width: Int, _ rules: GradientRules, steps: Int, tolerance: Double
  ) throws {
    var random = SeededGenerator(seed: UInt64(width))
    let table = makeTable(
      width: width, optimizer, rules: rules, initializer: .uniform(bound: 0.1, columns: width, seed: 3))
    var expected = ReferenceRow(initial: table.weights(9).weights, optimizer: optimizer)
    var way = [Double](repeating: 0, count: width)
    for _ in 0..<steps {
      let gradient = random.gradients(width)
      let before = expected.weights
      table.update([9], gradients: gradient)
      expected.update(gradient, optimizer: optimizer, rules: rules)
      for column in 0..<width { way[column] += abs(expected.weights[column] - before[column]) }
    }
    let row = try #require(table.row(9))
    #expect(row.count == width + expected.state.count)
    for column in 0..<width {
      let error = abs(Double(row[column]) - expected.weights[column])
      let scale = max(abs(expected.weights[column]), way[column], Double(optimizer.learningRate))
      #expect(error <= tolerance * scale, "\(optimizer), \(rules), width \(width), column \(column)")
    }
  }

  @Test(arguments: Optimizer.examples, [WeightFormat.float16, .bfloat16])
  func aWeightOf16BitsIsOneOfTheTwoBesideTheExactOne(optimizer: Optimizer, format: WeightFormat) throws {
    for width in Self.widths {
      var random = SeededGenerator(seed: UInt64(width))
      let table = makeTable(
        width: width, optimizer, format: format, initializer: .uniform(bound: 0.1, columns: width, seed: 3))
      table.assign([4], to: 0.1)
      for _ in 0..<20 {
        let gradient = random.gradients(width)
        var expected = ReferenceRow(floats: try #require(table.row(4)), width: width)
        expected.update(gradient, optimizer: optimizer, rules: .none)
        table.update([4], gradients: gradient)
        for (weight, exact) in zip(table.weights(4).weights, expected.weights) {
          let slack = 1e-6 * max(abs(exact), Double(optimizer.learningRate))
          let allowed = format.neighbours(exact - slack).lowerBound...format.neighbours(exact + slack).upperBound
          #expect(allowed.contains(weight), "\(weight) for \(exact)")
        }
      }
    }
  }

  @Test func adagradWithoutAccumulatorAndEpsilonStandsStillWhereTheGradientIs0() {
    let table = makeTable(width: 3, .adagrad(Adagrad(learningRate: 0.5, initialAccumulator: 0, epsilon: 0)))
    table.update([1], gradients: [0, 2, -3])
    #expect(table.weights(1).weights == [0, -0.5, 0.5])
  }

  @Test func aNormIsClippedAfterValuesAndKeepsItsDirection() {
    let table = makeTable(
      width: 2, .sgd(SGD(learningRate: 1)), rules: GradientRules(clipValue: 4, clipNorm: 1, l1: 0, l2: 0))
    table.update([1], gradients: [3, 90])
    let weights = table.weights(1).weights
    #expect(abs(weights[0] + 0.6) < 1e-6 && abs(weights[1] + 0.8) < 1e-6)
  }

  @Test func aNormBeyondFloatsDropsTheGradient() {
    let table = makeTable(
      width: 2, .sgd(SGD(learningRate: 1)), rules: GradientRules(clipValue: nil, clipNorm: 1, l1: 0, l2: 0))
    table.update([1], gradients: [3e38, 1])
    #expect(table.weights(1).weights == [0, 0])
  }

  @Test func l1StopsAt0AndL2PullsTowardsIt() {
    let l1 = makeTable(
      width: 3, .sgd(SGD(learningRate: 0.5)), rules: GradientRules(clipValue: nil, clipNorm: nil, l1: 1, l2: 0))
    l1.update([1], gradients: [-4, 0.6, 2])
    #expect(l1.weights(1).weights == [1.5, 0, -0.5])
    let l2 = makeTable(
      width: 1, .sgd(SGD(learningRate: 0.5)), rules: GradientRules(clipValue: nil, clipNorm: nil, l1: 0, l2: 0.5),
      initializer: .constant(4))
    l2.update([1], gradients: [0])
    #expect(l2.weights(1).weights == [3])
  }

  @Test func aStateIsAsLargeAsDocumented() {
    #expect(Optimizer.examples.map { $0.stateWidth(for: 16) } == [0, 16, 16, 16, 33, 32])
    #expect(Optimizer.weightsOnly.stateWidth(for: 16) == 0)
  }
}

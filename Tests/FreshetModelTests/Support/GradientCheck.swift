import FreshetCore
import FreshetModel
import Testing

/// Holds a layer's outputs and gradients against a reference in plain loops: outputs by comparison, gradients by central
/// differences of the reference in double precision.
struct GradientCheck {
  /// Everything that the outputs depend on.
  var variables: [Double]
  /// The loss is the sum of the outputs times these.
  let outputWeights: [Double]

  /// - Parameters:
  ///   - outputs: Of the layer for `variables`.
  ///   - gradients: Of the loss by `variables`, from the layer.
  func run(
    outputs: [Float], gradients: [Float], reference: ([Double]) -> [Double],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let expected = reference(variables)
    #expect(outputs.count == expected.count, sourceLocation: sourceLocation)
    for (index, (found, value)) in zip(outputs, expected).enumerated() {
      #expect(
        abs(Double(found) - value) < 1e-5 * max(1, abs(value)), "output \(index)", sourceLocation: sourceLocation)
    }
    #expect(gradients.count == variables.count, sourceLocation: sourceLocation)
    var changed = variables
    let step = 1e-5
    for index in variables.indices {
      changed[index] = variables[index] + step
      let up = loss(reference(changed))
      changed[index] = variables[index] - step
      let down = loss(reference(changed))
      changed[index] = variables[index]
      let slope = (up - down) / (2 * step)
      #expect(
        abs(Double(gradients[index]) - slope) < 1e-4 * max(1, abs(slope)), "variable \(index)",
        sourceLocation: sourceLocation)
    }
  }

  private func loss(_ outputs: [Double]) -> Double { zip(outputs, outputWeights).reduce(0) { $0 + $1.0 * $1.1 } }
}

/// Seeded values that floats hold exactly.
struct RandomValues {
  private var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  mutating func values(_ count: Int) -> [Double] {
    (0..<count).map { _ in Double(Float(random.nextUnit() * 2 - 1)) }
  }
}

extension [Double] {
  var floats: [Float] { map { Float($0) } }

  /// Rows of `width` values.
  func rows(_ width: Int) -> [[Double]] {
    stride(from: 0, to: count, by: width).map { Array(self[$0..<$0 + width]) }
  }
}

extension UnsafePointer<Float> {
  func values(_ count: Int) -> [Float] { Array(UnsafeBufferPointer(start: self, count: count)) }
}

/// `output = input × weights + biases`, with negative outputs made 0 (ReLU) or not.
final class AffineLayer {
  let inputs: Int
  let outputs: Int
  private let isRectified: Bool
  private let weightsOffset: Int
  private let biasesOffset: Int
  /// `count × outputs`.
  let output = FloatBuffer()
  /// Of the loss by the output, `count × outputs`: whoever reads the output writes it before `backward`.
  let outputGradients = FloatBuffer()

  init(_ tensors: DenseLayout.Layer, isRectified: Bool) {
    inputs = tensors.weights.rows
    outputs = tensors.weights.columns
    weightsOffset = tensors.weights.offset
    biasesOffset = tensors.biases.offset
    self.isRectified = isRectified
  }

  func reserve(_ count: Int) {
    output.reserve(count * outputs)
    outputGradients.reserve(count * outputs)
  }

  /// - Parameters:
  ///   - input: `count × inputs`.
  ///   - added: One number for each row, added to all of its outputs before they are rectified.
  func forward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>, added: UnsafePointer<Float>? = nil
  ) {
    let output = output.start
    let biases = parameters + biasesOffset
    for row in 0..<count { (output + row &* outputs).update(from: biases, count: outputs) }
    if let added {
      for row in 0..<count {
        for column in 0..<outputs { output[row &* outputs &+ column] += added[row] }
      }
    }
    if inputs > 0 {
      MatrixProducts.multiply(
        input, parameters + weightsOffset, into: output, rows: count, inner: inputs, columns: outputs,
        accumulates: true)
    }
    if isRectified {
      for index in 0..<count &* outputs { output[index] = max(0, output[index]) }
    }
  }

  /// Right after `forward` with the same input and parameters.
  /// - Parameters:
  ///   - parameterGradients: Added to.
  ///   - inputGradients: `count × inputs`; nil if nobody needs them.
  ///   - accumulates: Whether they are added to what is there.
  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    parameterGradients: UnsafeMutablePointer<Float>, inputGradients: UnsafeMutablePointer<Float>?, accumulates: Bool
  ) {
    let gradients = outputGradients.start
    if isRectified {
      let output = output.start
      for index in 0..<count &* outputs { gradients[index] = output[index] > 0 ? gradients[index] : 0 }
    }
    MatrixProducts.addRows(gradients, to: parameterGradients + biasesOffset, rows: count, columns: outputs)
    guard inputs > 0 else { return }
    MatrixProducts.addTransposedProduct(
      input, gradients, to: parameterGradients + weightsOffset, rows: count, inner: inputs, columns: outputs)
    guard let inputGradients else { return }
    MatrixProducts.multiplyByTransposed(
      gradients, parameters + weightsOffset, into: inputGradients, rows: count, inner: inputs, columns: outputs,
      accumulates: accumulates)
  }
}

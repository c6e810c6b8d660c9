/// ReLU layers and a linear head: one for all tasks, or one for each.
final class Tower {
  private let stack: LayerStack
  private let head: AffineLayer

  init(_ tensors: DenseLayout.Tower) {
    stack = LayerStack(tensors.layers)
    head = AffineLayer(tensors.head, isRectified: false)
  }

  func reserve(_ count: Int) {
    stack.reserve(count)
    head.reserve(count)
  }

  /// `count × outputs` of the head.
  var logits: UnsafeMutablePointer<Float> { head.output.start }
  /// Of the loss by the logits, to be written before `backward`.
  var logitGradients: UnsafeMutablePointer<Float> { head.outputGradients.start }

  /// - Parameter wide: Added to each of an example's logits.
  func forward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>, wide: UnsafePointer<Float>
  ) {
    let top = stack.forward(input, count: count, parameters: parameters)
    head.forward(top, count: count, parameters: parameters, added: wide)
  }

  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    parameterGradients: UnsafeMutablePointer<Float>, inputGradients: UnsafeMutablePointer<Float>?, accumulates: Bool
  ) {
    let stackGradients = stack.outputGradients
    head.backward(
      stack.output(of: input), count: count, parameters: parameters, parameterGradients: parameterGradients,
      inputGradients: stackGradients ?? inputGradients, accumulates: stackGradients == nil && accumulates)
    stack.backward(
      input, count: count, parameters: parameters, parameterGradients: parameterGradients,
      inputGradients: inputGradients, accumulates: accumulates)
  }
}

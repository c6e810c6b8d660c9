/// ReLU layers one above the other (a multilayer perceptron without its last, linear layer); none is allowed.
final class LayerStack {
  let layers: [AffineLayer]

  init(_ tensors: [DenseLayout.Layer]) {
    layers = tensors.map { AffineLayer($0, isRectified: true) }
  }

  func reserve(_ count: Int) {
    for layer in layers { layer.reserve(count) }
  }

  /// What `forward` returned last, given the input that it had then.
  @inline(__always)
  func output(of input: UnsafePointer<Float>) -> UnsafePointer<Float> {
    layers.isEmpty ? input : UnsafePointer(layers[layers.count &- 1].output.start)
  }

  /// Where the gradients of the output go; nil if the output is the input.
  var outputGradients: UnsafeMutablePointer<Float>? {
    layers.isEmpty ? nil : layers[layers.count &- 1].outputGradients.start
  }

  /// - Parameter input: `count × inputs` of the first layer.
  /// - Returns: The last layer's output, or the input.
  func forward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>
  ) -> UnsafePointer<Float> {
    var below = input
    for number in 0..<layers.count {
      layers[number].forward(below, count: count, parameters: parameters)
      below = UnsafePointer(layers[number].output.start)
    }
    return below
  }

  /// Takes the gradients of the output to the input. Without layers there is nothing to do: they have been written there.
  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    parameterGradients: UnsafeMutablePointer<Float>, inputGradients: UnsafeMutablePointer<Float>?, accumulates: Bool
  ) {
    var number = layers.count
    while number > 0 {
      number &-= 1
      let isFirst = number == 0
      layers[number].backward(
        isFirst ? input : UnsafePointer(layers[number &- 1].output.start), count: count, parameters: parameters,
        parameterGradients: parameterGradients,
        inputGradients: isFirst ? inputGradients : layers[number &- 1].outputGradients.start,
        accumulates: isFirst && accumulates)
    }
  }
}

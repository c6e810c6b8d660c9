/// Cross layers one above the other, each of them multiplying with the same input: DCN-v2's polynomial of a degree one above their
/// number (Wang et al. 2021).
final class CrossNetwork {
  private let layers: [CrossLayer]

  /// - Parameter tensors: One layer at least.
  init(_ tensors: [DenseLayout.Cross]) { layers = tensors.map { CrossLayer($0) } }

  func reserve(_ count: Int) {
    for layer in layers { layer.reserve(count) }
  }

  /// `count × width`.
  var output: UnsafePointer<Float> { UnsafePointer(layers[layers.count - 1].output.start) }
  /// To be written before `backward`.
  var outputGradients: UnsafeMutablePointer<Float> { layers[layers.count - 1].outputGradients.start }

  func forward(_ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>) {
    var below = input
    for number in 0..<layers.count {
      layers[number].forward(first: input, below: below, count: count, parameters: parameters)
      below = UnsafePointer(layers[number].output.start)
    }
  }

  /// - Parameter inputGradients: Added to.
  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    parameterGradients: UnsafeMutablePointer<Float>, inputGradients: UnsafeMutablePointer<Float>
  ) {
    var number = layers.count
    while number > 0 {
      number &-= 1
      let isFirst = number == 0
      layers[number].backward(
        first: input, below: isFirst ? input : UnsafePointer(layers[number &- 1].output.start), count: count,
        parameters: parameters, parameterGradients: parameterGradients, firstGradients: inputGradients,
        belowGradients: isFirst ? inputGradients : layers[number &- 1].outputGradients.start)
    }
  }
}

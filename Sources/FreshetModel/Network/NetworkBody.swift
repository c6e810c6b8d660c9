/// What a network computes from its input, the pooled vectors and the dense features, put together from layers.
enum NetworkBody {
  case plain(Tower)
  case cross(CrossBody)
  case towers(TaskTowers)
  case mixture(MixtureBody)

  init(shape: NetworkShape, layout: DenseLayout) {
    switch shape.body {
    case .plain: self = .plain(Tower(layout.towers[0]))
    case .cross(_, _, let isStacked): self = .cross(CrossBody(layout, isStacked: isStacked, tasks: shape.tasks))
    case .towers: self = .towers(TaskTowers(layout))
    case .mixture: self = .mixture(MixtureBody(layout))
    }
  }

  func reserve(_ count: Int) {
    switch self {
    case .plain(let tower): tower.reserve(count)
    case .cross(let body): body.reserve(count)
    case .towers(let body): body.reserve(count)
    case .mixture(let body): body.reserve(count)
    }
  }

  /// - Parameters:
  ///   - input: `count × inputWidth`.
  ///   - wide: Added to each of an example's logits.
  /// - Returns: `count × tasks` logits, valid until the next call.
  func forward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>, wide: UnsafePointer<Float>
  ) -> UnsafePointer<Float> {
    switch self {
    case .plain(let tower):
      tower.forward(input, count: count, parameters: parameters, wide: wide)
      return UnsafePointer(tower.logits)
    case .cross(let body): return body.forward(input, count: count, parameters: parameters, wide: wide)
    case .towers(let body): return body.forward(input, count: count, parameters: parameters, wide: wide)
    case .mixture(let body): return body.forward(input, count: count, parameters: parameters, wide: wide)
    }
  }

  /// Right after `forward` with the same arguments.
  /// - Parameters:
  ///   - logitGradients: `count × tasks`.
  ///   - parameterGradients: Added to.
  ///   - inputGradients: `count × inputWidth`; overwritten. Nil if nobody needs them, which only a plain body allows.
  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    logitGradients: UnsafePointer<Float>, parameterGradients: UnsafeMutablePointer<Float>,
    inputGradients: UnsafeMutablePointer<Float>?, tasks: Int
  ) {
    switch self {
    case .plain(let tower):
      tower.logitGradients.update(from: logitGradients, count: count &* tasks)
      tower.backward(
        input, count: count, parameters: parameters, parameterGradients: parameterGradients,
        inputGradients: inputGradients, accumulates: false)
    case .cross(let body):
      body.backward(
        input, count: count, parameters: parameters, logitGradients: logitGradients,
        parameterGradients: parameterGradients, inputGradients: inputGradients!)
    case .towers(let body):
      body.backward(
        input, count: count, parameters: parameters, logitGradients: logitGradients,
        parameterGradients: parameterGradients, inputGradients: inputGradients!)
    case .mixture(let body):
      body.backward(
        input, count: count, parameters: parameters, logitGradients: logitGradients,
        parameterGradients: parameterGradients, inputGradients: inputGradients!)
    }
  }
}

/// A shared bottom (Caruana 1997): ReLU layers for all tasks together, and a tower for each above them.
final class TaskTowers {
  private let shared: LayerStack
  private let towers: [Tower]
  private let logits = FloatBuffer()

  init(_ layout: DenseLayout) {
    shared = LayerStack(layout.shared)
    towers = layout.towers.map { Tower($0) }
  }

  func reserve(_ count: Int) {
    shared.reserve(count)
    for tower in towers { tower.reserve(count) }
    logits.reserve(count * towers.count)
  }

  func forward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>, wide: UnsafePointer<Float>
  ) -> UnsafePointer<Float> {
    let top = shared.forward(input, count: count, parameters: parameters)
    for task in 0..<towers.count {
      let tower = towers[task]
      tower.forward(top, count: count, parameters: parameters, wide: wide)
      tower.copyLogits(to: logits.start + task, stride: towers.count, count: count)
    }
    return UnsafePointer(logits.start)
  }

  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    logitGradients: UnsafePointer<Float>, parameterGradients: UnsafeMutablePointer<Float>,
    inputGradients: UnsafeMutablePointer<Float>
  ) {
    for task in 0..<towers.count {
      let tower = towers[task]
      tower.copyLogitGradients(from: logitGradients + task, stride: towers.count, count: count)
      tower.backward(
        shared.output(of: input), count: count, parameters: parameters, parameterGradients: parameterGradients,
        inputGradients: shared.outputGradients ?? inputGradients, accumulates: task > 0)
    }
    shared.backward(
      input, count: count, parameters: parameters, parameterGradients: parameterGradients,
      inputGradients: inputGradients, accumulates: false)
  }
}

/// Between the logits of one task and those of all.
extension Tower {
  func copyLogits(to target: UnsafeMutablePointer<Float>, stride: Int, count: Int) {
    for row in 0..<count { target[row &* stride] = logits[row] }
  }

  func copyLogitGradients(from source: UnsafePointer<Float>, stride: Int, count: Int) {
    for row in 0..<count { logitGradients[row] = source[row &* stride] }
  }
}

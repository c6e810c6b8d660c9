/// MMoE (Ma et al. 2018): a mixture of experts for each task, and a tower above it.
final class MixtureBody {
  private let mixture: ExpertMixture
  private let towers: [Tower]
  private let logits = FloatBuffer()

  init(_ layout: DenseLayout) {
    mixture = ExpertMixture(experts: layout.experts, gates: layout.gates!, tasks: layout.towers.count)
    towers = layout.towers.map { Tower($0) }
  }

  func reserve(_ count: Int) {
    mixture.reserve(count)
    for tower in towers { tower.reserve(count) }
    logits.reserve(count * towers.count)
  }

  func forward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>, wide: UnsafePointer<Float>
  ) -> UnsafePointer<Float> {
    mixture.forward(input, count: count, parameters: parameters)
    for task in 0..<towers.count {
      let tower = towers[task]
      tower.forward(mixture.output(task), count: count, parameters: parameters, wide: wide)
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
        mixture.output(task), count: count, parameters: parameters, parameterGradients: parameterGradients,
        inputGradients: mixture.outputGradients(task), accumulates: false)
    }
    mixture.backward(
      input, count: count, parameters: parameters, parameterGradients: parameterGradients,
      inputGradients: inputGradients)
  }
}

/// DCN-v2 (Wang et al. 2021): cross layers with ReLU layers above them (stacked), or beside them with heads that read both.
final class CrossBody {
  private let cross: CrossNetwork
  private let tower: Tower
  private let tasks: Int
  private let width: Int
  /// Of the heads for the cross layers' output, in the parallel structure.
  private let crossHead: DenseLayout.Tensor?

  init(_ layout: DenseLayout, isStacked: Bool, tasks: Int) {
    cross = CrossNetwork(layout.cross)
    tower = Tower(layout.towers[0])
    crossHead = layout.crossHead
    width = layout.cross[0].layer.weights.columns
    self.tasks = tasks
  }

  func reserve(_ count: Int) {
    cross.reserve(count)
    tower.reserve(count)
  }

  func forward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>, wide: UnsafePointer<Float>
  ) -> UnsafePointer<Float> {
    cross.forward(input, count: count, parameters: parameters)
    tower.forward(
      crossHead == nil ? cross.output : input, count: count, parameters: parameters, wide: wide)
    if let crossHead {
      MatrixProducts.multiply(
        cross.output, parameters + crossHead.offset, into: tower.logits, rows: count, inner: width, columns: tasks,
        accumulates: true)
    }
    return UnsafePointer(tower.logits)
  }

  func backward(
    _ input: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    logitGradients: UnsafePointer<Float>, parameterGradients: UnsafeMutablePointer<Float>,
    inputGradients: UnsafeMutablePointer<Float>
  ) {
    tower.logitGradients.update(from: logitGradients, count: count &* tasks)
    if let crossHead {
      tower.backward(
        input, count: count, parameters: parameters, parameterGradients: parameterGradients,
        inputGradients: inputGradients, accumulates: false)
      MatrixProducts.addTransposedProduct(
        cross.output, logitGradients, to: parameterGradients + crossHead.offset, rows: count, inner: width,
        columns: tasks)
      MatrixProducts.multiplyByTransposed(
        logitGradients, parameters + crossHead.offset, into: cross.outputGradients, rows: count, inner: width,
        columns: tasks, accumulates: false)
    } else {
      tower.backward(
        cross.output, count: count, parameters: parameters, parameterGradients: parameterGradients,
        inputGradients: cross.outputGradients, accumulates: false)
      inputGradients.update(repeating: 0, count: count &* width)
    }
    cross.backward(
      input, count: count, parameters: parameters, parameterGradients: parameterGradients,
      inputGradients: inputGradients)
  }
}

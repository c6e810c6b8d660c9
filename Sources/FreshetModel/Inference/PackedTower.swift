/// ReLU layers and the heads above them.
final class PackedTower {
  private let stack: PackedStack
  private let heads: PackedHeads

  /// - Parameter layers: Those of the tower that are computed here: without the first one where that is part of `FirstLayer`.
  init(_ layers: some Sequence<DenseLayout.Layer>, head: DenseLayout.Layer) {
    stack = PackedStack(layers)
    heads = PackedHeads(head.weights, biases: head.biases)
  }

  func load(_ parameters: UnsafePointer<Float>) {
    stack.load(parameters)
    heads.load(parameters)
  }

  /// Adds the logits of `count` rows, `RowBlock.size` at most, to the outputs.
  @inline(__always)
  func addLogits(
    _ input: UnsafePointer<Float>, stride: Int, count: Int, to output: UnsafeMutablePointer<Float>, outputStride: Int
  ) {
    for member in 0..<count { heads.addBiases(to: output + member &* outputStride) }
    let (rows, rowStride) = stack.run(input, stride: stride, count: count)
    heads.addProducts(rows, stride: rowStride, count: count, to: output, outputStride: outputStride)
  }
}

/// ReLU layers, packed for the kernels. The first layer may have been computed elsewhere.
final class PackedStack {
  private let tensors: [DenseLayout.Layer]
  private let matrices: [PackedMatrix]
  private let blocks: [RowBlock]

  init(_ tensors: some Sequence<DenseLayout.Layer>) {
    self.tensors = Array(tensors)
    matrices = self.tensors.map { PackedMatrix(rows: $0.weights.rows, columns: $0.weights.columns) }
    blocks = matrices.map { RowBlock(stride: $0.paddedColumns) }
  }

  func load(_ parameters: UnsafePointer<Float>) {
    for (matrix, tensors) in zip(matrices, tensors) { matrix.load(tensors.weights, tensors.biases, parameters) }
  }

  /// - Parameters:
  ///   - input: `count` rows, `stride` apart.
  ///   - count: At most `RowBlock.size`.
  /// - Returns: The last layer's output, or the input.
  @inline(__always)
  func run(
    _ input: UnsafePointer<Float>, stride: Int, count: Int
  ) -> (rows: UnsafePointer<Float>, stride: Int) {
    var (rows, stride) = (input, stride)
    for layer in 0..<matrices.count {
      matrices[layer].multiply(rows, stride: stride, count: count, isRectified: true, into: blocks[layer].rows)
      (rows, stride) = (UnsafePointer(blocks[layer].start), blocks[layer].stride)
    }
    return (rows, stride)
  }
}

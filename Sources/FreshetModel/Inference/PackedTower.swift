import CIntrinsics

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

/// Linear functions of rows, one for each of some tasks.
final class PackedHeads {
  private let tensors: DenseLayout.Tensor
  private let biasTensor: DenseLayout.Tensor?
  /// `outputs` rows of `stride` floats.
  private let weights: AlignedFloats
  private let stride: Int
  private let biases: AlignedFloats

  init(_ weights: DenseLayout.Tensor, biases: DenseLayout.Tensor?) {
    tensors = weights
    biasTensor = biases
    stride = PackedMatrix.padded(weights.rows)
    self.weights = AlignedFloats(count: weights.columns * stride)
    self.biases = AlignedFloats(count: weights.columns)
  }

  func load(_ parameters: UnsafePointer<Float>) {
    for output in 0..<tensors.columns {
      for row in 0..<tensors.rows {
        weights.start[output * stride + row] = parameters[tensors.offset + row * tensors.columns + output]
      }
      if let biasTensor { biases.start[output] = parameters[biasTensor.offset + output] }
    }
  }

  /// Adds the biases to a row's outputs.
  @inline(__always)
  func addBiases(to output: UnsafeMutablePointer<Float>) {
    for number in 0..<tensors.columns { output[number] += biases.start[number] }
  }

  /// Adds the products of `count` rows, whose padding is 0, to the outputs.
  /// - Parameter output: The rows' outputs, `outputStride` apart.
  @inline(__always)
  func addProducts(
    _ rows: UnsafePointer<Float>, stride rowStride: Int, count: Int, to output: UnsafeMutablePointer<Float>,
    outputStride: Int
  ) {
    for member in 0..<count {
      let row = UnsafeRawPointer(rows + member &* rowStride)
      for number in 0..<tensors.columns {
        let head = UnsafeRawPointer(weights.start + number &* stride)
        var sum = SIMD8<Float>.zero
        var byte = 0
        while byte < stride &* 4 {
          sum = fi_fma8(
            row.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self),
            head.loadUnaligned(fromByteOffset: byte, as: SIMD8<Float>.self), sum)
          byte &+= 32
        }
        output[member &* outputStride &+ number] += fi_sum8(sum)
      }
    }
  }
}

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

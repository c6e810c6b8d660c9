import CIntrinsics

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

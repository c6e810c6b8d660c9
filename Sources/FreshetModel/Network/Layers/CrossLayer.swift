/// A cross layer of DCN-v2 (Wang et al. 2021):
///
///     y = x₀ ⊙ p + x,   p = x W + b
///
/// with the network's input `x₀` and the layer below `x`, all of one width; `W` is a full matrix, or the product of two of rank r.
final class CrossLayer {
  private let width: Int
  private let projection: DenseLayout.Tensor?
  private let weightsOffset: Int
  private let biasesOffset: Int
  /// `x W + b` of each example, and what that is multiplied from at low rank.
  private let product = FloatBuffer()
  private let projected = FloatBuffer()
  private let productGradients = FloatBuffer()
  private let projectedGradients = FloatBuffer()
  let output = FloatBuffer()
  /// To be written before `backward`.
  let outputGradients = FloatBuffer()

  init(_ tensors: DenseLayout.Cross) {
    width = tensors.layer.weights.columns
    projection = tensors.projection
    weightsOffset = tensors.layer.weights.offset
    biasesOffset = tensors.layer.biases.offset
  }

  func reserve(_ count: Int) {
    for buffer in [product, productGradients, output, outputGradients] { buffer.reserve(count * width) }
    for buffer in [projected, projectedGradients] { buffer.reserve(count * (projection?.columns ?? 0)) }
  }

  /// - Parameters:
  ///   - first: x₀, `count × width`.
  ///   - below: x, the same.
  func forward(
    first: UnsafePointer<Float>, below: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>
  ) {
    let (product, output) = (product.start, output.start)
    for row in 0..<count { (product + row &* width).update(from: parameters + biasesOffset, count: width) }
    var source = below
    if let projection {
      MatrixProducts.multiply(
        below, parameters + projection.offset, into: projected.start, rows: count, inner: width,
        columns: projection.columns, accumulates: false)
      source = UnsafePointer(projected.start)
    }
    MatrixProducts.multiply(
      source, parameters + weightsOffset, into: product, rows: count, inner: projection?.columns ?? width,
      columns: width, accumulates: true)
    for index in 0..<count &* width { output[index] = first[index] * product[index] + below[index] }
  }

  /// - Parameters:
  ///   - first, below: As in `forward`.
  ///   - firstGradients: Of x₀; added to.
  ///   - belowGradients: Of x; overwritten, but added to where it is `firstGradients`.
  func backward(
    first: UnsafePointer<Float>, below: UnsafePointer<Float>, count: Int, parameters: UnsafePointer<Float>,
    parameterGradients: UnsafeMutablePointer<Float>, firstGradients: UnsafeMutablePointer<Float>,
    belowGradients: UnsafeMutablePointer<Float>
  ) {
    let (product, gradients) = (product.start, outputGradients.start)
    let productGradients = productGradients.start
    let isFirst = belowGradients == firstGradients
    for index in 0..<count &* width {
      productGradients[index] = gradients[index] * first[index]
      firstGradients[index] += gradients[index] * product[index]
      belowGradients[index] = (isFirst ? belowGradients[index] : 0) + gradients[index]
    }
    MatrixProducts.addRows(productGradients, to: parameterGradients + biasesOffset, rows: count, columns: width)
    guard let projection else {
      MatrixProducts.addTransposedProduct(
        below, productGradients, to: parameterGradients + weightsOffset, rows: count, inner: width, columns: width)
      MatrixProducts.multiplyByTransposed(
        productGradients, parameters + weightsOffset, into: belowGradients, rows: count, inner: width, columns: width,
        accumulates: true)
      return
    }
    let rank = projection.columns
    MatrixProducts.addTransposedProduct(
      projected.start, productGradients, to: parameterGradients + weightsOffset, rows: count, inner: rank,
      columns: width)
    MatrixProducts.multiplyByTransposed(
      productGradients, parameters + weightsOffset, into: projectedGradients.start, rows: count, inner: rank,
      columns: width, accumulates: false)
    MatrixProducts.addTransposedProduct(
      below, projectedGradients.start, to: parameterGradients + projection.offset, rows: count, inner: width,
      columns: rank)
    MatrixProducts.multiplyByTransposed(
      projectedGradients.start, parameters + projection.offset, into: belowGradients, rows: count, inner: width,
      columns: rank, accumulates: true)
  }
}

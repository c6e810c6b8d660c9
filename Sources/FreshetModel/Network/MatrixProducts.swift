import COpenBLAS

/// The matrix products of training, all of them row-major and without gaps between rows: the only place that knows what computes
/// them.
enum MatrixProducts {
  /// `output = left × right`, or added to what `output` holds.
  /// - Parameters:
  ///   - left: `rows × inner`.
  ///   - right: `inner × columns`.
  ///   - output: `rows × columns`.
  @inline(__always)
  static func multiply(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int,
    inner: Int, columns: Int, accumulates: Bool
  ) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(rows), Int32(columns), Int32(inner), 1, left, Int32(inner),
      right, Int32(columns), accumulates ? 1 : 0, output, Int32(columns))
  }

  /// `output = leftᵀ × right`: what a layer's weights get from its input and the gradients of its output.
  /// - Parameters:
  ///   - left: `rows × inner`.
  ///   - right: `rows × columns`.
  ///   - output: `inner × columns`.
  @inline(__always)
  static func multiplyTransposed(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int,
    inner: Int, columns: Int
  ) {
    cblas_sgemm(
      CblasRowMajor, CblasTrans, CblasNoTrans, Int32(inner), Int32(columns), Int32(rows), 1, left, Int32(inner), right,
      Int32(columns), 0, output, Int32(columns))
  }

  /// `output = left × rightᵀ`, or added to what `output` holds: what a layer's input gets from the gradients of its output and
  /// its weights.
  /// - Parameters:
  ///   - left: `rows × columns`.
  ///   - right: `inner × columns`.
  ///   - output: `rows × inner`.
  @inline(__always)
  static func multiplyByTransposed(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int,
    inner: Int, columns: Int, accumulates: Bool
  ) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows), Int32(inner), Int32(columns), 1, left, Int32(columns),
      right, Int32(columns), accumulates ? 1 : 0, output, Int32(inner))
  }

  /// The sum of the rows: what a layer's biases get from the gradients of its output.
  /// - Parameter matrix: `rows × columns`.
  @inline(__always)
  static func sumRows(
    _ matrix: UnsafePointer<Float>, into sums: UnsafeMutablePointer<Float>, rows: Int, columns: Int
  ) {
    sums.update(repeating: 0, count: columns)
    for row in 0..<rows {
      for column in 0..<columns { sums[column] += matrix[row &* columns &+ column] }
    }
  }
}

import CIntrinsics
import COpenBLAS

/// The matrix products of training, all of them row-major and without gaps between rows: the only place that knows what computes
/// them.
///
/// Few rows, as a micro-batch has, go through kernels of Freshet's own, which read weights as they lie. For many rows OpenBLAS
/// makes up for copying its operands into an order of its own first.
enum MatrixProducts {
  /// From so many rows on OpenBLAS computes.
  static let rowsForLibrary = 512

  /// `output = left × right`, or added to what `output` holds.
  /// - Parameters:
  ///   - left: `rows × inner`.
  ///   - right: `inner × columns`.
  ///   - output: `rows × columns`.
  static func multiply(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int,
    inner: Int, columns: Int, accumulates: Bool
  ) {
    if rows < rowsForLibrary {
      return fi_multiply(left, rows, inner, right, columns, output, accumulates ? 1 : 0)
    }
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(rows), Int32(columns), Int32(inner), 1, left, Int32(inner),
      right, Int32(columns), accumulates ? 1 : 0, output, Int32(columns))
  }

  /// `output += leftᵀ × right`: what a layer's weights get from its input and the gradients of its output.
  /// - Parameters:
  ///   - left: `rows × inner`.
  ///   - right: `rows × columns`.
  ///   - output: `inner × columns`.
  static func addTransposedProduct(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, to output: UnsafeMutablePointer<Float>, rows: Int,
    inner: Int, columns: Int
  ) {
    if rows < rowsForLibrary { return fi_add_transposed_product(left, rows, inner, right, columns, output) }
    cblas_sgemm(
      CblasRowMajor, CblasTrans, CblasNoTrans, Int32(inner), Int32(columns), Int32(rows), 1, left, Int32(inner), right,
      Int32(columns), 1, output, Int32(columns))
  }

  /// `output = left × rightᵀ`, or added to what `output` holds: what a layer's input gets from the gradients of its output and
  /// its weights.
  /// - Parameters:
  ///   - left: `rows × columns`.
  ///   - right: `inner × columns`.
  ///   - output: `rows × inner`.
  static func multiplyByTransposed(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int,
    inner: Int, columns: Int, accumulates: Bool
  ) {
    if rows < rowsForLibrary {
      return fi_multiply_by_transposed(left, rows, columns, right, inner, output, accumulates ? 1 : 0)
    }
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows), Int32(inner), Int32(columns), 1, left, Int32(columns),
      right, Int32(columns), accumulates ? 1 : 0, output, Int32(inner))
  }

  /// Adds the rows to `sums`: what a layer's biases get from the gradients of its output.
  /// - Parameter matrix: `rows × columns`.
  static func addRows(
    _ matrix: UnsafePointer<Float>, to sums: UnsafeMutablePointer<Float>, rows: Int, columns: Int
  ) {
    fi_add_rows(sums, matrix, rows, columns)
  }
}

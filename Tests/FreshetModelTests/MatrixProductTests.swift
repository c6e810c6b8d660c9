import FreshetCore
import Testing

@testable import FreshetModel

/// The products of training, against sums in plain loops.
@Suite struct MatrixProductTests {
  struct Shape: CustomStringConvertible {
    let rows: Int
    let inner: Int
    let columns: Int
    var description: String { "\(rows) × \(inner) × \(columns)" }
  }

  /// Every remainder of the blocks that the kernels work in, and both sides of where the library takes over.
  static let shapes: [Shape] = {
    var shapes: [Shape] = []
    for rows in [1, 2, 3, 4, 5, 8, 9] {
      for inner in [1, 3, 7, 8, 12, 17] {
        for columns in [1, 2, 7, 8, 9, 16, 19, 24, 32, 41] {
          shapes.append(Shape(rows: rows, inner: inner, columns: columns))
        }
      }
    }
    for rows in [MatrixProducts.rowsForLibrary - 1, MatrixProducts.rowsForLibrary] {
      shapes += [Shape(rows: rows, inner: 9, columns: 1), Shape(rows: rows, inner: 16, columns: 33)]
    }
    return shapes
  }()

  func matrix(_ count: Int, _ random: inout SeededGenerator) -> [Float] {
    (0..<count).map { _ in Float(random.nextUnit() * 2 - 1) }
  }

  func agree(_ found: [Float], _ expected: [Double], inner: Int) -> Bool {
    zip(found, expected).allSatisfy { abs(Double($0) - $1) < 2e-6 * Double(inner + 2) }
  }

  @Test func productsAreThoseOfTheDefinition() {
    var random = SeededGenerator(seed: 1)
    for shape in Self.shapes {
      let (rows, inner, columns) = (shape.rows, shape.inner, shape.columns)
      let left = matrix(rows * inner, &random)
      let right = matrix(inner * columns, &random)
      for accumulates in [false, true] {
        var output = matrix(rows * columns, &random)
        let expected = (0..<rows * columns).map { index in
          (0..<inner).reduce(accumulates ? Double(output[index]) : 0) {
            $0 + Double(left[index / columns * inner + $1]) * Double(right[$1 * columns + index % columns])
          }
        }
        MatrixProducts.multiply(
          left, right, into: &output, rows: rows, inner: inner, columns: columns, accumulates: accumulates)
        #expect(agree(output, expected, inner: inner), "\(shape), accumulates \(accumulates)")
      }
    }
  }

  @Test func productsWithATransposedMatrixAreThoseOfTheDefinition() {
    var random = SeededGenerator(seed: 2)
    for shape in Self.shapes {
      let (rows, inner, columns) = (shape.rows, shape.inner, shape.columns)
      let above = matrix(rows * columns, &random)
      let weights = matrix(inner * columns, &random)
      for accumulates in [false, true] {
        var below = matrix(rows * inner, &random)
        let expected = (0..<rows * inner).map { index in
          (0..<columns).reduce(accumulates ? Double(below[index]) : 0) {
            $0 + Double(above[index / inner * columns + $1]) * Double(weights[index % inner * columns + $1])
          }
        }
        MatrixProducts.multiplyByTransposed(
          above, weights, into: &below, rows: rows, inner: inner, columns: columns, accumulates: accumulates)
        #expect(agree(below, expected, inner: columns), "\(shape), accumulates \(accumulates)")
      }
    }
  }

  @Test func weightsAndBiasesGetTheSumsOverTheRows() {
    var random = SeededGenerator(seed: 3)
    for shape in Self.shapes {
      let (rows, inner, columns) = (shape.rows, shape.inner, shape.columns)
      let input = matrix(rows * inner, &random)
      let above = matrix(rows * columns, &random)
      var weights = matrix(inner * columns, &random)
      var biases = matrix(columns, &random)
      let expectedWeights = weights.indices.map { index in
        (0..<rows).reduce(Double(weights[index])) {
          $0 + Double(input[$1 * inner + index / columns]) * Double(above[$1 * columns + index % columns])
        }
      }
      let expectedBiases = (0..<columns).map { column in
        (0..<rows).reduce(Double(biases[column])) { $0 + Double(above[$1 * columns + column]) }
      }
      MatrixProducts.addTransposedProduct(input, above, to: &weights, rows: rows, inner: inner, columns: columns)
      MatrixProducts.addRows(above, to: &biases, rows: rows, columns: columns)
      #expect(agree(weights, expectedWeights, inner: rows), "\(shape)")
      #expect(agree(biases, expectedBiases, inner: rows), "\(shape)")
    }
  }

  /// So that predictions do not depend on where batches are cut.
  @Test func aRowsProductDoesNotDependOnItsNeighbours() {
    var random = SeededGenerator(seed: 4)
    for (inner, columns) in [(17, 64), (128, 41), (32, 1)] {
      let left = matrix(11 * inner, &random)
      let right = matrix(inner * columns, &random)
      var together = [Float](repeating: 0, count: 11 * columns)
      var apart = together
      MatrixProducts.multiply(
        left, right, into: &together, rows: 11, inner: inner, columns: columns, accumulates: false)
      for row in 0..<11 {
        left.withUnsafeBufferPointer { left in
          apart.withUnsafeMutableBufferPointer {
            MatrixProducts.multiply(
              left.baseAddress! + row * inner, right, into: $0.baseAddress! + row * columns, rows: 1, inner: inner,
              columns: columns, accumulates: false)
          }
        }
      }
      #expect(together == apart)
    }
  }
}
